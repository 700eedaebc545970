"""`kakusan fork`: one run that goes on under several prompts, its beginning drawn once for all."""

import time

from ..errors import KakusanError
from ..messages import tr
from . import options_recipe
from .album import Album
from .interrupts import Interrupts
from .parser import Arguments, Parser
from .progress import progress

NAME = "fork"
HELP = ("begin one picture, and end it under several prompts", "1 枚を描き始め、途中から別々のプロンプトで描き終える")


def add_arguments(parser: Parser) -> None:
    """The prompt to begin with, those to go on with, and when."""
    add = parser.add_argument
    add("prompt", metavar="PROMPT", help=tr("what to begin with", "最初に描くもの"))
    add("others", metavar="OTHER", nargs="+", help=tr("what to go on with, a picture each", "途中から描くもの。1 つにつき 1 枚"))
    after = tr("after so many evaluations of the network", "ネットワークを何回使ったあとで分かれるか")
    add("--at", type=int, metavar="N", required=True, help=after)
    add("--no-grid", action="store_true", help=tr("no grid of all pictures", "一覧画像を作らない"))
    options_recipe.add_arguments(parser)


def run(args: Arguments) -> int:
    """Draw and save a picture for each prompt, the first prompt's own run among them. Ctrl-C ends it: what is finished is kept."""
    start = time.monotonic()
    pipe = options_recipe.opened(args)
    from ..variations import fork, forked

    given = options_recipe.given(args)
    seed = given.pop("seed")
    (recipe,) = pipe.recipes(args.prompt, 1, seed, given)  # type: ignore[arg-type]
    most = pipe.evaluations(recipe) - 3  # texts and decoder
    if args.at > most:
        raise KakusanError(
            f"--at is {args.at}; this run makes {most + 1} evaluations, so at most {most}",
            f"--at が {args.at} です。この描画は {most + 1} 回なので、{most} 以下にしてください",
        )
    prompts = [args.prompt, *args.others]
    recipes = forked(pipe, recipe, args.at, prompts)
    album = Album(args.outdir, recipes, pipe.preview)
    with Interrupts() as interrupts, progress(len(recipes), args.quiet) as show:

        def take(step: object) -> None:
            with interrupts.held():
                album.take(step)  # type: ignore[arg-type]
                show(step)  # type: ignore[arg-type]
            if interrupts.asked:
                raise KeyboardInterrupt

        result = fork(pipe, recipe, args.at, prompts, on_step=take)
    if not args.no_grid:
        album.add_grid()
    files = [album.files[i] for i in range(len(recipes))]
    return options_recipe.listed(
        [*files, *([album.sheet] if album.sheet else [])], recipe.seed, result.notes, time.monotonic() - start, args
    )
