"""`kakusan txt2img`: CompVis's scripts/txt2img.py, flag for flag. Words without a flag, or flags of `kakusan draw`, go there."""

from collections.abc import Sequence

from ..compat.compvis import flags, txt2img
from . import draw
from .parser import Arguments, Parser
from .reference import run_script

NAME = "txt2img"
HELP = (
    "the reference script of Stable Diffusion, flag for flag (with draw's flags: draw)",
    "Stable Diffusion の参照スクリプト (draw のオプションがあれば draw)",
)


def add_arguments(parser: Parser) -> None:
    """The script's own flags."""
    flags.add_txt2img(parser)


def run(args: Arguments) -> int:
    """Do as the script does."""
    return run_script(txt2img.prepare, args)


def is_drawing(words: Sequence[str]) -> bool:
    """Whether `words` behind `kakusan txt2img` are meant for `draw`: one of them is no flag, or a flag that only draw has."""
    ours, script = Parser(draw.NAME), Parser(NAME)
    draw.add_arguments(ours)
    add_arguments(script)
    known, others = options(script), options(ours)
    given = [word.partition("=")[0] for word in words if word.startswith("-")]
    if "--" in given or any(word in others and word not in known for word in given):
        return True
    if any(word not in known for word in given):
        return False  # a slip: the script says so
    return bool(stray(words, known))


def options(parser: Parser) -> dict[str, bool]:
    """The parser's flags, and whether each takes a value."""
    return {word: action.nargs != 0 for action in parser._actions for word in action.option_strings}


def stray(words: Sequence[str], takes_value: dict[str, bool]) -> list[str]:
    """The words that are neither flags nor their values."""
    left, value = [], False
    for word in words:
        name, equals, _ = word.partition("=")
        if not value and name not in takes_value:
            left.append(word)
        value = not value and takes_value.get(name, False) and not equals
    return left
