"""Weights in AUTOMATIC1111's grammar: (more), (as much:1.3), [less], BREAK, and backslashes before brackets that are meant as such.

The facts are of its `modules/prompt_parser.py`, 1.10: brackets of either kind need not nest in those of the other, an open bracket
reaches to the end, "BREAK" inside brackets that weigh is a word, and a backslash that escapes nothing is dropped. A number that is none
("1.2.3") is an error there and text here. Time is linear in the length.
"""

import re
from itertools import groupby
from operator import itemgetter

from .prompt import BREAK, Piece

MORE = 1.1
LESS = 1 / 1.1
LIMIT = 1e6
"""Weights stay within this: beyond it a picture is noise anyhow, and products of thousands of brackets overflow."""
IN_ORDER = 32
"""So many brackets round a piece are multiplied from the inside out, as the web UI does, which is told by the last digits."""
TOKEN = re.compile(r"\\[()\[\]\\]?|[(\[)\]]|:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)|[^\\()\[\]:]+|:")
BREAK_WORD = re.compile(r"\bBREAK\b")


def pieces(text: str) -> tuple[Piece, ...]:
    """The pieces of a text, neighbours of the same weight in one."""
    reader = _Reader()
    for match in TOKEN.finditer(text):
        reader.take(match[0], match[1])
    reader.end()
    return _merged(list(zip(reader.texts, reader.weights(), strict=True)))


class _Reader:
    """What has been read: texts, each with the brackets of both kinds that it stands in."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.inside: list[tuple[int, int]] = []  # the innermost round and square bracket round each text
        self.outer, self.factor, self.closed = [0], [1.0], [0]  # of each bracket: the one of its kind around it, weight, when it was closed
        self.round, self.square = [0], [0]  # open brackets, the innermost last; bracket 0 is around everything
        self.closings = 0

    def take(self, token: str, weight: str | None) -> None:
        if token[0] == "\\":
            self._add(token[1:])
        elif token == "(":
            self._open(self.round)
        elif token == "[":
            self._open(self.square)
        elif weight is not None and len(self.round) > 1:
            self._close(self.round, float(weight))
        elif token == ")" and len(self.round) > 1:
            self._close(self.round, MORE)
        elif token == "]" and len(self.square) > 1:
            self._close(self.square, LESS)
        else:
            self._words(token)

    def end(self) -> None:
        """Close what is still open."""
        while len(self.round) > 1:
            self._close(self.round, MORE)
        while len(self.square) > 1:
            self._close(self.square, LESS)

    def weights(self) -> list[float]:
        """The weight of each text."""
        total = [1.0]
        for place in range(1, len(self.outer)):
            total.append(_bounded(total[self.outer[place]] * self.factor[place]))
        first = [BREAK.weight if text == BREAK.text else 1.0 for text in self.texts]
        return [self._weight(weight, *inside, total) for weight, inside in zip(first, self.inside, strict=True)]

    def _weight(self, weight: float, round_: int, square: int, total: list[float]) -> float:
        """A text's weight in two chains of brackets, in the order in which they were closed."""
        for _ in range(IN_ORDER):
            if not round_ and not square:
                return weight
            if not square or (round_ and self.closed[round_] < self.closed[square]):
                weight, round_ = _bounded(weight * self.factor[round_]), self.outer[round_]
            else:
                weight, square = _bounded(weight * self.factor[square]), self.outer[square]
        return _bounded(_bounded(weight * total[round_]) * total[square])

    def _words(self, text: str) -> None:
        parts = BREAK_WORD.split(text)
        for i, part in enumerate(parts):
            if i:
                self._add(BREAK.text)
                part = part.lstrip()
            self._add(part.rstrip() if i < len(parts) - 1 else part)

    def _add(self, text: str) -> None:
        self.texts.append(text)
        self.inside.append((self.round[-1], self.square[-1]))

    def _open(self, kind: list[int]) -> None:
        self.outer.append(kind[-1])
        self.factor.append(1.0)
        self.closed.append(0)
        kind.append(len(self.outer) - 1)

    def _close(self, kind: list[int], factor: float) -> None:
        place = kind.pop()
        self.closings += 1
        self.factor[place], self.closed[place] = _bounded(factor), self.closings


def _bounded(weight: float) -> float:
    return min(max(weight, -LIMIT), LIMIT)


def _merged(weighted: list[tuple[str, float]]) -> tuple[Piece, ...]:
    """Pieces of the texts, those of the same weight in one."""
    made = []
    for weight, run in groupby(weighted, key=itemgetter(1)):
        text = "".join(text for text, _ in run)
        made.append(BREAK if (text, weight) == (BREAK.text, BREAK.weight) else Piece(text, weight))
    return tuple(made) or (Piece(""),)
