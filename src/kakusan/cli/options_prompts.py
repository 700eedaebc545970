"""Options for many prompts at once: from a file, in every combination, in styles, with words left to chance."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import FileError, KakusanError
from ..messages import tr
from ..prompts.matrix import combinations
from ..prompts.requests import Request, read_requests
from ..prompts.styles import named, read_styles, styled
from ..prompts.wildcards import Wildcards
from .parser import Arguments, Parser

if TYPE_CHECKING:
    from ..tasks.recipe import Recipe


def add_arguments(parser: Parser) -> None:
    """Where prompts come from, and what is put round them."""
    add = parser.add_argument
    prompts = tr(
        "a prompt on each line, with options such as --steps 12 behind it; - is standard input",
        "1 行に 1 つのプロンプト。後ろに --steps 12 のように書ける。- は標準入力",
    )
    add("--prompts", metavar="FILE", help=prompts)
    matrix = tr('draw every combination: "a cat|with a hat|at night"', "すべての組み合わせを描く: 「猫|帽子|夜」")
    add("--matrix", action="store_true", help=matrix)
    style = tr("put this style's words round the prompt; may be repeated", "このスタイルのことばを加える。何度でも")
    add("--style", metavar="NAME", action="append", default=[], help=style)
    add("--styles", metavar="FILE", type=Path, help=tr("where styles are: .csv or .toml", "スタイルのファイル: .csv か .toml"))
    wildcards = tr("where __colour__ in a prompt is colour.txt", "プロンプトの __colour__ を colour.txt から選ぶフォルダー")
    add("--wildcards", metavar="FOLDER", type=Path, help=wildcards)


def requests(args: Arguments, prompt: Callable[[Arguments], str]) -> list[Request]:
    """Everything that is asked for, with its styles. prompt: tells the one of the command line.

    Raises KakusanError on what cannot be read or understood.
    """
    given = [Request(prompt(args))] if args.prompts is None else _of_file(args)
    if args.styles is None and (args.style or any(request.styles for request in given)):
        raise KakusanError("a style needs a file of styles; give one with --styles", "スタイルには --styles でファイルが必要です")
    styles = {} if args.styles is None else read_styles(args.styles)
    made = []
    for request in given:
        chosen = named([*args.style, *request.styles], styles)
        negative = args.negative if request.negative is None else request.negative
        for words in combinations(request.prompt) if args.matrix else [request.prompt]:
            text, avoided = styled(words, negative, chosen)
            made.append(replace(request, prompt=text, negative=avoided))
    return made


def chance(args: Arguments) -> "Callable[[Recipe], Recipe]":
    """What makes of a recipe the one whose words its seed has chosen; "plain" prompts stay as they stand."""
    wildcards = Wildcards(args.wildcards)

    def chosen(recipe: "Recipe") -> "Recipe":
        if recipe.wording.dialect == "plain":
            return recipe
        seed = recipe.variation_seed if recipe.variation_strength else recipe.seed
        return replace(recipe, prompt=wildcards(recipe.prompt, seed), negative=wildcards(recipe.negative, seed, "negative"))

    return chosen


def _of_file(args: Arguments) -> list[Request]:
    if args.words or args.prompt is not None:
        raise KakusanError("a prompt and --prompts are both given; leave one out", "プロンプトと --prompts は片方だけにしてください")
    name = tr("standard input", "標準入力") if args.prompts == "-" else args.prompts
    try:
        data = sys.stdin.buffer.read() if args.prompts == "-" else Path(args.prompts).read_bytes()
        return read_requests(data.decode(), name)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise FileError(f"{name}: cannot be read ({reason})", f"{name}: 読み込めません ({reason})") from error
