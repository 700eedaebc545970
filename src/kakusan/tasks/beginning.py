"""The pictures a call begins with, as a user has them, made into what a model takes, and the size of what will be drawn."""

from dataclasses import dataclass, replace

from PIL import Image
from torch import Tensor

from ..errors import KakusanError
from ..images import to_tensor
from .area import WHOLE, Area, Frame, cut_out, prepared
from .fitting import Picture, Resize, check_resize, check_size, depth_tensor, fitted, mask_tensor, opened, size_of
from .modes import Given

Size = tuple[int | None, int | None]
"""Width and height as asked for; None is left to the picture and the model."""


@dataclass(frozen=True)
class Asked:
    """What a user gives. Pictures are PIL images or files; size: of what is drawn; area: how the mask is used."""

    image: Picture | None = None
    mask: Picture | None = None
    depth: Picture | None = None
    size: Size = (None, None)
    resize: Resize = "crop"
    area: Area = WHOLE


@dataclass(frozen=True)
class Sizes:
    """What a model draws. factor: pixels a latent pixel is wide; multiple: of so many pixels, best; usual: side it was trained on."""

    factor: int
    multiple: int
    usual: int
    upscaling: bool = False


def begun(asked: Asked, sizes: Sizes) -> tuple[Given, Size]:
    """What a model takes, and the width and height it will draw. Raises KakusanError on what does not fit together."""
    check_resize(asked.resize)
    if asked.image is None:
        return _without_picture(asked), asked.size
    picture, mask = prepared(opened(asked.image), None if asked.mask is None else opened(asked.mask, "L"), asked.area)
    if sizes.upscaling:
        white = None if mask is None else mask_tensor(mask)
        return Given(to_tensor(picture), white, _depth(asked, picture, *picture.size)), (
            picture.width * sizes.factor,
            picture.height * sizes.factor,
        )
    if asked.resize == "latent" and (mask is not None or asked.depth is not None):
        raise KakusanError(
            "resize 'latent' is for a picture without mask or depth; choose crop, stretch or fill",
            "resize 'latent' はマスクも奥行きもない画像用です。crop か stretch か fill にしてください",
        )
    if mask is not None and (asked.area.only_masked or asked.size == (None, None)):
        return _framed(picture, mask, asked, sizes)
    width, height = _size(asked.size, size_of(picture, sizes.multiple, sizes.usual), sizes)
    white = None if mask is None else mask_tensor(fitted(mask, width, height, asked.resize))
    if asked.resize == "latent":
        across, down = (max(1, round(side / sizes.factor)) * sizes.factor for side in picture.size)
        return Given(to_tensor(fitted(picture, across, down, "stretch"))), (width, height)
    near = _depth(asked, picture, width, height)
    return Given(to_tensor(fitted(picture, width, height, asked.resize)), white, near), (width, height)


def _without_picture(asked: Asked) -> Given:
    if asked.mask is not None or asked.area != WHOLE:
        raise KakusanError("a mask without a picture; give the picture too", "マスクだけで画像がありません。画像も渡してください")
    return Given(depth=None if asked.depth is None else depth_tensor(opened(asked.depth, "F")))


def _framed(picture: Image.Image, mask: Image.Image, asked: Asked, sizes: Sizes) -> tuple[Given, Size]:
    """A part of the picture, or all of it, in a size that the model draws; the result will be as large as the picture is."""
    if asked.area.only_masked:
        box, *own = cut_out(mask, asked.area.padding, asked.size, sizes.usual, sizes.multiple)
    else:
        box, own = (0, 0, *picture.size), list(size_of(picture, sizes.multiple, sizes.usual))
    width, height = _size((None, None), (own[0], own[1]), sizes)
    part, white = (to(fitted(whole.crop(box), width, height, "stretch")) for to, whole in ((to_tensor, picture), (mask_tensor, mask)))
    given = Given(part, white, _depth(asked, picture, width, height))
    if (width, height) != picture.size or asked.area.only_masked:
        given = replace(given, frame=Frame(to_tensor(picture), mask_tensor(mask), box))
    return given, (width, height)


def _size(asked: Size, own: tuple[int, int], sizes: Sizes) -> tuple[int, int]:
    width, height = (given or best for given, best in zip(asked, own, strict=True))
    check_size("width", "幅", width, sizes.factor, sizes.factor)
    check_size("height", "高さ", height, sizes.factor, sizes.factor)
    return width, height


def _depth(asked: Asked, picture: Image.Image, width: int, height: int) -> Tensor | None:
    """Depth of the same part of the picture that is drawn, whatever size it was given in."""
    if asked.depth is None:
        return None
    near = fitted(opened(asked.depth, "F"), *picture.size, "stretch")
    return depth_tensor(fitted(near, width, height, asked.resize))
