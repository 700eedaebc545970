r"""Prompts in Compel's grammar, InvokeAI's: word+ word-- (a phrase)1.3 "a phrase"++ ("a", "b").and(1, 0.5) ("a", "b").blend(0.7, 0.3).

The facts are of its `prompt_parser.py`, 2.x. A plus is 1.1, a minus 0.9, brackets multiply; brackets and quotes that mean something go
away; inside them only words, commas and full stops may stand. `.and` puts texts in a row, each in chunks of its own; `.blend` here mixes
what the U-Net finds, not the text states. withLora(name, 0.8) is a tag. What does not fit, `.swap` too, is text.
Time is linear in the length.
"""

import re
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from .prompt import BREAK, Part, Piece, Prompt, Stage, Tag

MORE, LESS = 1.1, 0.9
LIMIT = 1e6
"""Weights stay within this: beyond it a picture is noise anyhow."""
SIGNS = 150
"""More pluses or minuses than these change nothing that could be seen."""
NUMBER = r"(?:\d+\.\d*|\.\d+|\d+)"
WORD = re.compile(r'(?:\\[(),".+\-=]|[-+](?![\s(),".+\-=]|$)|[^\s(),".+\-=\\]++|\\)++')
OPERATOR = re.compile(rf"\++|-+|{NUMBER}")
ATTEND = re.compile(rf"\.attend\(\s*(\++|-+|-?{NUMBER})\s*\)")
SWAP = re.compile(r"\.swap\(")
LORA = re.compile(rf"(?:use|with)Lora\(\s*([\w-]+)\s*(?:,\s*([-+]?{NUMBER})\s*)?\)")
SPACE, FREE, LISTED = re.compile(r"\s+"), re.compile(r"\S+"), re.compile(r"\s*([,)])\s*")
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.S)
POINT = re.compile(r",|\.(?!swap\()")
JOINED = re.compile(rf"\.(and|add|blend)\(\s*((?:-?{NUMBER}\s*(?:,\s*-?{NUMBER}\s*)*)?)(,?\s*no_normalize\s*)?\)\s*")
ESCAPED = re.compile(r'\\([()"])')


def read(text: str) -> Prompt:
    """A prompt; of one part, unless it is a blend."""
    page = _Page(re.sub(r",(\S)", r", \1", text))
    joined = _joined(page)
    if joined is not None:
        return joined
    pieces, loras = page.pieces(0, len(page.text))
    return Prompt((Part((Stage(pieces),)),), loras)


def _joined(page: "_Page") -> Prompt | None:
    """The prompt, if all of it is one `.and` or `.blend`."""
    found, place = page.list()
    end = JOINED.fullmatch(page.text, place) if found else None
    if end is None:
        return None
    numbers = [float(word) for word in end[2].replace(" ", "").split(",") if word.strip()] or [1.0] * len(found)
    if len(numbers) != len(found) or (end[3] and end[1] != "blend"):
        return None
    read_each = [page.pieces(first, last) for first, last in found]
    loras = tuple(lora for _, each in read_each for lora in each)
    if end[1] == "blend":
        total = 1.0 if end[3] else sum(numbers)
        if not total:
            return None
        shares = [number / total for number in numbers]
        parts = [Part((Stage(pieces),), share) for (pieces, _), share in zip(read_each, shares, strict=True)]
        return Prompt(tuple(parts), loras)
    row: list[Piece] = []
    for (pieces, _), number in zip(read_each, numbers, strict=True):
        row += [BREAK] * bool(row) + [replace(piece, weight=_bounded(piece.weight * number)) for piece in pieces]
    return Prompt((Part((Stage(tuple(row)),)),), loras)


def _bounded(weight: float) -> float:
    return min(max(weight, -LIMIT), LIMIT)


class _Open(NamedTuple):
    """Brackets or quotes one is in: where they end, what follows behind their operator, the weight around them."""

    close: int
    after: int
    weight: float


class _Page:
    """A text, and which of its brackets and quotes belong together and hold only what they may."""

    def __init__(self, text: str):
        self.text = text
        self.partner = self._partners(0) | self._partners(1)

    def list(self) -> tuple[list[tuple[int, int]], int]:
        """The stretches of a list in brackets at the beginning, `("a", b, (c d))`, and where it ends; none if there is no list."""
        found: list[tuple[int, int]] = []
        start = re.compile(r"\s*\(\s*").match(self.text)
        place = start.end() if start else len(self.text)
        while place < len(self.text):
            if quoted := QUOTED.match(self.text, place):
                found.append(quoted.span(1))
                place = quoted.end()
            elif word := WORD.match(self.text, place):
                found.append(word.span())
                place = word.end()
            elif place in self.partner:
                found.append((place + 1, self.partner[place]))
                place = self.partner[place] + 1
            else:
                break
            mark = LISTED.match(self.text, place)
            if mark is None:
                break
            if mark[1] == ")":
                return found, mark.start(1) + 1
            place = mark.end()
        return [], 0

    def pieces(self, start: int, end: int) -> tuple[tuple[Piece, ...], tuple[Tag, ...]]:
        """The pieces and the tags of a stretch."""
        words, loras, opened = list[tuple[str, float]](), list[Tag](), list[_Open]()
        place, weight = start, 1.0
        while place < end:
            if opened and place == opened[-1].close:
                _, place, weight = opened.pop()
            elif space := SPACE.match(self.text, place, end):
                place = space.end()
            elif lora := LORA.match(self.text, place, end):
                loras.append(Tag("lora", lora[1], float(lora[2] or 1), float(lora[2] or 1)))
                place = lora.end()
            elif self.partner.get(place, end) < end:
                close = self.partner[place]
                after, factor = self._operator(close + 1)
                opened.append(_Open(close, after, weight))
                place, weight = place + 1, _bounded(weight * factor)
            else:
                place, text, factor = self._word(place, end, bool(opened))
                words.append((ESCAPED.sub(r"\1", text), _bounded(weight * factor)))
        return _fused(words), tuple(loras)

    def _word(self, place: int, end: int, bracketed: bool) -> tuple[int, str, float]:
        """Where the word at `place` ends, its text, and its weight."""
        word = WORD.match(self.text, place, end)
        after, factor = self._operator(word.end(), bare=True) if word else (place, 1.0)
        if word and (bracketed or after > word.end()):
            return after, word[0], factor
        free = (POINT if bracketed else FREE).match(self.text, place, end)
        until = free.end() if free else place + 1
        return until, self.text[place:until], 1.0

    def _operator(self, place: int, bare: bool = False) -> tuple[int, float]:
        """Where the operator that is at `place` ends, and its weight. bare: of a word alone, which takes no number."""
        found = ATTEND.match(self.text, place)
        sign = found[1] if found else ""
        if found is None and (found := OPERATOR.match(self.text, place)):
            sign = found[0]
        if found is None or (bare and sign[0] not in "+-"):
            return place, 1.0
        if sign.strip("+-"):
            return found.end(), _bounded(float(sign))
        return found.end(), (MORE if sign[0] == "+" else LESS) ** min(len(sign), SIGNS)

    def _partners(self, parity: int) -> dict[int, int]:
        """Of opening brackets and quotes: where they close. parity: the number of quotes before one that opens, modulo 2."""
        text, place, quotes = self.text, 0, 0
        partner, opened = dict[int, int](), list[tuple[int, bool]]()  # opened: where, and whether an even number of quotes came before
        while place < len(text):
            char, outside = text[place], quotes % 2 == parity
            quotes += char == '"'
            if char == "(" or (char == '"' and outside):
                opened.append((place, outside))
                place += 1
                continue
            if char in ')"':
                after = self._operator(place + 1)[0]
                if opened and text[opened[-1][0]] == ("(" if char == ")" else '"') and not SWAP.match(text, place + 1):
                    begun, counts = opened.pop()
                    partner |= {begun: place} if counts else {}
                else:
                    opened.clear()
                place = after
                continue
            item = LORA.match(text, place) or WORD.match(text, place) or SPACE.match(text, place) or POINT.match(text, place)
            if item is None:
                opened.clear()
                place += 1
            else:
                place = self._operator(item.end(), bare=True)[0] if item.re is WORD else item.end()
        return partner


def _fused(words: list[tuple[str, float]]) -> tuple[Piece, ...]:
    """Words of the same weight in one piece; a space stands between pieces."""
    made = [Piece(" " + " ".join(text for text, _ in run), weight) for weight, run in groupby(words, key=itemgetter(1))]
    return (replace(made[0], text=made[0].text[1:]), *made[1:]) if made else (Piece(""),)
