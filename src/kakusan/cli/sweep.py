"""`kakusan sweep`: how well pictures fit their prompt at each guidance scale, as a grid, a curve and a table."""

import time
from pathlib import Path

from ..errors import KakusanError
from ..images import save_png
from ..messages import tr
from . import options_recipe
from .parser import Arguments, Parser
from .progress import progress
from .table import print_table
from .xyz import told

NAME = "sweep"
HELP = ("score pictures at several guidance scales, with a curve", "ガイダンスの強さごとに絵を採点し、曲線にする")


def add_arguments(parser: Parser) -> None:
    """The prompt, the scales, the seeds, and who scores."""
    add = parser.add_argument
    add("prompt", metavar="PROMPT", help=tr("what to draw", "描くもの"))
    scales = tr("guidance scales (default: 1,2,3,5,7.5)", "ガイダンスの強さ (既定値: 1,2,3,5,7.5)")
    add("--scales", metavar="A,B,...", default="1,2,3,5,7.5", help=scales)
    add("--seeds", type=int, metavar="N", default=4, help=tr("pictures at each scale (default: 4)", "強さごとの枚数 (既定値: 4)"))
    clip = tr("the CLIP that scores (default: the embedded one)", "採点する CLIP (既定値: 付属のもの)")
    add("--clip", metavar="PATH", help=clip)
    options_recipe.add_arguments(parser)


def run(args: Arguments) -> int:
    """Draw, score, save the grid, the curve and the table."""
    start = time.monotonic()
    scales = _numbers(args.scales)
    if args.scale is not None:
        raise KakusanError("--scale has no place in a sweep; give --scales", "sweep では --scale ではなく --scales を指定してください")
    from ..grids import sweep, table

    pipe = options_recipe.opened(args)
    with progress(len(scales) * max(args.seeds, 1), args.quiet) as show, options_recipe.kept(args, show) as take:
        found = sweep(pipe, args.prompt, scales, args.seeds, options_recipe.given(args), args.clip, take)
    rows, sheet = found.rows(), found.grid.sheet()
    parameters = found.grid.results.recipes[0].parameters()
    files = options_recipe.saved(sheet.picture, args.outdir, "sweep", parameters, lambda path: {".csv": table(rows)})
    files.append(_beside(files[0]))
    save_png(found.curve(), files[-1])
    means = [(scale, sum(s for at, s in found.points if at == scale) / args.seeds) for scale in scales]
    if not args.quiet and not args.json:
        head = (tr("scale", "強さ"), tr("similarity", "類似度"))
        print_table([head, *((f"{scale:g}", f"{mean:.4f}") for scale, mean in means)])
    return told(files, {"means": {f"{scale:g}": round(mean, 6) for scale, mean in means}}, found.grid, time.monotonic() - start, args)


def _beside(file: Path) -> Path:
    return file.with_stem(f"{file.stem}-curve")


def _numbers(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError as error:
        raise KakusanError(
            f"--scales is {text!r}; give numbers with commas: 1,2,5", f"--scales が {text!r} です。例: 1,2,5 のように数を並べてください"
        ) from error
    return numbers
