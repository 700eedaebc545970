"""Makes the records of what is drawn here."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..tasks.beginning import Asked
from ..tasks.fitting import opened
from ..tasks.recipe import Recipe
from .models import weights
from .record import NO_INPUTS, Inputs, Made, Record, made, pixels


@dataclass
class Recorder:
    """Records of one model's pictures. path: of its weights, which are hashed once, when a record is first asked for.

    device, dtype: as torch calls them.
    """

    path: Path | None
    device: str
    dtype: str

    def record(self, recipe: Recipe, asked: Asked | None = None) -> Record:
        """The record of a finished picture. asked: the pictures that it was made from."""
        return Record(recipe, self.made, self.weights, NO_INPUTS if asked is None else inputs(asked))

    @cached_property
    def made(self) -> Made:
        """What draws here."""
        return made(self.device, self.dtype)

    @cached_property
    def weights(self) -> Mapping[str, str]:
        """The hashes of the model's files."""
        return weights(self.path)


def inputs(asked: Asked) -> Inputs:
    """The pictures that are asked with, by their hashes."""
    if asked.image is None:
        return NO_INPUTS
    width, height = asked.size
    return Inputs(
        pixels(opened(asked.image)),
        None if asked.mask is None else pixels(opened(asked.mask, "L")),
        None if asked.depth is None else pixels(opened(asked.depth, "F")),
        asked.resize,
        width or 0,
        height or 0,
    )
