"""Options for how prompts are read."""

from dataclasses import replace
from typing import TYPE_CHECKING

from ..messages import tr
from .parser import Arguments, Parser

if TYPE_CHECKING:
    from ..tasks.wording import Wording

DIALECTS = ("a1111", "comfyui", "compel", "plain")
EMPHASES = ("none", "ignore", "original", "no_norm", "comfyui", "compel")


def add_arguments(parser: Parser) -> None:
    """Dialect, weights, layers, and where long prompts are cut."""
    add = parser.add_argument
    add_dialect(parser)
    emphasis = tr(
        "what weights do: none (brackets are text), ignore, original, no_norm, comfyui, compel (default: the dialect's own)",
        "重みの効き方: none (括弧も文字), ignore, original, no_norm, comfyui, compel (既定値: 書き方に応じたもの)",
    )
    add("--emphasis", choices=EMPHASES, metavar="HOW", help=emphasis)
    skip = tr(
        "use the text encoder up to its N-th layer from the end (default: 1, all)",
        "テキストエンコーダーを後ろから N 番目の層までで止める (既定値: 1、全部)",
    )
    add("--clip-skip", type=int, metavar="N", help=skip)
    pad = tr(
        "fill the shorter of prompt and negative prompt up with the empty prompt",
        "プロンプトとネガティブの短いほうを空のプロンプトで埋める",
    )
    add("--pad-prompts", action="store_true", help=pad)


def add_dialect(parser: Parser) -> None:
    """What decides how a text is taken apart."""
    add = parser.add_argument
    dialect = tr(
        "how prompts are written: a1111 (default), comfyui, compel, or plain (as they stand)",
        "プロンプトの書き方: a1111 (既定値), comfyui, compel, plain (書いたまま)",
    )
    add("--dialect", choices=DIALECTS, metavar="NAME", help=dialect)
    comma = tr(
        "a prompt longer than one chunk is cut at a comma at most N tokens before the end (default: 20; 0: anywhere)",
        "長いプロンプトは、終わりから N トークン以内の読点 (,) で切る (既定値: 20、0 ならどこでも)",
    )
    add("--comma", type=int, metavar="N", help=comma)
    old = tr("prompt editing as AUTOMATIC1111's web UI before 1.6 counted", "プロンプト編集を AUTOMATIC1111 の 1.6 より前の数え方にする")
    add("--old-timelines", action="store_true", help=old)


def given(args: Arguments) -> dict[str, object]:
    """What the options say, by the name of the recipe's field. Raises KakusanError on what cannot be."""
    return {"wording": wording(args)}


def wording(args: Arguments) -> "Wording":
    """How the prompts are read; a command that only takes them apart has not all of the options."""
    from ..tasks.wording import USUALLY

    said = {"dialect": args.dialect, "backtrack": args.comma, "old_timelines": args.old_timelines or None}
    said |= {name: getattr(args, name, None) for name in ("emphasis", "clip_skip")} | {"pad": getattr(args, "pad_prompts", None)}
    return replace(USUALLY, **{name: value for name, value in said.items() if value is not None})
