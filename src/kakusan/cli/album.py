"""The files that one drawing writes: pictures as they are finished, estimates on the way to them, and a grid of all."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..images import COMPOSITE, DRAWN, Kind, grid, next_path, save_next, save_picture

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ..pipeline import Step
    from ..tasks.recipe import Recipe


class Album:
    """Saves the pictures of `recipes` in `folder` as `<number>-<name>.png`, each with its parameters. names: the seeds, unless given;
    kind: of the files; record: our own of a finished picture (`memory.record`), if there is to be one.

    every: also save the estimate after every so many evaluations of a picture, as `<number>-<name>-step005.png`, and all of them
    in a row as `<number>-<name>-steps.png`; preview makes the picture of a latent (c h w).
    """

    def __init__(
        self,
        folder: Path,
        recipes: "Sequence[Recipe]",
        preview: "Callable[[Tensor], Image]",
        every: int | None = None,
        names: Sequence[str] | None = None,
        kind: Kind = "png",
        record: "Callable[[int, Recipe], str]" = lambda picture, recipe: "",
    ):
        self.folder, self.recipes, self.preview, self.every = folder, list(recipes), preview, every
        self.kind, self.record = kind, record
        self.names = names or [str(recipe.seed) for recipe in recipes]
        self.files: dict[int, Path] = {}  # by index of the picture, finished ones only
        self.flags: dict[int, bool | None] = {}  # the safety checker's
        self.estimates: list[Path] = []
        self.depths: list[Path] = []
        self.sheet: Path | None = None
        self._names: dict[int, Path] = {}
        self._pictures: dict[int, Image] = {}
        self._strips: dict[int, list[Image]] = {}
        self._evaluations = Counter[int]()

    def take(self, step: "Step") -> None:
        """Save what a step of the pipeline brings, if it is to be saved."""
        if step.image is not None:
            self.recipes[step.picture] = step.recipe or self.recipes[step.picture]
            self.flags[step.picture] = step.flagged
            self._finish(step.picture, step.image)
        elif self.every and step.latent is not None:
            self._evaluations[step.picture] += 1
            if self._evaluations[step.picture] % self.every == 0:
                estimate = self.preview(step.latent)
                self._strips.setdefault(step.picture, []).append(estimate)
                suffix = f"-step{self._evaluations[step.picture]:03d}"
                self.estimates.append(self._save(step.picture, estimate, suffix))

    def add_depth(self, picture: int, depth: "Image") -> None:
        """Save the depth that a picture is drawn by, as `<number>-<name>-depth.png`."""
        self.depths.append(self._save(picture, depth, "-depth"))

    def add_grid(self) -> None:
        """Save all finished pictures on one, if there are several."""
        if len(self._pictures) > 1:
            order = sorted(self._pictures)
            sheet = grid([self._pictures[i] for i in order])
            self.sheet = save_next(sheet, self.folder, "grid", self.recipes[order[0]].parameters(), self.kind, self._source(order[0]))

    def _finish(self, picture: int, image: "Image") -> None:
        recipe = self.recipes[picture]
        self.files[picture] = self._save(picture, image, "", recipe.parameters(), self.record(picture, recipe))
        self._pictures[picture] = image
        if strip := self._strips.pop(picture, None):
            self.estimates.append(self._save(picture, grid([*strip, image], len(strip) + 1), "-steps"))

    def _save(self, picture: int, image: "Image", suffix: str, parameters: str = "", record: str = "") -> Path:
        """All files of a picture share its number, unless another process took that name meanwhile."""
        while True:
            name = self._names.get(picture) or next_path(self.folder, self.names[picture], self.kind)
            path = name.with_stem(name.stem + suffix)
            try:
                save_picture(image, path, parameters, self._source(picture), record)
            except FileExistsError:
                self._names.pop(picture, None)
                continue
            self._names[picture] = name
            return path

    def _source(self, picture: int) -> str:
        return DRAWN if self.recipes[picture].mode == "txt2img" else COMPOSITE
