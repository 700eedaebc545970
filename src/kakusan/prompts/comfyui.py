r"""Weights in ComfyUI's grammar: (more), (as much:1.3); \( and \) are meant as such, every other character is text.

The facts are of its `comfy/sd1_clip.py`: a number counts by itself, whatever brackets are around it; a bracket without a number is 1.1
times what is around it; one that is not closed is text, unless the text ends in a closing bracket, which then is taken for its partner.
Time is linear in the length.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator

from .prompt import Part, Piece, Prompt, Stage

MORE = 1.1
LIMIT = 1e6
"""Weights stay within this: beyond it a picture is noise anyhow."""
BRACKET = re.compile(r"\\[()]|[()]")
ESCAPED = re.compile(r"\\([()])")
NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*")


def read(text: str) -> Prompt:
    """A prompt of one part and one stage."""
    return Prompt((Part((Stage(pieces(text)),)),))


def pieces(text: str) -> tuple[Piece, ...]:
    """The pieces of a text, in brackets or between them."""
    page, made = _Page(text), list[Piece]()
    todo = [(0, len(text), 1.0, True)]  # start, end, weight, whether there may be brackets; the next is the last
    while todo:
        start, end, weight, divisible = todo.pop()
        if divisible:
            todo += reversed([page.weighed(first, last, weight) for first, last in page.split(start, end)])
        else:
            made.append(Piece(ESCAPED.sub(r"\1", text[start:end]), weight))
    return tuple(made) or (Piece(""),)


class _Page:
    """A text, where its brackets and colons are, and which brackets belong together."""

    def __init__(self, text: str):
        self.text = text
        self.places = [match.start() for match in BRACKET.finditer(text) if len(match[0]) == 1]
        self.colons = [match.start() for match in re.finditer(":", text)]
        self.partner: dict[int, int] = {}  # of opening brackets: where in `places` the closing one is
        self.numbers: dict[int, tuple[float, int]] = {}  # behind a colon: the number, and where it ends
        opened: list[int] = []
        for i, place in enumerate(self.places):
            if text[place] == "(":
                opened.append(place)
            elif opened:
                self.partner[opened.pop()] = i

    def split(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The bracketed and the other stretches of a range. Behind a closing bracket too many, an opening one is text."""
        item, depth, i = start, 0, bisect_left(self.places, start)
        while i < len(self.places) and self.places[i] < end:
            place = self.places[i]
            if self.text[place] == "(" and depth == 0:
                if item < place:
                    yield item, place
                item, i = place, self.partner.get(place, len(self.places))
                if i == len(self.places) or self.places[i] >= end:
                    break
                yield item, self.places[i] + 1
                item = self.places[i] + 1
            else:
                depth += 1 if self.text[place] == "(" else -1
            i += 1
        if item < end:
            yield item, end

    def weighed(self, start: int, end: int, weight: float) -> tuple[int, int, float, bool]:
        """A stretch without its brackets and number, its weight, and whether it had brackets. weight: of what is around it."""
        closed = end - start >= 2 and self.text[start] == "(" and self.text[end - 1] == ")" and self._is_bracket(end - 1)
        if not closed:
            return start, end, weight, False
        start, end, weight = start + 1, end - 1, min(weight * MORE, LIMIT)
        colon = self.colons[max(0, bisect_left(self.colons, end) - 1)] if self.colons else -1
        if start < colon < end:
            number, until = self._number(colon)
            if until == end:
                return start, colon, number, True
        return start, end, weight, True

    def _is_bracket(self, place: int) -> bool:
        i = bisect_left(self.places, place)
        return i < len(self.places) and self.places[i] == place

    def _number(self, colon: int) -> tuple[float, int]:
        if colon not in self.numbers:
            match = NUMBER.match(self.text, colon + 1)
            self.numbers[colon] = (min(max(float(match[1]), -LIMIT), LIMIT), match.end()) if match else (0.0, -1)
        return self.numbers[colon]
