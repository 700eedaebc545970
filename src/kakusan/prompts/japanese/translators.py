"""Who puts Japanese prompts into English: this package's tables, a Marian model, a function, or nobody."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from ...errors import KakusanError
from .layout import HAS_JAPANESE

Choice = str | Callable[[str], str]
"""off, lexicon, marian, marian:FOLDER, or a function from text to text."""

WORDS = ("off", "lexicon", "marian", "marian:FOLDER")


class Translator(NamedTuple):
    """name: lexicon, marian, callable, or hand. function: a whole prompt to English, and the words it does not know."""

    name: str
    function: Callable[[str], tuple[str, tuple[str, ...]]]


def translator(choice: Choice) -> Translator:
    """Who does it. Raises KakusanError on an unknown word, and where a Marian model cannot be had."""
    if callable(choice):
        return Translator("callable", lambda text: (_called(choice, text), ()))
    if choice == "off":
        return OFF
    if choice == "lexicon":
        return LEXICON
    name, _, place = choice.partition(":")
    if name == "marian":
        from .marian import marian

        told = marian(place or None)
        return Translator("marian", lambda text: (told(text), ()))
    words = ", ".join(WORDS)
    raise KakusanError(
        f"translate is {choice!r}; it must be one of {words}, or a function",
        f"translate が {choice!r} です。{words} のどれか、または関数にしてください",
    )


def by_hand(english: str, prompt: str) -> Translator:
    """The English of one prompt as its author has it; others are told by the tables."""
    return Translator("hand", lambda text: (english, ()) if text == prompt else _by_lexicon(text))


def is_japanese(text: str) -> bool:
    """Whether there is anything to translate."""
    return HAS_JAPANESE.search(text) is not None


@cache
def _by_lexicon(text: str) -> tuple[str, tuple[str, ...]]:
    from .translation import translate

    told = translate(text)
    return told.english, told.unknown


LEXICON = Translator("lexicon", _by_lexicon)
OFF = Translator("off", lambda text: (text, ()))


def _called(function: Callable[[str], str], text: str) -> str:
    """What a user's function makes of it. Raises KakusanError if it fails or gives no text."""
    try:
        english: object = function(text)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise KakusanError(f"the translating function failed: {why}", f"翻訳の関数が失敗しました: {why}") from error
    if not isinstance(english, str):
        kind = type(english).__name__
        raise KakusanError(f"the translating function gave {kind}, not a text", f"翻訳の関数が文字列ではなく {kind} を返しました")
    return english
