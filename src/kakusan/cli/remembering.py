"""What a drawing writes into its files besides the parameters: our own record."""

from dataclasses import replace
from typing import TYPE_CHECKING

from ..memory.record import NO_INPUTS, Inputs
from ..memory.recording import inputs

if TYPE_CHECKING:
    from ..pipeline import Pipeline
    from ..tasks.beginning import Asked
    from ..tasks.recipe import Recipe


class Remembering:
    """Makes the records of one command's pictures. The model's weights are hashed now: large files take a while the first time."""

    def __init__(self, pipe: "Pipeline"):
        self.recorder = pipe.recorder
        self.inputs: dict[int, Inputs] = {}  # by index of the picture
        digests = list(self.recorder.weights.values())
        if not pipe.defaults.model_hash and len(digests) == 1:
            digest = digests[0]
            pipe.defaults = replace(pipe.defaults, model_hash=digest[:10])  # as AUTOMATIC1111 names a single file

    def begun(self, picture: int, asked: "Asked") -> None:
        """Tell what a picture is about to be made from."""
        self.inputs[picture] = inputs(asked)

    def text(self, picture: int, recipe: "Recipe") -> str:
        """The record of a finished picture."""
        return replace(self.recorder.record(recipe), inputs=self.inputs.get(picture, NO_INPUTS)).text()
