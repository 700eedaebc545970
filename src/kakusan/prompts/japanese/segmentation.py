"""A run of Japanese, cut into words: the cheapest way through everything the lexicon knows, longest words first."""

import re
from typing import NamedTuple

from . import function_words as small
from .inflection import Form, endings
from .kana import romanised
from .lexicon import Word, lexicon
from .numerals import Count, count_at

HIRAGANA = re.compile(r"[ぁ-ゖ]+")
KATAKANA = re.compile(r"[ァ-ヶー][ァ-ヶー・]*")
KANA = re.compile(r"[ぁ-ゖァ-ヶー]")
LONGEST_ENDING = 14
SLOT = "\uf8ff"
"""Stands for a piece that is not to be translated, a private character that no text has; see `phrases.Opaque`."""

CONTENT, KANA_CONTENT, PARTICLE, UNKNOWN = 10.0, 12.0, 5.0, 60.0


class Token(NamedTuple):
    """One word of a phrase.

    kind: of the lexicon noun, attr, na, i, adv, verb; particle, phrase, beside, ending, beginning, copula, request of
    `function_words`; count, unknown, slot.
    """

    text: str
    kind: str
    word: Word | None = None
    form: Form | None = None
    number: Count | None = None
    english: str = ""


Ways = list[dict[str, tuple[float, Token | None, int, str]]]
"""For each place of a text and each kind of word that may end there: the cost, the word, where it begins, the kind before it."""


def segmented(text: str) -> list[Token]:
    """The words of a run of Japanese without punctuation. Time grows with its length."""
    ways: Ways = [{} for _ in range(len(text) + 1)]
    ways[0]["start"] = (0.0, None, 0, "")
    for at in range(len(text)):
        if ways[at]:
            for token, cost in _candidates(text, at):
                _reach(ways, at, token, cost)
    last = min(ways[-1], key=lambda kind: ways[-1][kind][0])
    tokens: list[Token] = []
    at = len(text)
    while at:
        _, word, before, kind = ways[at][last]
        assert word is not None
        tokens.append(word)
        at, last = before, kind
    return tokens[::-1]


def _reach(ways: Ways, at: int, token: Token, cost: float) -> None:
    """Note that `token` leads from `at` to its end, if no cheaper way ends there with a word of its kind."""
    kind, before = min(ways[at], key=lambda k: ways[at][k][0] + _joint(k, token)), ways[at]
    total = before[kind][0] + cost + _joint(kind, token)
    there = ways[at + len(token.text)]
    name = _kind(token)
    if name not in there or total < there[name][0]:
        there[name] = (total, token, at, kind)


def _kind(token: Token) -> str:
    if token.kind == "verb" and token.form is not None and token.form.kind == "stem":
        return "stem"
    return token.kind


def _joint(before: str, token: Token) -> float:
    """What it costs to have a word behind another one, by their kinds."""
    kind = token.kind
    nominal = before in ("noun", "slot", "unknown", "count", "beside", "ending")
    if kind in ("ending", "beside") or (kind == "phrase"):
        return 0.0 if nominal else 0.0 if kind == "beside" and before in ("particle", "attr", "verb") else 40.0
    if kind == "particle":
        fitting = nominal or before in ("verb", "na", "adv", "i") or (before == "particle" and token.text in ("の", "も", "は"))
        return 0.0 if fitting else 4.0 if before in ("start", "attr") else 9.0
    if kind == "copula":
        return 0.0 if nominal or before in ("na", "i", "verb") else 30.0
    if before == "stem":
        return 0.0 if kind == "verb" else 8.0
    if before == "beginning":
        return 0.0 if kind == "noun" else 50.0
    if nominal and kind == "verb":
        return 3.0
    return 1.0 if nominal and kind in ("noun", "unknown") else 0.0


def _candidates(text: str, at: int) -> list[tuple[Token, float]]:
    """Every word that may begin at `at`, with its cost."""
    if text[at] == SLOT:
        return [(Token(SLOT, "slot"), CONTENT)]
    found = [*_small_words(text, at), *_known(text, at), *_unknown(text, at)]
    if (count := count_at(text, at)) is not None:
        found.append((Token(text[at : at + count.length], "count", number=count), CONTENT - 3))
    return found


def _small_words(text: str, at: int) -> list[tuple[Token, float]]:
    found = []
    for length in range(1, min(_REACH.get(text[at], 0), len(text) - at) + 1):
        piece = text[at : at + length]
        for kind, cost in _SMALL.get(piece, ()):
            if kind != "request" or at + length == len(text):
                found.append((Token(piece, kind), cost))
    return found


def _known(text: str, at: int) -> list[tuple[Token, float]]:
    book = lexicon()
    found: list[tuple[Token, float]] = []
    for length in range(min(book.reach.get(text[at], 0), len(text) - at) + 1):
        piece = text[at : at + length]
        for word in book.words.get(piece, ()):
            found.append((Token(piece, word.kind, word), _cost(piece) - (1.0 if word.kind == "attr" else 0.0)))
        for word, name in book.stems.get(piece, ()):
            found += _inflected(text, at, length, word, name)
    return found


def _inflected(text: str, at: int, length: int, word: Word, name: str) -> list[tuple[Token, float]]:
    """The longest ending that follows a stem, and every other one."""
    found = []
    table = endings(name)
    begin = at + length
    for end in range(begin, min(begin + LONGEST_ENDING, len(text)) + 1):
        form = table.get(text[begin:end])
        if form is not None and end > at:
            piece = text[at:end]
            cost = _cost(piece, stem=length) + (4.0 if form.kind == "stem" else 0.0) + 0.1 * (end - begin)
            found.append((Token(piece, word.kind, word, form), cost))
    return found


def _cost(piece: str, stem: int = 2) -> float:
    """Short words in hiragana are mostly something else."""
    if HIRAGANA.fullmatch(piece):
        return KANA_CONTENT + {1: 20.0, 2: 4.0}.get(len(piece), 0.0) + (4.0 if stem < 2 else 0.0)
    return CONTENT + (1.0 if len(piece) == 1 else 0.0)


def _unknown(text: str, at: int) -> list[tuple[Token, float]]:
    """A whole run of katakana, a name perhaps; a single character of anything else."""
    one = (Token(text[at], "unknown", english=romanised(text[at]) if KANA.match(text[at]) else ""), UNKNOWN)
    if KATAKANA.match(text[at]) is None or (at and KATAKANA.match(text[at - 1])):
        return [one]
    run = KATAKANA.match(text, at)
    return [(Token(run[0], "unknown", english=romanised(run[0])), UNKNOWN / 2), one] if run else [one]


def _small() -> dict[str, tuple[tuple[str, float], ...]]:
    found: dict[str, tuple[tuple[str, float], ...]] = {}
    tables = (
        ("particle", small.PARTICLES, PARTICLE), ("phrase", small.PHRASES, PARTICLE + 1), ("beside", small.BESIDE, CONTENT - 1),
        ("ending", small.ENDINGS, PARTICLE), ("beginning", small.BEGINNINGS, CONTENT + 2), ("copula", small.COPULAS, PARTICLE),
        ("request", small.REQUESTS, PARTICLE),
    )  # fmt: skip
    for kind, table, cost in tables:
        for text in table:
            found[text] = (*found.get(text, ()), (kind, cost))
    return found


_SMALL = _small()
_REACH = {word[0]: max(len(other) for other in _SMALL if other[0] == word[0]) for word in _SMALL}
