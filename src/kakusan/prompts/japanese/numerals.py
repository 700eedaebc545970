"""Numbers with what they count: 三匹 -> three, 2枚 -> two, 20歳 -> 20-year-old."""

import re
from typing import NamedTuple

from .function_words import AMOUNTS, COUNTERS, NAMES, NATIVE, NUMERALS, UNITS

SEVERAL = {"数": "several", "何": "several"}
_COUNTED = "|".join(sorted([*COUNTERS, *AMOUNTS], key=len, reverse=True))
COUNT = re.compile(rf"(?P<number>\d{{1,9}}|[一二三四五六七八九十百千]{{1,8}}|[数何]十?)(?P<unit>{_COUNTED})(?:の)?")
NATIVE_COUNT = re.compile(rf"(?:{'|'.join(NATIVE)})(?:の)?")


class Count(NamedTuple):
    """english: two, several, 20-year-old; many: what is counted is told in the plural; whole: it is a phrase by itself.

    people: it is people who are counted. attached: a の stands behind it.
    """

    english: str
    many: bool
    length: int
    whole: bool = False
    people: bool = False
    attached: bool = False


def count_at(text: str, at: int) -> Count | None:
    """The number with its counter that begins at `at`, with a の behind it."""
    if found := NATIVE_COUNT.match(text, at):
        word = found[0].removesuffix("の")
        return Count(NAMES[NATIVE[word]], NATIVE[word] > 1, len(found[0]), people=word.endswith("り"), attached=found[0] != word)
    found = COUNT.match(text, at)
    if found is None:
        return None
    number, unit, attached = found["number"], found["unit"], found[0].endswith("の")
    value = _value(number)
    told = SEVERAL.get(number[0]) or (NAMES[value] if value < len(NAMES) else str(value))
    if unit in AMOUNTS:
        return Count(AMOUNTS[unit].format(value or told), False, len(found[0]), whole=True, attached=attached)
    if unit in ("歳", "才", "階建て"):
        return Count(f"{value}{COUNTERS[unit]}", False, len(found[0]), attached=attached)
    told = f"{told} {COUNTERS[unit]}".strip()
    return Count(told, value != 1, len(found[0]), people=unit in ("人", "名"), attached=attached)


def _value(number: str) -> int:
    """15 and 十五 -> 15; 0 for "several"."""
    if number.isdecimal():
        return int(number)
    total, digit = 0, 0
    for sign in number:
        if sign in UNITS:
            total += max(digit, 1) * UNITS[sign]
            digit = 0
        else:
            digit = NUMERALS.get(sign, 0)
    return total + digit
