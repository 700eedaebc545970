"""What a prompt says once it is read, in whatever dialect it was written: parts that are composed, stages in time, weighted pieces.

A prompt has parts ("a cat AND a dog"), each part stages that follow each other while the picture is drawn ("[a cat:a dog:5]"), each
stage pieces of text with a weight ("a (red:1.2) cat"). Most prompts have one part with one stage.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Dialect = Literal["a1111", "comfyui", "compel", "plain"]
DIALECTS: tuple[Dialect, ...] = ("a1111", "comfyui", "compel", "plain")


@dataclass(frozen=True)
class Piece:
    """Text, and how much of it is meant; 1 is as it stands."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True)
class Break(Piece):
    """Not text, but the end of a chunk: what follows begins a new one. There is one, `BREAK`."""


BREAK = Break("BREAK", -1.0)


@dataclass(frozen=True)
class Stage:
    """What is drawn for some time. until: the last evaluation it is valid for, counted from 0 as AUTOMATIC1111 counts; None: to the end.

    Evaluation i belongs to the first stage with i <= until.
    """

    pieces: tuple[Piece, ...]
    until: int | None = None

    @property
    def text(self) -> str:
        """The words alone."""
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True)
class Part:
    """One of the prompts that are composed, with its share of the guidance; negative is away from it."""

    stages: tuple[Stage, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class Tag:
    """A tag "<kind:name:0.8>", kind as written ("lora", "lyco", "hypernet"), with the strengths for the text encoder and the U-Net.

    given: the rest of what it says, by name ("dyn").
    """

    kind: str
    name: str
    text: float = 1.0
    unet: float = 1.0
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Prompt:
    """A prompt as it was read. loras: the tags that stood in it, in their order; they are no part of the text."""

    parts: tuple[Part, ...]
    loras: tuple[Tag, ...] = ()


def literal(text: str) -> Prompt:
    """The prompt that means every character as it stands."""
    return Prompt((Part((Stage((Piece(text),)),)),))
