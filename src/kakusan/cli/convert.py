"""`kakusan convert`: a model into another format, or the same with other weights."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import KakusanError
from ..messages import tr
from .parser import Arguments, Parser
from .progress import said_if_slow
from .transfer import transfer

if TYPE_CHECKING:
    import torch

    from ..formats.model import Model

NAME = "convert"
HELP = ("make a safetensors file or a folder out of a model", "モデルを safetensors ファイルかフォルダーに変換する")
DTYPES = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}
PREDICTIONS = {"epsilon": "epsilon", "v-prediction": "v"}
FILE, PICKLES = ".safetensors", (".ckpt", ".pt", ".pth", ".bin")
SHARD = 10_000_000_000
"""Bytes in a file of a folder, at most: as many as diffusers allows."""


def add_arguments(parser: Parser) -> None:
    """Which model, where to, and what is changed on the way."""
    add = parser.add_argument
    what = tr(
        "a checkpoint (.safetensors, .ckpt, ...) or a model folder", "チェックポイント (.safetensors、.ckpt など) かモデルのフォルダー"
    )
    add("path", metavar="IN", type=Path, help=what)
    add("out", metavar="OUT", type=Path, help=tr("NAME.safetensors, or else a new folder", "「名前.safetensors」、または新しいフォルダー"))
    averages = tr(
        "keep the averaged weights of a file that has both, or the raw ones (default: file to file both, else raw)",
        "両方ある場合に EMA (平均した重み) か元の重みの一方だけを残す (既定値: ファイルからファイルへは両方、他は元の重み)",
    )
    add("--ema", action=argparse.BooleanOptionalAction, help=averages)
    add_changes(parser)
    add("--config", metavar="YAML", type=Path, help=tr("the original .yaml of a checkpoint", "チェックポイントの元の .yaml"))
    predicted = tr("epsilon or v-prediction, where it cannot be told", "判定できないときの予測の種類、epsilon か v-prediction")
    add("--prediction", choices=tuple(PREDICTIONS), metavar="KIND", help=predicted)


def add_changes(parser: Parser) -> None:
    """What `convert` and `merge` can both do to the weights they write."""
    add = parser.add_argument
    stored = tr(
        "fp16, bf16 or fp32: how weights are stored (default: as they are)", "重みの保存形式、fp16 か bf16 か fp32 (既定値: 元のまま)"
    )
    add("--dtype", choices=tuple(DTYPES), metavar="TYPE", help=stored)
    add("--vae", metavar="FILE", type=Path, help=tr("take the autoencoder from this file", "オートエンコーダーをこのファイルから取る"))
    add("--force", action="store_true", help=tr("replace OUT if it is there", "OUT がすでにあれば置き換える"))
    add("-q", "--quiet", action="store_true", help=tr("no progress", "進み具合を表示しない"))


def run(args: Arguments) -> int:
    """Write the file or folder, and print its name."""
    if args.out.suffix in PICKLES:
        check_name(args.out)
    if args.out.suffix == FILE:
        from ..formats.stream import check_free

        check_free(args.out, args.force)
        _write_file(args)
    else:
        _write_folder(args)
    print(args.out)
    return 0


def check_name(out: Path) -> None:
    """Raises KakusanError unless a file of that name is one that kakusan writes."""
    if out.suffix != FILE:
        raise KakusanError(
            f"{out}: kakusan writes safetensors files only; give a name that ends in {FILE}",
            f"{out}: 書き出せるのは safetensors ファイルだけです。{FILE} で終わる名前にしてください",
        )


def dtype(name: str | None) -> "torch.dtype | None":
    """What --dtype means."""
    import torch

    return None if name is None else getattr(torch, DTYPES[name])


def _write_file(args: Arguments) -> None:
    from ..formats import stream
    from ..formats.convert import converted
    from ..formats.files import open_file
    from ..formats.single import write_single

    writing = tr("writing", "書き込み中")
    if args.path.is_dir():
        model = _model(args)
        total = sum(p.numel() * p.element_size() for part in (model.unet, model.autoencoder, model.text) for p in part.parameters())
        with transfer(writing, total, args.quiet) as moved:
            write_single(model, args.out, dtype(args.dtype), replace=args.force, on_bytes=moved)
        return
    if args.config or args.prediction:
        raise KakusanError(
            "file to file, every tensor stays under its name; --config and --prediction are for writing folders",
            "ファイルからファイルへはテンソルの名前を変えません。--config と --prediction はフォルダーに書き出すときに使います",
        )
    vae = open_file(args.vae) if args.vae else None
    result = converted(open_file(args.path), dtype=dtype(args.dtype), use_ema=args.ema, vae=vae)
    with transfer(writing, stream.size(result), args.quiet) as moved:
        stream.write_source(result, args.out, replace=args.force, on_bytes=moved)


def _write_folder(args: Arguments) -> None:
    from ..formats.folder import write_folder

    model = _model(args)
    with said_if_slow(tr("writing ...", "書き込み中..."), args.quiet):
        write_folder(model, args.out, dtype(args.dtype), SHARD, replace=args.force)


def _model(args: Arguments) -> "Model":
    from ..formats.convert import check_half, read_model

    with said_if_slow(tr("reading ...", "読み込み中..."), args.quiet):
        model = read_model(args.path, config=args.config, use_ema=args.ema, vae=args.vae, prediction=PREDICTIONS.get(args.prediction))
        if args.dtype == "fp16":
            check_half(model)
    for note in model.notes:
        print(tr(f"note: {note}", f"注意: {note}"), file=sys.stderr)
    return model
