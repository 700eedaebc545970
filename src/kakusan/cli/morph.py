"""`kakusan morph`: pictures on the way from one prompt to another, under one seed."""

import time
from typing import TYPE_CHECKING

from ..animation import MOVING, save_animation
from ..messages import tr
from . import options_recipe
from .album import Album
from .interrupts import Interrupts
from .parser import Arguments, Parser
from .progress import progress

if TYPE_CHECKING:
    from PIL.Image import Image

NAME = "morph"
HELP = ("pictures on the way from one prompt to another", "あるプロンプトから別のプロンプトへ移り変わる絵を描く")


def add_arguments(parser: Parser) -> None:
    """The two prompts, how many pictures, and what they have in common."""
    add = parser.add_argument
    add("first", metavar="FROM", help=tr("what to begin with", "最初に描くもの"))
    add("second", metavar="TO", help=tr("what to end with", "最後に描くもの"))
    add("--count", type=int, metavar="N", default=8, help=tr("how many pictures (default: 8)", "枚数 (既定値: 8)"))
    moving = tr("also save them one after another, as gif or webp", "続けて見せる gif か webp も保存")
    add("--animate", choices=MOVING, metavar="KIND", help=moving)
    add("--no-grid", action="store_true", help=tr("no grid of all pictures", "一覧画像を作らない"))
    options_recipe.add_arguments(parser)


def run(args: Arguments) -> int:
    """Draw and save the pictures, all of one seed. Ctrl-C ends it early: what is finished is kept."""
    start = time.monotonic()
    pipe = options_recipe.opened(args)
    from ..variations import between

    given = options_recipe.given(args)
    seed = given.pop("seed")
    recipes = between(pipe, args.first, args.second, args.count, seed, given)  # type: ignore[arg-type]
    album = Album(args.outdir, recipes, pipe.preview)
    images: dict[int, Image] = {}
    with Interrupts() as interrupts, progress(len(recipes), args.quiet) as show:
        for step in pipe.steps(recipes):
            with interrupts.held():
                if step.image is not None:
                    images[step.picture] = step.image
                album.take(step)
                show(step)
            if interrupts.asked:
                raise KeyboardInterrupt
    if not args.no_grid:
        album.add_grid()
    files = [album.files[i] for i in range(args.count)]
    if args.animate:
        moving = files[0].with_stem(f"{files[0].stem}-morph").with_suffix(f".{args.animate}")
        ahead = [images[i] for i in range(args.count)]
        save_animation([*ahead, *ahead[-2:0:-1]], moving, 0.25)  # there and back again
        files.append(moving)
    if album.sheet:
        files.append(album.sheet)
    return options_recipe.listed(files, recipes[0].seed, pipe.notes(recipes), time.monotonic() - start, args)
