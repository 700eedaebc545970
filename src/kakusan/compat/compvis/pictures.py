"""The scripts' pictures and files: levels cut down, not rounded; `samples/00000.png`, `grid-0000.png`, numbered on."""

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ...errors import FileError, KakusanError
from ...images import DRAWN, save_png, to_tensor
from ...safety.afterwards import Afterwards

if TYPE_CHECKING:
    from PIL.Image import Image

PADDING = 2


class Samples:
    """Saves pictures in `folder/samples` and a grid of them in `folder`, each numbered from the count of files that are there.

    save: whether single pictures are saved; grid: whether there will be a grid, for which they are kept.
    after: what is done to pictures. As in the scripts, the grid is put together before the watermark goes in, and gets its own.
    source: what their files say of where they come from (`images.DRAWN`).
    """

    def __init__(self, folder: Path, save: bool = True, grid: bool = True, after: Afterwards | None = None, source: str = DRAWN):
        self.folder, self.save, self.grid, self.source = folder, save, grid, source
        self.after = after or Afterwards()
        self.flags: list[bool | None] = []
        self.single = folder / "samples"
        self.single.mkdir(parents=True, exist_ok=True)
        self.number = len(os.listdir(self.single))
        self.grids = len(os.listdir(folder)) - 1
        self.taken = 0
        self.pictures: list[Image] = []
        self.files: list[Path] = []

    def take(self, picture: "Image") -> None:
        """Save one picture, and keep it for the grid."""
        self.taken += 1
        picture, flagged, *_ = replace(self.after, mark=None)(picture)
        self.flags.append(flagged)
        if self.grid:
            self.pictures.append(picture)
        if self.save:
            self.number = self._save(picture, self.single, "{:05}.png", self.number)

    def add_grid(self, columns: int) -> None:
        """Save a grid of all pictures taken, if there is to be one."""
        if self.grid:
            self.grids = self._save(sheet(self.pictures, columns), self.folder, "grid-{:04}.png", self.grids)

    def _save(self, picture: "Image", folder: Path, name: str, number: int) -> int:
        """The next number; those that are taken, by an older file or another process, are passed over."""
        if self.after.mark is not None:
            picture = self.after.mark(picture).picture
        while True:
            path = folder / name.format(number)
            number += 1
            try:
                save_png(picture, path, source=self.source)
            except FileExistsError:
                continue
            self.files.append(path)
            return number


def truncated(image: Tensor) -> "Image":
    """The picture of a tensor (3 h w, -1 to 1), each level cut down to a whole number as the scripts do."""
    from PIL import Image

    levels = ((image + 1) / 2).clamp(0, 1) * 255  # 3 h w
    return Image.fromarray(levels.byte().permute(1, 2, 0).contiguous().numpy())


def sheet(pictures: "Sequence[Image]", columns: int) -> "Image":
    """Pictures of one size in rows on black, 2 pixels round each, as torchvision's make_grid lays them; one alone has no border."""
    from PIL import Image

    if len(pictures) == 1:
        return pictures[0]
    columns = min(columns, len(pictures))
    width, height = (side + PADDING for side in pictures[0].size)
    whole = Image.new("RGB", (columns * width + PADDING, math.ceil(len(pictures) / columns) * height + PADDING))
    for i, picture in enumerate(pictures):
        whole.paste(picture, (i % columns * width + PADDING, i // columns * height + PADDING))
    return whole


def read_picture(file: Path, multiple: int, side: int | None = None) -> Tensor:
    """A picture as a tensor (3 h w, -1 to 1), resized so that both sides are multiples of `multiple`, cut down.

    side: first shrink it, if it is larger, until its shorter side has so many pixels.
    Raises FileError if it is no picture, KakusanError if it is smaller than `multiple`.
    """
    from PIL import Image

    try:
        with Image.open(file) as opened:
            picture = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise FileError(
            f"{file}: not a picture that can be read; check the path", f"{file}: 画像として読めません。パスを確かめてください"
        ) from error
    shrink = min(1.0, side / min(picture.size)) if side else 1.0
    width, height = (round(length * shrink) // multiple * multiple for length in picture.size)
    if not (width and height):
        raise KakusanError(
            f"{file}: {picture.width} x {picture.height} pixels; both must be at least {multiple}",
            f"{file}: {picture.width} x {picture.height} 画素です。縦横とも {multiple} 以上にしてください",
        )
    return to_tensor(picture.resize((width, height), Image.Resampling.LANCZOS))
