"""`kakusan draw`, or just `kakusan "words"`: words in, picture out."""

import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import KakusanError
from ..images import check_writable
from ..messages import tr
from ..prompts.requests import Request
from . import (
    options_editing,
    options_judging,
    options_large,
    options_like,
    options_lora,
    options_mask_text,
    options_prompts,
    options_safety,
    options_translate,
    options_wording,
)
from .album import Album
from .interrupts import Interrupts
from .parser import Arguments, Parser
from .plan import Plan, mask_file
from .progress import progress, said_if_slow
from .table import print_json

if TYPE_CHECKING:
    from ..pipeline import Pipeline
    from ..tasks.fitting import Picture
    from ..tasks.recipe import Recipe

NAME = "draw"
HELP = ("draw a picture of words; the name of this command may be left out", "ことばから絵を描く。コマンド名は省略できます")
OPTIONS = (
    options_wording,
    options_translate,
    options_editing,
    options_mask_text,
    options_large,
    options_lora,
    options_like,
    options_safety,
    options_judging,
)
"""Modules with options of one subject each: `add_arguments(parser)`."""


def add_arguments(parser: Parser) -> None:
    """What can be chosen about a picture, and what becomes of it; what is left out is the model's own choice."""
    add = parser.add_argument
    add(
        "words",
        nargs="*",
        metavar="PROMPT",
        help=tr("what to draw (after -- if it begins with a dash)", "描くもの (- で始まるときは -- の後に)"),
    )
    add_options(parser)
    options_prompts.add_arguments(parser)


def add_options(parser: Parser) -> None:
    """All of it but the words themselves."""
    add = parser.add_argument
    add("-p", "--prompt", metavar="TEXT", help=tr("the same, as an option", "同じことをオプションで"))
    add("-n", "--negative", metavar="TEXT", default="", help=tr("what to avoid", "避けるもの"))
    add("--steps", type=int, metavar="N", help=tr("more steps: slower and usually cleaner", "多いほど遅く、たいていきれいに"))
    add("--sampler", metavar="NAME", help=tr("see: kakusan samplers", "一覧: kakusan samplers"))
    add("--schedule", metavar="NAME", help=tr("see: kakusan schedules", "一覧: kakusan schedules"))
    add(
        "--scale",
        type=float,
        metavar="X",
        help=tr("guidance: 1 is none, more keeps closer to the words", "ガイダンス。1 で無し、大きいほどことばに忠実"),
    )
    add(
        "--seed",
        type=int,
        metavar="N",
        help=tr("same seed, same picture; chosen at random if left out", "同じシードなら同じ絵。省略すると無作為"),
    )
    add("--width", type=int, metavar="N", help=tr("width in pixels", "幅 (画素)"))
    add("--height", type=int, metavar="N", help=tr("height in pixels", "高さ (画素)"))
    add("--count", type=int, metavar="N", default=1, help=tr("how many pictures, with seeds counting up", "枚数。シードは 1 ずつ増えます"))
    add(
        "--model",
        metavar="FOLDER",
        help=tr("a model in diffusers' layout (default: the one that comes along)", "diffusers 形式のモデル (既定値: 付属のもの)"),
    )
    add(
        "--device",
        metavar="NAME",
        default="auto",
        help=tr("cpu, cuda, mps, ... (default: the fastest)", "cpu, cuda, mps など (既定値: 最速のもの)"),
    )
    add(
        "--outdir",
        metavar="FOLDER",
        type=Path,
        default=Path("outputs"),
        help=tr("where to save (default: outputs)", "保存先 (既定値: outputs)"),
    )
    add(
        "--show-steps",
        type=int,
        metavar="N",
        help=tr("also save the estimate every N evaluations, and a strip", "N 回ごとの途中経過と一覧も保存"),
    )
    for module in OPTIONS:
        module.add_arguments(parser)
    add("--no-grid", action="store_true", help=tr("no grid of several pictures", "複数枚でも一覧画像を作らない"))
    add("--json", action="store_true", help=tr("print one JSON object", "結果を JSON で出力"))
    add("-q", "--quiet", action="store_true", help=tr("print only the names of files", "ファイル名だけを出力"))


def run(args: Arguments) -> int:
    """Draw, save and list pictures. Ctrl-C or a fault ends it early: what is finished is kept and listed."""
    start = time.monotonic()
    asked = options_prompts.requests(args, prompt)
    worded = options_prompts.chance(args)
    if args.show_steps is not None and args.show_steps < 1:
        raise KakusanError(
            f"--show-steps is {args.show_steps}; it must be at least 1", f"--show-steps が {args.show_steps} です。1 以上にしてください"
        )
    check_writable(args.outdir)
    with said_if_slow(tr("loading the model ...", "モデルを読み込んでいます ..."), args.quiet):
        from ..loading import load

        pipe = load(options_editing.model(args), device=args.device, **options_safety.loading(args))
        options_lora.prepare(pipe, args)
    return drawn(pipe, asked, args, given(args), [], start, worded)


def drawn(
    pipe: "Pipeline",
    asked: Sequence[Request],
    args: Arguments,
    options: dict[str, object],
    notes: list[str],
    start: float,
    worded: "Callable[[Recipe], Recipe]" = lambda recipe: recipe,
) -> int:
    """Carry out what is asked for, and tell of it. options: by the names of a recipe's fields; start: when it was asked for.

    worded: puts a picture's own words into its recipe.
    """
    from .remembering import Remembering

    hashing = tr("hashing the model's weights, once ...", "モデルの重みのハッシュを計算しています (初回のみ) ...")
    with said_if_slow(hashing, args.quiet):
        remembering = Remembering(pipe)
    plan = Plan(pipe, asked, args, options, cache(lambda original: _mask(pipe, original, args)), remembering.begun, worded)
    notes = [*notes, *pipe.notes(plan.recipes), *pipe.afterwards().notes, *options_large.notes(args)]
    if not args.quiet:
        _say(notes)
    preview = options_judging.preview(pipe, args)
    album = Album(args.outdir, plan.recipes, preview, args.show_steps, plan.names, args.format, remembering.text)
    watch = options_judging.Watch(pipe, args)
    try:
        interrupted = _draw(plan, album, watch, args)
    except Exception:
        if album.files:
            _report(album, watch, notes, time.monotonic() - start, True, args)
        raise
    flagged = pipe.afterwards().told(list(album.flags.values()), [album.recipes[i].watermark for i in album.files])
    if not args.quiet:
        _say(flagged)
    _report(album, watch, notes + flagged, time.monotonic() - start, interrupted, args)
    return 130 if interrupted else 0


def prompt(args: Arguments) -> str:
    """The words. Raises KakusanError if there are none, or twice."""
    if args.prompt is not None and args.words:
        raise KakusanError("the prompt is given twice; leave out --prompt", "プロンプトが 2 つあります。--prompt を外してください")
    if args.prompt is None and not args.words:
        raise KakusanError('no prompt; try: kakusan "a red apple"', 'プロンプトがありません。例: kakusan "赤いりんご"')
    words = " ".join(args.words) if args.prompt is None else str(args.prompt)
    try:
        (words + args.negative).encode()
    except UnicodeEncodeError as error:
        raise KakusanError("the prompt is not valid UTF-8", "プロンプトの文字コードが UTF-8 ではありません") from error
    return words


def given(args: Arguments) -> dict[str, object]:
    """What the options say, by the names of a recipe's fields; None for what they leave out."""
    names = ("negative", "steps", "sampler", "schedule", "scale", "width", "height")
    said = (
        {name: getattr(args, name) for name in names}
        | options_editing.given(args)
        | options_judging.given(args)
        | options_large.given(args)
        | options_lora.given(args)
        | options_wording.given(args)
        | options_translate.given(args)
    )
    return said | options_like.given(args, said)


def _mask(pipe: "Pipeline", original: Path, args: Arguments) -> "Picture | None":
    """The mask of one original, from a file or from words."""
    if args.mask is not None and args.mask_text is not None:
        raise KakusanError("--mask and --mask-text are both given; leave one out", "--mask と --mask-text は片方だけにしてください")
    return mask_file(args, original) or options_mask_text.mask(pipe, original, args)


def _say(notes: list[str]) -> None:
    for note in notes:
        print(f"{tr('note', '注意')}: {note}", file=sys.stderr)


def _draw(plan: Plan, album: Album, watch: options_judging.Watch, args: Arguments) -> bool:
    """Fill the album; True if it was interrupted."""
    try:
        with Interrupts() as interrupts, progress(len(plan.recipes), args.quiet) as show:
            for step, depth in options_large.enlarged(plan, args):
                if interrupts.asked and step.image is None:  # pictures finished in the same moment were still taken
                    raise KeyboardInterrupt
                with interrupts.held():
                    if depth is not None:
                        album.add_depth(step.picture, depth)
                    album.take(step)
                    watch.take(step, album.recipes[step.picture], album.files.get(step.picture))
                    show(step)
            with interrupts.held():
                if not args.no_grid:
                    album.add_grid()
    except KeyboardInterrupt:
        return True
    return False


def _report(album: Album, watch: options_judging.Watch, notes: list[str], seconds: float, interrupted: bool, args: Arguments) -> None:
    order = sorted(album.files)
    files = [str(album.files[i]) for i in order]
    recipes = [album.recipes[i] for i in order]
    if args.json:
        report = {
            "files": files,
            "grid": str(album.sheet) if album.sheet else None,
            "steps": [str(path) for path in album.estimates],
            "animations": [str(path) for path in watch.files],
            "depths": [str(path) for path in album.depths],
            "seeds": [recipe.seed for recipe in recipes],
            "scores": [round(watch.scores[i], 6) for i in order if i in watch.scores],
            "parameters": [recipe.parameters() for recipe in recipes],
            "notes": notes,
            "seconds": round(seconds, 3),
            "interrupted": interrupted,
        }
        print_json(report)
        return
    for path in [*files, *map(str, [*album.estimates, *watch.files, *album.depths]), *([str(album.sheet)] if album.sheet else [])]:
        print(path)
    if args.quiet:
        return
    sys.stdout.flush()
    if interrupted:
        print(
            tr(f"stopped after {len(files)} of {len(album.recipes)} pictures", f"中断しました ({len(album.recipes)} 枚中 {len(files)} 枚)"),
            file=sys.stderr,
        )
    for line in watch.told():
        print(line, file=sys.stderr)
    if recipes:
        seeds = ", ".join(str(recipe.seed) for recipe in recipes)
        print(tr(f"seed {seeds}  ({seconds:.1f} s)", f"シード {seeds}  ({seconds:.1f} 秒)"), file=sys.stderr)
