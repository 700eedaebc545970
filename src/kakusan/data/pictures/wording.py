"""What the two languages have in common: the parts of a caption and the lists they are chosen from."""

from dataclasses import dataclass
from typing import NamedTuple


class Subject(NamedTuple):
    """What a scene shows. In English {a} "a cat", {bare} "cat", {one} "one cat"; in Japanese 猫, 猫, 一匹の猫."""

    a: str
    bare: str
    one: str


@dataclass(frozen=True)
class Wordings:
    """Ways to say the same. Every wording is a format string over the parts of a caption.

    joined: noun phrases of a subject and its background, which may stand in one of the frames. listed: the rest.
    on_colour: those that name a colour without the word "background". in_place: for landscapes. alone: background not named.
    """

    frames: tuple[str, ...]
    joined: tuple[str, ...]
    listed: tuple[str, ...]
    on_colour: tuple[str, ...]
    in_place: tuple[str, ...]
    alone: tuple[str, ...]
