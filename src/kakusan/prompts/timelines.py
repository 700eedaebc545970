"""Texts that change while a picture is drawn, in AUTOMATIC1111's grammar: [from:to:when], [to:when], [from::when], [a|b].

The facts are of its `modules/prompt_parser.py`, 1.10, whose grammar is for an Earley parser: inside brackets that mean something every
bracket has its partner, and round brackets hold at most one colon. What does not fit is text; one "|" or backslash that does not fit
makes the whole prompt text. That parser takes a pair with a lone bracket or colon right beside it as it comes (it varies with Python's
hashes); here such a pair means what it says. Time is linear in the length for each stage.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import lcm

TOKEN = re.compile(r"(?:[^\\\[\]():|]+|\\[^\n])+|.", re.S)
NUMBER = re.compile(r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*")
OPENS = "(["
CLOSES = {")": "(", "]": "["}


@dataclass(frozen=True)
class Steps:
    """How stages are counted. count: evaluations of this pass; before: those of passes before it, which the prompt counts too.

    old: as before version 1.6: numbers below 1 are shares of any pass, all others evaluations of it.
    """

    count: int
    before: int = 0
    second: bool = False
    old: bool = False

    def when(self, number: str) -> int:
        """The last evaluation before a change."""
        at = float(number)
        if self.old:
            at = at * self.count if at < 1 else at
        elif "." in number:
            at = (at - self.second) * self.count
        else:
            at -= self.before
        return int(min(max(at, 0.0), float(self.count)))


def stages(text: str, steps: Steps) -> list[tuple[int, str]]:
    """What the text is up to which evaluation, in order; the last ends with the last evaluation."""
    found = _read(text)
    turns = {len(change.parts) for change in found.changes.values() if change.number is None}
    for change in found.changes.values():
        change.at = 0 if change.number is None else steps.when(change.number)
    changed = sorted({change.at for change in found.changes.values()} | {steps.count})
    ends = range(1, max(1, steps.count) + 1) if turns else changed
    told, made = list[tuple[int, str]](), dict[tuple[int, int], str]()
    for end in ends:
        if end == 0 < steps.count:
            continue
        state = bisect_left(changed, end), end % lcm(*turns)  # where it is the same, so is the text
        if state not in made:
            made[state] = "".join(found.at(end))
        told.append((end, made[state]))
    return told


@dataclass
class _Change:
    """Brackets that mean something. parts: the first and the last-but-one place of each text; number: when the second begins, or None
    for texts that take turns; after: the place behind the brackets.
    """

    parts: list[tuple[int, int]]
    number: str | None
    after: int
    at: int = 0

    def part(self, step: int) -> tuple[int, int]:
        """The text that is in force."""
        return self.parts[(step - 1) % len(self.parts)] if self.number is None else self.parts[step > self.at]


@dataclass
class _Read:
    """A text in tokens, and the brackets among them that mean something, by their places."""

    tokens: list[str]
    changes: dict[int, _Change] = field(default_factory=dict)

    def at(self, step: int) -> Iterator[str]:
        """The tokens of the text that is in force."""
        place, end, outer = 0, len(self.tokens), list[tuple[int, int]]()
        while True:
            if place == end:
                if not outer:
                    return
                place, end = outer.pop()
            elif change := self.changes.get(place):
                outer.append((change.after, end))
                place, end = change.part(step)
            else:
                yield self.tokens[place]
                place += 1


@dataclass
class _Open:
    """A bracket whose partner has not come yet, with the separators that stand directly in it."""

    kind: str
    place: int
    colons: list[int] = field(default_factory=list)
    bars: list[int] = field(default_factory=list)


def _read(text: str) -> _Read:
    """The brackets that mean something; none in a text that the grammar refuses."""
    read = _Read(TOKEN.findall(text))
    inside: list[_Open] = []  # emptied by a bracket without a partner: no bracket round that one can mean anything
    for place, token in enumerate(read.tokens):
        dead: list[_Open] = []
        if token in OPENS:
            inside.append(_Open(token, place))
        elif token == ":" and inside:
            inside[-1].colons.append(place)
        elif token == "|" and inside and inside[-1].kind == "[":
            inside[-1].bars.append(place)
        elif token in CLOSES and inside:
            last = inside.pop()
            if not _fits(last, place, read):
                inside, dead = [], [last, *inside]
        elif token in ("|", "\\"):
            return _Read([text])
        if any(bracket.bars for bracket in dead):
            return _Read([text])
    return _Read([text]) if any(bracket.bars for bracket in inside) else read


def _fits(opened: _Open, place: int, read: _Read) -> bool:
    """Whether the bracket at `place` closes `opened`, and the grammar knows the two; what they mean is noted."""
    first, colons, bars = opened.place + 1, opened.colons, opened.bars
    if opened.kind != CLOSES[read.tokens[place]]:
        return False
    if opened.kind == "(":
        return len(colons) <= 1
    if bars and not colons:
        parts = list(zip([first, *(bar + 1 for bar in bars)], [*bars, place], strict=True))
        read.changes[opened.place] = _Change(parts, None, place + 1)
        return True
    if not colons or bars or len(colons) > 2:
        return not colons and not bars
    when = NUMBER.fullmatch(read.tokens[place - 1]) if colons[-1] == place - 2 else None
    if when is None:
        return False
    parts = [(first, first), (first, colons[0])] if len(colons) == 1 else [(first, colons[0]), (colons[0] + 1, colons[1])]
    read.changes[opened.place] = _Change(parts, when[1], place + 1)
    return True
