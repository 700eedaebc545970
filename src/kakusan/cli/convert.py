"""`kakusan convert`: a model into another format, or the same with other weights."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import KakusanError
from ..messages import tr
from .parser import Arguments, Parser
from .transfer import transfer

if TYPE_CHECKING:
    import torch

NAME = "convert"
HELP = ("make a safetensors file or a folder out of a model", "モデルを safetensors ファイルかフォルダーに変換する")
DTYPES = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}


def add_arguments(parser: Parser) -> None:
    """Which model, where to, and what is changed on the way."""
    add = parser.add_argument
    what = tr("a checkpoint (.safetensors, .ckpt, .pt, ...)", "チェックポイント (.safetensors、.ckpt、.pt など)")
    add("path", metavar="IN", type=Path, help=what)
    add("out", metavar="OUT", type=Path, help=tr("the new file, .safetensors", "書き出す .safetensors ファイル"))
    averages = tr(
        "keep only the averaged weights, or only the raw ones (default: all that is there)",
        "EMA (平均した重み) だけ、または元の重みだけを残す (既定値: あるものすべて)",
    )
    add("--ema", action=argparse.BooleanOptionalAction, help=averages)
    add_changes(parser)


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
    """Write the file, and print its name."""
    check_name(args.out)

    from ..formats import stream
    from ..formats.convert import converted
    from ..formats.files import open_file

    stream.check_free(args.out, args.force)
    vae = open_file(args.vae) if args.vae else None
    result = converted(open_file(args.path), dtype=dtype(args.dtype), use_ema=args.ema, vae=vae)
    with transfer(tr("writing", "書き込み中"), stream.size(result), args.quiet) as moved:
        stream.write_source(result, args.out, replace=args.force, on_bytes=moved)
    print(args.out)
    return 0


def check_name(out: Path) -> None:
    """Raises KakusanError unless a file of that name is one that kakusan writes."""
    if out.suffix != ".safetensors":
        raise KakusanError(
            f"{out}: kakusan writes safetensors files only; give a name that ends in .safetensors",
            f"{out}: 書き出せるのは safetensors ファイルだけです。.safetensors で終わる名前にしてください",
        )


def dtype(name: str | None) -> "torch.dtype | None":
    """What --dtype means."""
    import torch

    return None if name is None else getattr(torch, DTYPES[name])
