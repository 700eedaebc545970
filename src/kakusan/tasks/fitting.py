"""Pictures as they come, made into what a model takes: its sizes, its range of numbers."""

import math
from pathlib import Path
from typing import Literal

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ..errors import FileError, KakusanError

Resize = Literal["crop", "stretch", "fill"]
RESIZES: tuple[Resize, ...] = ("crop", "stretch", "fill")
"""How a picture of other proportions becomes as large as asked: cut off at the sides, squeezed, or its edges drawn out."""
Picture = Image.Image | str | Path


def opened(picture: Picture, mode: Literal["RGB", "L"] = "RGB") -> Image.Image:
    """A picture, from its file if need be, the right way up. Raises FileError if there is none."""
    if not isinstance(picture, Image.Image):
        try:
            picture = Image.open(picture)
            picture.load()
        except UnidentifiedImageError as error:
            raise FileError(f"{picture}: not a picture kakusan can read", f"{picture}: 読み込める画像ではありません") from error
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise FileError(f"{picture}: cannot be read ({reason})", f"{picture}: 読み込めません ({reason})") from error
    return ImageOps.exif_transpose(picture).convert(mode)


def fitted(picture: Image.Image, width: int, height: int, how: Resize = "crop") -> Image.Image:
    """The picture in that size. Raises KakusanError if `how` is not in RESIZES."""
    if how not in RESIZES:
        known = ", ".join(RESIZES)
        raise KakusanError(f"resize is {how!r}; it must be one of {known}", f"resize が {how!r} です。{known} のどれかにしてください")
    size, filter_ = (width, height), Image.Resampling.LANCZOS
    if picture.size == size:
        return picture
    if how == "stretch":
        return picture.resize(size, filter_)
    if how == "crop":
        return ImageOps.fit(picture, size, filter_)
    whole = ImageOps.contain(picture, size, filter_)
    left, top = (width - whole.width) // 2, (height - whole.height) // 2
    return _drawn_out(whole, left, top, width, height)


def size_of(picture: Image.Image, multiple: int, usual: int) -> tuple[int, int]:
    """Width and height to draw a picture in: its own, to the next multiple, unless it has over twice the usual number of pixels.

    usual: height and width the model was trained on. A larger picture is drawn smaller, in its own proportions.
    """
    shrink = min(1.0, math.sqrt(usual * usual / (picture.width * picture.height)))
    if picture.width * picture.height <= 2 * usual * usual:
        shrink = 1.0
    width, height = (max(multiple, round(side * shrink / multiple) * multiple) for side in picture.size)
    return width, height


def mask_tensor(mask: Image.Image) -> Tensor:
    """The tensor (1 h w, 0 to 1) of a grey picture: white is painted anew."""
    levels = torch.frombuffer(bytearray(mask.convert("L").tobytes()), dtype=torch.uint8)
    return levels.reshape(1, mask.height, mask.width).float() / 255


def depth_tensor(depth: Image.Image) -> Tensor:
    """The tensor (h w) of a grey picture of depth, of 8 or 16 bits: brighter is nearer."""
    wide = depth.convert("F") if depth.mode.startswith(("I", "F")) else depth.convert("L").convert("F")
    return torch.frombuffer(bytearray(wide.tobytes()), dtype=torch.float32).reshape(depth.height, depth.width)


def _drawn_out(picture: Image.Image, left: int, top: int, width: int, height: int) -> Image.Image:
    """A larger picture with this one in it, whose edge pixels go on to the sides."""
    import numpy as np

    pixels = np.asarray(picture)
    spread = ((top, height - top - picture.height), (left, width - left - picture.width)) + ((0, 0),) * (pixels.ndim - 2)
    return Image.fromarray(np.pad(pixels, spread, mode="edge"))
