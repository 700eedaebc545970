"""Which part of a picture is painted anew, and how it is joined to the rest: masks made ready, pictures grown, parts cut out and laid in.

H W height and width of the whole picture, h w of what is drawn.
"""

import math
from dataclasses import dataclass

import torch.nn.functional as F
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor

from ..errors import KakusanError
from ..masking import rejoined
from ..types import Task
from .fitting import LARGEST, drawn_out

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels, as in PIL: the last two are outside."""


@dataclass(frozen=True)
class Area:
    """How a mask is used. Raises KakusanError on numbers below 0, or too large.

    blur: standard deviation, in pixels, of the softening of its edge; invert: paint what is black in it.
    only_masked: what is white, with `padding` pixels round it, is cut out and drawn alone, as large as the model draws, then laid in.
    outpaint: pixels by which the picture grows on the left, right, upper and lower side; they are painted too.
    """

    blur: int = 0
    invert: bool = False
    only_masked: bool = False
    padding: int = 32
    outpaint: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        if len(self.outpaint) != 4:
            raise KakusanError(
                f"outpaint has {len(self.outpaint)} numbers; it needs 4: left, right, up, down",
                f"outpaint の数が {len(self.outpaint)} 個です。左, 右, 上, 下の 4 個にしてください",
            )
        sides = (("outpaint", "outpaint ", side) for side in self.outpaint)
        for en, ja, value in (("mask blur", "マスクのぼかし", self.blur), ("mask padding", "マスクの余白", self.padding), *sides):
            if not 0 <= value <= LARGEST:
                raise KakusanError(
                    f"{en} is {value}; it must be from 0 to {LARGEST}", f"{ja}が {value} です。0 から {LARGEST} の間にしてください"
                )


WHOLE = Area()


@dataclass(frozen=True)
class Frame:
    """What a painted part is laid into. image: (3 H W, -1 to 1); mask: (1 H W, 0 to 1), 0 outside the box."""

    image: Tensor
    mask: Tensor
    box: Box


def prepared(picture: Image.Image, mask: Image.Image | None, area: Area) -> tuple[Image.Image, Image.Image | None]:
    """The picture, grown if it is to be, and the mask (grey, as large) with everything white that is to be painted.

    Raises KakusanError if `area` speaks of a mask and there is none.
    """
    if mask is None and not any(area.outpaint):
        if area.invert or area.only_masked or area.blur:
            raise KakusanError(
                "mask options without a mask; give the mask too", "マスクの設定だけでマスクがありません。マスクも渡してください"
            )
        return picture, None
    white = Image.new("L", picture.size) if mask is None else mask.resize(picture.size, Image.Resampling.BILINEAR)
    if area.invert:
        white = ImageOps.invert(white)
    if any(area.outpaint):
        picture, white = _grown(picture, white, area.outpaint)
    return picture, white.filter(ImageFilter.GaussianBlur(area.blur)) if area.blur else white


def cut_out(mask: Image.Image, padding: int, size: tuple[int | None, int | None], usual: int, multiple: int) -> tuple[Box, int, int]:
    """The box round what is not black in a mask, and the width and height to draw it in.

    size: what was asked for; None is what gives the box about usual x usual pixels. The box is widened to the proportions of what
    is drawn, as far as the picture goes. Raises KakusanError if all is black.
    """
    found = mask.getbbox()
    if found is None:
        raise KakusanError("the mask is black all over: nothing to paint", "マスクがすべて黒で、描く所がありません")
    left, top, right, bottom = found
    left, right = max(0, left - padding), min(mask.width, right + padding)
    top, bottom = max(0, top - padding), min(mask.height, bottom + padding)
    scale = usual / math.sqrt((right - left) * (bottom - top))
    fitting = (max(multiple, round(side * scale / multiple) * multiple) for side in (right - left, bottom - top))
    width, height = (asked or own for asked, own in zip(size, fitting, strict=True))
    left, right = _widened(left, right, (bottom - top) * width / height, mask.width)
    top, bottom = _widened(top, bottom, (right - left) * height / width, mask.height)
    return (left, top, right, bottom), width, height


def laid_in(painting: Task, frame: Frame) -> Task:
    """The whole picture (3 H W), with what `painting` gives (3 h w) scaled into its box, and not a pixel changed where the mask is 0."""
    painted = yield from painting
    left, top, right, bottom = frame.box
    patch = F.interpolate(painted[None], size=(bottom - top, right - left), mode="bicubic", align_corners=False, antialias=True)[0]
    image = frame.image.clone()
    image[:, top:bottom, left:right] = rejoined(patch, image[:, top:bottom, left:right], frame.mask[:, top:bottom, left:right])
    return image


def _grown(picture: Image.Image, mask: Image.Image, by: tuple[int, int, int, int]) -> tuple[Image.Image, Image.Image]:
    left, right, up, down = by
    width, height = picture.width + left + right, picture.height + up + down
    if max(width, height) > LARGEST:
        raise KakusanError(
            f"the picture would grow to {width}x{height}; at most {LARGEST} a side",
            f"画像が {width}x{height} になります。一辺 {LARGEST} 以下にしてください",
        )
    white = Image.new("L", (width, height), 255)
    white.paste(mask, (left, up))
    return drawn_out(picture, left, up, width, height), white


def _widened(low: int, high: int, wanted: float, limit: int) -> tuple[int, int]:
    """A span about the same middle, `wanted` long if it is shorter, inside 0 to limit."""
    length = min(limit, max(high - low, round(wanted)))
    start = min(max(0, (low + high - length) // 2), limit - length)
    return start, start + length
