"""What every command that draws words takes: the model, the settings of its pictures, where they go."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..images import check_writable, next_path, save_bytes, save_png
from ..messages import tr
from .interrupts import Interrupts
from .parser import Arguments, Parser
from .progress import said_if_slow
from .table import print_json

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..pipeline import Pipeline
    from ..result import Step
    from ..tasks.recipe import Recipe

SETTINGS = ("negative", "steps", "sampler", "schedule", "scale", "width", "height")


def add_arguments(parser: Parser) -> None:
    """Settings of all pictures alike; what is left out is the model's own choice."""
    add = parser.add_argument
    add("-n", "--negative", metavar="TEXT", default="", help=tr("what to avoid", "避けるもの"))
    add("--steps", type=int, metavar="N", help=tr("more steps: slower and usually cleaner", "多いほど遅く、たいていきれいに"))
    add("--sampler", metavar="NAME", help=tr("see: kakusan samplers", "一覧: kakusan samplers"))
    add("--schedule", metavar="NAME", help=tr("see: kakusan schedules", "一覧: kakusan schedules"))
    add("--scale", type=float, metavar="X", help=tr("guidance: 1 is none", "ガイダンス。1 で無し"))
    add("--seed", type=int, metavar="N", help=tr("chosen at random if left out", "省略すると無作為"))
    add("--width", type=int, metavar="N", help=tr("width in pixels", "幅 (画素)"))
    add("--height", type=int, metavar="N", help=tr("height in pixels", "高さ (画素)"))
    add("--model", metavar="PATH", help=tr("a model (default: the one that comes along)", "モデル (既定値: 付属のもの)"))
    device = tr("cpu, cuda, mps, ... (default: the fastest)", "cpu, cuda, mps など (既定値: 最速のもの)")
    add("--device", metavar="NAME", default="auto", help=device)
    where = tr("where to save (default: outputs)", "保存先 (既定値: outputs)")
    add("--outdir", metavar="FOLDER", type=Path, default=Path("outputs"), help=where)
    add("--json", action="store_true", help=tr("print one JSON object", "結果を JSON で出力"))
    add("-q", "--quiet", action="store_true", help=tr("print only the names of files", "ファイル名だけを出力"))


def given(args: Arguments) -> dict[str, object]:
    """The settings by the names of a recipe's fields, and `seed`; None for what is left out."""
    return {name: getattr(args, name) for name in (*SETTINGS, "seed")}


def opened(args: Arguments) -> "Pipeline":
    """The model that is asked for. Raises FileError if the folder for pictures cannot be written."""
    check_writable(args.outdir)
    with said_if_slow(tr("loading the model ...", "モデルを読み込んでいます ..."), args.quiet):
        from ..loading import load

        return load(args.model, device=args.device)


def saved(picture: "Image", folder: Path, stem: str, parameters: str, texts: Callable[[Path], dict[str, str]]) -> list[Path]:
    """Write a picture under the next free number, and texts beside it: by ending, of the picture's path. Returns all paths."""
    while True:
        path = next_path(folder, stem)
        try:
            save_png(picture, path, parameters)
        except FileExistsError:
            continue
        break
    beside = {path.with_suffix(ending): text for ending, text in texts(path).items()}
    for file, text in beside.items():
        save_bytes(text.encode(), file)
    return [path, *beside]


@contextmanager
def kept(args: Arguments, show: "Callable[[Step], None]") -> "Iterator[Callable[[Step], None]]":
    """What takes the steps of a sheet: if Ctrl-C ends it early, the pictures that are finished are saved, each by itself.

    show: what is to see them as well.
    """
    finished: list[tuple[Image, Recipe]] = []

    def take(step: "Step") -> None:
        if step.image is not None and step.recipe is not None:
            finished.append((step.image, step.recipe))
        show(step)

    with Interrupts() as interrupts:
        try:
            yield take
        except KeyboardInterrupt:
            with interrupts.held():
                for picture, recipe in finished:
                    print(*saved(picture, args.outdir, str(recipe.seed), recipe.parameters(), lambda path: {}))
            raise


def listed(files: Sequence[Path], seed: int, notes: Sequence[str], seconds: float, args: Arguments) -> int:
    """Say what was written, under which seed, and what should be known about it; the exit code."""
    if args.json:
        print_json({"files": [str(file) for file in files], "seed": seed, "notes": list(notes), "seconds": round(seconds, 3)})
        return 0
    print(*files, sep="\n", flush=True)
    if not args.quiet:
        for note in notes:
            print(f"{tr('note', '注意')}: {note}", file=sys.stderr)
        print(tr(f"seed {seed}  ({seconds:.1f} s)", f"シード {seed}  ({seconds:.1f} 秒)"), file=sys.stderr)
    return 0
