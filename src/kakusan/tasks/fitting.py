"""Pictures as they come, made into what a model takes: its sizes, its range of numbers."""

import math
from pathlib import Path
from typing import Literal

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ..errors import FileError, KakusanError

Resize = Literal["crop", "stretch", "fill", "latent"]
RESIZES: tuple[Resize, ...] = ("crop", "stretch", "fill", "latent")
"""How a picture of other proportions becomes as large as asked: cut off at the sides, squeezed, its edges drawn out, or squeezed
once it is a latent, which keeps sharp edges from blurring and is made good by the steps that follow."""
LARGEST = 8192
"""Pixels of a side."""
Picture = Image.Image | str | Path


def opened(picture: Picture, mode: Literal["RGB", "L", "F"] = "RGB") -> Image.Image:
    """A picture, from its file if need be, the right way up; mode "F" keeps the levels of 16 bits. Raises FileError if there is none."""
    upright = ImageOps.exif_transpose(picture if isinstance(picture, Image.Image) else _read(picture))
    return (upright if mode != "F" or upright.mode.startswith(("I", "F")) else upright.convert("L")).convert(mode)


def check_resize(how: Resize) -> None:
    """Raises KakusanError if `how` is not in RESIZES."""
    if how not in RESIZES:
        known = ", ".join(RESIZES)
        raise KakusanError(f"resize is {how!r}; it must be one of {known}", f"resize が {how!r} です。{known} のどれかにしてください")


def fitted(picture: Image.Image, width: int, height: int, how: Resize = "crop") -> Image.Image:
    """The picture in that size, "latent" as "stretch". Raises KakusanError if `how` is not in RESIZES."""
    check_resize(how)
    size, filter_ = (width, height), Image.Resampling.LANCZOS
    if picture.size == size:
        return picture
    if how in ("stretch", "latent"):
        return picture.resize(size, filter_)
    if how == "crop":
        return ImageOps.fit(picture, size, filter_)
    whole = ImageOps.contain(picture, size, filter_)
    left, top = (width - whole.width) // 2, (height - whole.height) // 2
    return drawn_out(whole, left, top, width, height)


def size_of(picture: Image.Image, multiple: int, usual: int) -> tuple[int, int]:
    """Width and height to draw a picture in: its own, to the next multiple, unless it has over twice the usual number of pixels.

    usual: height and width the model was trained on. A larger picture is drawn smaller, in its own proportions.
    """
    shrink = min(1.0, math.sqrt(usual * usual / (picture.width * picture.height)))
    if picture.width * picture.height <= 2 * usual * usual:
        shrink = 1.0
    width, height = (max(multiple, round(side * shrink / multiple) * multiple) for side in picture.size)
    return width, height


def check_size(en: str, ja: str, value: int, factor: int, best: int) -> None:
    """Raises KakusanError, with a multiple of `best`, unless a side called `en` or `ja` is a multiple of `factor` pixels."""
    if 0 < value <= LARGEST and value % factor == 0:
        return
    near = max(best, round(value / best) * best) if value <= LARGEST else LARGEST
    raise KakusanError(
        f"{en} is {value}; it must be a multiple of {factor}, up to {LARGEST}: try {near}",
        f"{ja}が {value} です。{factor} の倍数で {LARGEST} 以下にしてください。例: {near}",
    )


def mask_tensor(mask: Image.Image) -> Tensor:
    """The tensor (1 h w, 0 to 1) of a grey picture: white is painted anew."""
    levels = torch.frombuffer(bytearray(mask.convert("L").tobytes()), dtype=torch.uint8)
    return levels.reshape(1, mask.height, mask.width).float() / 255


def depth_tensor(depth: Image.Image) -> Tensor:
    """The tensor (h w) of a picture of depth in mode "F": brighter is nearer."""
    return torch.frombuffer(bytearray(depth.tobytes()), dtype=torch.float32).reshape(depth.height, depth.width)


def depth_picture(depth: Tensor) -> Image.Image:
    """A grey picture of depth (h w, larger is nearer), from black for the farthest to white for the nearest place."""
    low, high = depth.min(), depth.max()
    levels = ((depth - low) / (high - low).clamp_min(1e-6) * 255).round().byte()
    return Image.frombytes("L", (depth.shape[1], depth.shape[0]), bytes(levels.flatten().tolist()))


def _read(file: str | Path) -> Image.Image:
    try:
        picture = Image.open(file)
        picture.load()
        return picture
    except UnidentifiedImageError as error:
        raise FileError(f"{file}: not a picture kakusan can read", f"{file}: 読み込める画像ではありません") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError(f"{file}: cannot be read ({reason})", f"{file}: 読み込めません ({reason})") from error


def drawn_out(picture: Image.Image, left: int, top: int, width: int, height: int) -> Image.Image:
    """A larger picture with this one in it, whose edge pixels go on to the sides."""
    import numpy as np

    pixels = np.asarray(picture)
    spread = ((top, height - top - picture.height), (left, width - left - picture.width)) + ((0, 0),) * (pixels.ndim - 2)
    return Image.fromarray(np.pad(pixels, spread, mode="edge"))
