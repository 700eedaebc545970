"""What a drawing writes into its files besides the parameters: our own record."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ..memory.models import weights
from ..memory.record import NO_INPUTS, Inputs, Record, made, pixels

if TYPE_CHECKING:
    from ..pipeline import Pipeline
    from ..tasks.beginning import Asked
    from ..tasks.recipe import Recipe


class Remembering:
    """Makes the records of a pipeline's pictures. Its weights are hashed once, which for large files takes a while the first time."""

    def __init__(self, pipe: "Pipeline"):
        self.made = made(str(pipe.device), str(pipe.dtype))
        self.model: Mapping[str, str] = weights(pipe.model.path)
        self.inputs: dict[int, Inputs] = {}  # by index of the picture
        if not pipe.defaults.model_hash and len(self.model) == 1:
            (digest,) = self.model.values()
            pipe.defaults = replace(pipe.defaults, model_hash=digest[:10])  # as AUTOMATIC1111 names a single file

    def begun(self, picture: int, asked: "Asked") -> None:
        """Tell what a picture is about to be made from."""
        self.inputs[picture] = inputs(asked)

    def text(self, picture: int, recipe: "Recipe") -> str:
        """The record of a finished picture."""
        return Record(recipe, self.made, self.model, self.inputs.get(picture, NO_INPUTS)).text()


def inputs(asked: "Asked") -> Inputs:
    """The pictures that are asked with, by their hashes."""
    from ..tasks.fitting import opened

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
