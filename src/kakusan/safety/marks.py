"""Which invisible watermark a finished picture gets.

off      none
sd       the tag that the reference scripts write, bit for bit; lost in JPEG files and smaller copies
robust   kakusan's own, which survives those
auto     robust, if both sides have at least 256 pixels
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import numpy as np
from PIL import Image

from ..errors import KakusanError
from . import robust_watermark, watermark

Watermark = Literal["auto", "off", "sd", "robust"]
WATERMARKS: tuple[Watermark, ...] = get_args(Watermark)
LEAST = 256  # pixels of the shorter side for "auto": below, even a faint mark may be seen


class Marked(NamedTuple):
    """A picture and what it was marked with: "sd", "robust", or "" if it is too small."""

    picture: Image.Image
    kind: str


def marker(kind: str, family: str) -> Callable[[Image.Image], Marked] | None:
    """What marks pictures in this way, None for "off". family: the model's, which the tag of "sd" tells. Raises KakusanError."""
    if kind not in WATERMARKS:
        known = ", ".join(WATERMARKS)
        raise KakusanError(f"watermark is {kind!r}; choose one of {known}", f"watermark が {kind!r} です。{known} から選んでください")
    if kind == "off":
        return None
    if kind == "sd":
        tag = tag_of(family)
        return lambda picture: tagged(picture, tag)
    least = LEAST if kind == "auto" else robust_watermark.LEAST
    return lambda picture: _robust(picture) if min(picture.size) >= least else Marked(picture, "")


def tag_of(family: str) -> bytes:
    """The reference scripts' tag for a family of models; those of version 1 for all that are not of version 2."""
    return watermark.TAGS["sd2" if family == "sd2" else "sd1"]


def tagged(picture: Image.Image, tag: bytes) -> Marked:
    """The picture with the reference scripts' watermark, unless it is too small for it."""
    if picture.width * picture.height < watermark.LEAST:
        return Marked(picture, "")
    return Marked(Image.fromarray(watermark.mark(np.asarray(picture.convert("RGB")), tag)), "sd")


def _robust(picture: Image.Image) -> Marked:
    return Marked(Image.fromarray(robust_watermark.mark(np.asarray(picture.convert("RGB")), robust_watermark.TAG)), "robust")
