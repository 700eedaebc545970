"""`kakusan merge`: two or three checkpoints made into one."""

import sys
from pathlib import Path

from ..messages import tr
from .convert import add_changes, check_name, dtype
from .parser import Arguments, Parser
from .transfer import transfer

NAME = "merge"
HELP = ("make one checkpoint out of two or three", "2 個か 3 個のチェックポイントを 1 つにする")
MODES = ("weighted", "add-difference")


def add_arguments(parser: Parser) -> None:
    """Which models, and how much of each."""
    add = parser.add_argument
    add("a", metavar="A", type=Path, help=tr("the model that decides what the result is", "元になるモデル"))
    add("b", metavar="B", type=Path, help=tr("the model to mix in", "混ぜるモデル"))
    add("c", metavar="C", type=Path, nargs="?", help=tr("the model that B was made from", "B の元になったモデル"))
    add("out", metavar="OUT", type=Path, help=tr("the new file, .safetensors", "書き出す .safetensors ファイル"))
    modes = tr(
        "weighted: A*(1-M) + B*M; add-difference: A + (B-C)*M (default: add-difference if C is given)",
        "weighted: A*(1-M) + B*M、add-difference: A + (B-C)*M (既定値: C があれば add-difference)",
    )
    add("--mode", choices=MODES, help=modes)
    add("--ratio", metavar="M", type=float, required=True, help=tr("how much of B (or of B-C), 0 to 1", "B (または B-C) の割合、0 から 1"))
    add_changes(parser)


def run(args: Arguments) -> int:
    """Write the merged file, and print its name."""
    check_name(args.out)

    from ..formats import stream
    from ..formats.convert import converted
    from ..formats.ema import ema
    from ..formats.files import open_file
    from ..formats.hashes import unchanged
    from ..formats.merge import Blend, Merged, recipe

    stream.check_free(args.out, args.force)
    blend = Blend(args.mode or ("add-difference" if args.c else "weighted"), args.ratio)
    files = [file for file in (args.a, args.b, args.c) if file is not None]
    with unchanged(*files):
        models = [open_file(file) for file in files]
        merged = Merged(models, blend, dtype(args.dtype))
        vae = open_file(args.vae) if args.vae else None
        with transfer(tr("hashing", "ハッシュを計算中"), sum(file.stat().st_size for file in files), args.quiet) as moved:
            merged.metadata = recipe(merged, args.out, half=args.dtype == "fp16", vae=args.vae, on_bytes=moved)
    if ema(models[0].tensors) == "full" and ema(models[1].tensors) != "full":
        en = f"note: the averaged weights (EMA) of {args.a} are kept as they are; `kakusan convert --no-ema` leaves them out"
        ja = f"注意: {args.a} の EMA (平均した重み) は混ざらずに残ります。`kakusan convert --no-ema` で除けます"
        print(tr(en, ja), file=sys.stderr)
    result = converted(merged, dtype=dtype(args.dtype), vae=vae)
    with transfer(tr("merging", "マージ中"), stream.size(result), args.quiet) as moved:
        stream.write_source(result, args.out, replace=args.force, on_bytes=moved)
    print(args.out)
    return 0
