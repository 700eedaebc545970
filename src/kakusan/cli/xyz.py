"""`kakusan grid`: one picture for each combination of two or three settings, on one labelled sheet."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..messages import tr
from . import options_recipe
from .parser import Arguments, Parser
from .progress import progress
from .table import print_json

if TYPE_CHECKING:
    from ..grids import Grid

NAME = "grid"
HELP = ("compare settings: a labelled sheet over two or three of them", "設定を 2 つか 3 つ変えて比べる表を描く")


def add_arguments(parser: Parser) -> None:
    """The prompt, the axes, and what all pictures have in common."""
    add = parser.add_argument
    add("prompt", metavar="PROMPT", help=tr("what to draw", "描くもの"))
    add("--x", required=True, metavar="NAME=A,B", help=tr('columns: "steps=10,20"', "横に並べる設定。例: steps=10,20"))
    add("--y", metavar="NAME=A,B", help=tr('rows: "sampler=euler,ddim"', "縦に並べる設定。例: sampler=euler,ddim"))
    add("--z", metavar="NAME=A,B", help=tr('blocks: "prompt=apple,star" puts star where apple is', "段。prompt=りんご,星 で置き換え"))
    add("--image", type=Path, metavar="FILE", help=tr("a picture to begin with, for the axis strength", "元の画像 (軸 strength 用)"))
    options_recipe.add_arguments(parser)


def run(args: Arguments) -> int:
    """Draw all pictures in one run; save the sheet, and beside it a CSV and a JSON file that say how each was made."""
    start = time.monotonic()
    from ..grids import Axis, xyz
    from ..tasks.beginning import Asked

    x, y, z = (None if text is None else Axis.parse(text) for text in (args.x, args.y, args.z))
    assert x is not None
    pipe = options_recipe.opened(args)
    begin = None if args.image is None else Asked(args.image, size=(args.width, args.height))
    pictures = 1
    for axis in (x, y, z):
        pictures *= len(axis.values) if axis else 1
    with progress(pictures, args.quiet) as show, options_recipe.kept(args, show) as take:
        grid = xyz(pipe, args.prompt, x, y, z, options_recipe.given(args), begin, take)
    sheet = grid.sheet()
    parameters = grid.results.recipes[0].parameters()
    files = options_recipe.saved(sheet.picture, args.outdir, "grid", parameters, lambda path: _texts(grid, args.prompt, sheet.legend))
    return told(files, {"legend": dict(sheet.legend)}, grid, time.monotonic() - start, args)


def told(files: list[Path], more: dict[str, object], grid: "Grid", seconds: float, args: Arguments) -> int:
    """Say what was written, and what should be known about it."""
    notes = grid.results.notes
    if args.json:
        print_json({"files": [str(file) for file in files], **more, "notes": notes, "seconds": round(seconds, 3)})
        return 0
    for file in files:
        print(file)
    if not args.quiet:
        sys.stdout.flush()
        for note in notes:
            print(f"{tr('note', '注意')}: {note}", file=sys.stderr)
        drawn = len(grid.results.images)
        print(tr(f"{drawn} pictures  ({seconds:.1f} s)", f"{drawn} 枚  ({seconds:.1f} 秒)"), file=sys.stderr)
    return 0


def _texts(grid: "Grid", prompt: str, legend: object) -> dict[str, str]:
    from ..grids import table

    rows = grid.rows()
    whole = json.dumps({"prompt": prompt, "legend": legend, "pictures": rows}, ensure_ascii=False, indent=2)
    return {".csv": table(rows), ".json": f"{whole}\n"}
