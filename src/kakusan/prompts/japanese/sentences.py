"""Phrases of Japanese as English, and whether one goes on behind a comma."""

from collections.abc import Sequence

from . import function_words as small
from .grammar import Reader
from .segmentation import Token

MOST_TOKENS = 60
"""Words that are read together; no phrase that anybody writes is longer."""

OPEN_ENDS = frozenset(["を", "に", "が", "は", "で", "も", "と", "や", "の", "から", "へ"])


def english(tokens: Sequence[Token]) -> str:
    """A phrase in English."""
    told = []
    for start in range(0, len(tokens), MOST_TOKENS):
        reader = Reader(list(tokens[start : start + MOST_TOKENS]))
        told.append(reader.read())
    return " ".join(part for part in told if part)


def unfinished(tokens: Sequence[Token]) -> bool:
    """Whether a phrase goes on behind a comma: it ends in a particle, or in a verb's 〜て."""
    last = tokens[-1] if tokens else None
    if last is None:
        return False
    if last.kind == "particle":
        return last.text in OPEN_ENDS or last.text in small.SAME_AS
    if last.kind == "phrase":
        return small.PHRASES[last.text].startswith("with {}")
    return last.kind == "verb" and last.form is not None and last.form.kind in ("te", "while")
