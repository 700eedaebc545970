"""What a pipeline gives: steps on the way, and the finished pictures with the recipes that make them again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from .display import page
from .images import COMPOSITE, DRAWN, Kind, grid, png_bytes, save_next
from .likeness import judge
from .tasks.recipe import Recipe

if TYPE_CHECKING:
    from PIL.Image import Image


class Step(NamedTuple):
    """How far a call has come: network evaluations of all pictures, and what one picture looks like now."""

    done: int
    total: int
    picture: int
    latent: Tensor | None = None  # c h w: the current estimate of the clean latent
    image: "Image | None" = None  # the finished picture
    flagged: bool | None = None  # whether a safety checker objects to it; None if none looked
    recipe: Recipe | None = None  # of the finished picture, with what was done to it afterwards


@dataclass
class Result:
    """Pictures with the recipes that make them again; shows itself in a notebook.

    flags: whether a safety checker objects to each picture; None if none looked. record: our own of a picture (`memory.record`).
    """

    images: list["Image"]
    recipes: list[Recipe]
    notes: list[str] = field(default_factory=list)
    flags: list[bool] | None = None
    record: Callable[[Recipe], str] = field(default=lambda recipe: "", repr=False, compare=False)

    def save(self, folder: str | Path = "outputs", kind: Kind = "png") -> list[Path]:
        """Write the pictures under the folder's next free numbers, each with how it was made, and return their paths.

        The first time a model's weights are hashed, which for large files takes a while.
        """
        sources = [DRAWN if recipe.mode == "txt2img" else COMPOSITE for recipe in self.recipes]
        told = zip(self.images, self.recipes, sources, strict=True)
        where = Path(folder)
        return [save_next(p, where, str(r.seed), r.parameters(), kind, source, self.record(r)) for p, r, source in told]

    def grid(self) -> "Image":
        """All pictures in one."""
        return grid(self.images)

    def scores(self, model: str | Path | None = None) -> list[float]:
        """The cosine of each picture and its prompt to a CLIP (`kakusan.similarity`), from -1 to 1."""
        return judge(model).scores([recipe.prompt for recipe in self.recipes], self.images)

    def _repr_png_(self) -> bytes:
        return png_bytes(self.grid() if len(self.images) > 1 else self.images[0])

    def _repr_html_(self) -> str:
        captions = [f"seed {recipe.seed}" for recipe in self.recipes]
        return page(self.images, captions, [recipe.parameters() for recipe in self.recipes], self.notes)
