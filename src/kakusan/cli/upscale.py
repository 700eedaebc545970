"""`kakusan upscale`: a picture, made 2 or 4 times as large."""

import sys
import time
from pathlib import Path

from ..errors import FileError
from ..images import COMPOSITE, check_writable, parameters, save_next
from ..messages import tr
from .interrupts import Interrupts
from .parser import Arguments, Parser
from .progress import progress, said_if_slow

NAME = "upscale"
HELP = ("make a picture 2 or 4 times as large", "画像を 2 倍か 4 倍に拡大する")
METHODS = ("model", "latent", "lanczos")


def add_arguments(parser: Parser) -> None:
    """The picture, and how."""
    add = parser.add_argument
    add("image", metavar="IMAGE", type=Path, help=tr("the picture", "拡大する画像"))
    add("--by", type=int, choices=(2, 4), default=4, metavar="N", help=tr("2 or 4 times (default: 4)", "2 倍か 4 倍 (既定値: 4)"))
    method = tr(
        "model: an upscaling model; latent: redrawn in part by an ordinary model; lanczos: plain (default: model, if there is one)",
        "model: 拡大用モデル、latent: 普通のモデルで少し描き直す、lanczos: 単純な補間 (既定値: あれば model)",
    )
    add("--method", choices=METHODS, metavar="HOW", help=method)
    add("-p", "--prompt", metavar="TEXT", default="", help=tr("what the picture shows", "画像に写っているもの"))
    add(
        "--noise-level",
        type=int,
        metavar="N",
        help=tr(
            "how much noise the model takes off (default: 20, or the model's own)",
            "モデルが取り除くノイズ (既定値: 20、またはモデルのもの)",
        ),
    )
    add("--seed", type=int, metavar="N", help=tr("same seed, same picture", "同じシードなら同じ絵"))
    add("--model", metavar="FOLDER", help=tr("an upscaling model, or for latent any other", "拡大用モデル。latent なら普通のモデル"))
    add("--device", metavar="NAME", default="auto", help=tr("cpu, cuda, ... (default: the fastest)", "cpu, cuda など (既定値: 最速のもの)"))
    outdir = tr("where to save (default: outputs)", "保存先 (既定値: outputs)")
    add("--outdir", metavar="FOLDER", type=Path, default=Path("outputs"), help=outdir)
    add("-q", "--quiet", action="store_true", help=tr("print only the name of the file", "ファイル名だけを出力"))


def run(args: Arguments) -> int:
    """Make it larger, save it, and name the file."""
    start = time.monotonic()
    check_writable(args.outdir)
    with said_if_slow(tr("loading the model ...", "モデルを読み込んでいます ..."), args.quiet):
        from ..loading import load
        from ..tasks.fitting import opened

        picture = opened(args.image)
        pipe = load(args.model, device=args.device)
    how = {"by": args.by, "method": args.method, "noise_level": args.noise_level, "seed": args.seed}
    with Interrupts() as interrupts, progress(1, args.quiet) as show:

        def shown(step: object) -> None:
            if interrupts.asked:
                raise KeyboardInterrupt
            show(step)  # type: ignore[arg-type]

        result = pipe.upscaled(picture, args.prompt, on_step=shown, **how)
    if not args.quiet:
        for note in result.notes:
            print(f"{tr('note', '注意')}: {note}", file=sys.stderr)
    said = _parameters(args.image) if not result.recipes else result.recipes[0].parameters()
    print(save_next(result.images[0], args.outdir, args.image.stem[:60], said, source=COMPOSITE if result.recipes else ""))
    if not args.quiet:
        width, height = result.images[0].size
        print(f"{width} x {height}  ({time.monotonic() - start:.1f} s)", file=sys.stderr)
    return 0


def _parameters(path: Path) -> str:
    """What the picture says of itself, nothing if it says nothing."""
    try:
        return parameters(path)
    except FileError:
        return ""
