"""Drawing only the part of a picture round a mask, and laying the result back (diffusers' `padding_mask_crop`)."""

from PIL import Image, ImageOps

from ...errors import KakusanError
from .images import Pictures

Box = tuple[int, int, int, int]
"""Left, upper, right and lower edge in pixels."""


def region(picture: Pictures, mask: Pictures, width: int, height: int, pad: int) -> Box:
    """The box of all that is not black in the mask, `pad` pixels larger, then grown to the proportions of what is drawn.

    Raises KakusanError on anything but PIL images, and on a mask that is all black.
    """
    if not isinstance(picture, Image.Image) or not isinstance(mask, Image.Image):
        raise KakusanError(
            "padding_mask_crop needs a PIL image and a PIL mask_image",
            "padding_mask_crop を使うには image と mask_image を PIL の画像にしてください",
        )
    found = mask.convert("L").getbbox()
    if found is None:
        raise KakusanError("mask_image is all black: there is nothing to draw", "mask_image が真っ黒です。描き直す部分がありません")
    left, top = max(found[0] - pad, 0), max(found[1] - pad, 0)
    right, bottom = min(found[2] + pad, mask.width), min(found[3] + pad, mask.height)
    if (right - left) / (bottom - top) > width / height:
        top, bottom = _grown(top, bottom, int((right - left) / (width / height) - (bottom - top)), mask.height)
    else:
        left, right = _grown(left, right, int((bottom - top) * (width / height) - (right - left)), mask.width)
    return left, top, right, bottom


def laid_on(drawn: Image.Image, picture: Image.Image, mask: Image.Image, box: Box) -> Image.Image:
    """The picture with what was drawn of the box in it, as opaque as the mask is white. Raises KakusanError if their sizes differ."""
    if mask.size != picture.size:
        raise KakusanError(
            f"image is {picture.size} and mask_image {mask.size}; padding_mask_crop needs equal sizes",
            f"image は {picture.size}、mask_image は {mask.size} です。padding_mask_crop では同じ大きさにしてください",
        )
    kept = Image.new("RGBa", picture.size)
    kept.paste(picture.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask.convert("L")))
    under = Image.new("RGBA", picture.size)
    under.paste(_filling(drawn, box[2] - box[0], box[3] - box[1]), box[:2])
    whole = under.convert("RGB").convert("RGBA")
    whole.alpha_composite(kept.convert("RGBA"))
    return whole.convert("RGB")


def _grown(low: int, high: int, by: int, limit: int) -> tuple[int, int]:
    """An interval `by` longer, evenly on both sides, moved inside 0 .. limit and cut there."""
    low, high = low - by // 2, high + by - by // 2
    if high >= limit:
        low, high = low - (high - limit), limit
    if low < 0:
        low, high = 0, high - low
    return low, min(high, limit)


def _filling(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The picture sized to cover the rectangle, its middle cut out."""
    wider = width / height > picture.width / picture.height
    w = width if wider else picture.width * height // picture.height
    h = picture.height * width // picture.width if wider else height
    sized = picture.resize((w, h), resample=Image.Resampling.LANCZOS)
    whole = Image.new("RGB", (width, height))
    whole.paste(sized, (width // 2 - w // 2, height // 2 - h // 2))
    return whole
