"""Stable Diffusion's invisible watermark: the bits of a short tag, hidden over and over in the colours of a picture.

The method is "dwtDct" of the library invisible-watermark, which the reference scripts call, tag "StableDiffusionV1" (136 bits) or
"SDV2" (32). Despite its name there is no cosine transform in it: of each 4 x 4 block of the coarse half of a Haar wavelet transform
of the U colour, the largest coefficient but the first is moved to a quarter or three quarters of a multiple of 36. Its slips belong
to the format: the two mixed bands are swapped on the way back, and values beyond 0..255 wrap.
h w: height and width of a picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import KakusanError

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

TAGS = {"sd1": b"StableDiffusionV1", "sd2": b"SDV2"}
SCALE, BLOCK = 36.0, 4
LEAST = 256 * 256  # pixels a picture must have
SURE = 0.8  # share of a tag's bits that have to match; 32 bits reach it by chance about once in 3,700 pictures


@dataclass(frozen=True)
class Found:
    """What was read: for each bit the share of blocks that voted 1, and the bits."""

    votes: Floats

    @cached_property
    def bits(self) -> NDArray[np.bool_]:
        """The majority's bits."""
        return self.votes * 255 > 127

    @property
    def content(self) -> bytes:
        """The bits as bytes, most significant first."""
        return bytes(np.packbits(self.bits))

    def match(self, tag: bytes) -> float:
        """The share of bits that are those of a tag: about 0.5 for a picture without it."""
        return float((self.bits == bits_of(tag)).mean())


def mark(image: Bytes, tag: bytes) -> Bytes:
    """The picture (h w 3, red first) with the tag in it. Raises KakusanError if it has fewer than 256 x 256 pixels."""
    check_size(image)
    yuv = to_yuv(image)
    h, w = (size // 4 * 4 for size in image.shape[:2])
    coarse, across, down, both = haar(yuv[:h, :w, 1].astype(np.float64))
    values, places = largest(coarse)
    bits = np.resize(bits_of(tag), len(values))
    moved = (np.abs(values) // SCALE + 0.25 + 0.5 * bits) * SCALE
    _put(coarse, places, np.where(values >= 0, moved, -moved))
    u = unhaar(coarse, down, across, both)  # across and down swapped, as there
    yuv[:h, :w, 1] = u.astype(np.int64) & 255
    return from_yuv(yuv)


def read(image: Bytes, bits: int) -> Found:
    """What a picture (h w 3, red first) says if it carries a tag of that many bits. Raises KakusanError as `mark` does."""
    check_size(image)
    h, w = (size // 4 * 4 for size in image.shape[:2])
    values, _ = largest(haar(to_yuv(image)[:h, :w, 1].astype(np.float64))[0])
    votes = np.abs(values) % SCALE > 0.5 * SCALE
    return Found(np.array([votes[i::bits].mean() for i in range(bits)]))


def named(image: Bytes) -> tuple[str, float] | None:
    """The tag a picture carries and how well its bits match, None if it carries none of `TAGS`."""
    if image.shape[0] * image.shape[1] < LEAST:
        return None
    matches = {tag.decode(): read(image, 8 * len(tag)).match(tag) for tag in TAGS.values()}
    best = max(matches, key=lambda tag: matches[tag])
    return (best, matches[best]) if matches[best] >= SURE else None


def bits_of(tag: bytes) -> NDArray[np.bool_]:
    """The bits of some bytes, most significant first."""
    return np.unpackbits(np.frombuffer(tag, np.uint8)).astype(bool)


def check_size(image: Bytes) -> None:
    """Raises KakusanError if the picture is too small for a watermark."""
    h, w = image.shape[:2]
    if h * w < LEAST:
        raise KakusanError(
            f"the picture has {w} x {h} pixels; a watermark needs at least 256 x 256",
            f"画像が {w} x {h} 画素です。電子透かしには 256 x 256 以上が必要です",
        )


def largest(coarse: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Of each 4 x 4 block in rows, the coefficient of largest magnitude but the first, and its place in the block."""
    blocks = _blocks(coarse)  # b 16
    places = np.argmax(np.abs(blocks[:, 1:]), axis=1) + 1
    return blocks[np.arange(len(blocks)), places], places


def haar(x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """One level of the Haar wavelet transform (h w): coarse, differences down, across, and both (h/2 w/2 each)."""
    low, high = _pairs(x)
    (coarse, across), (down, both) = (tuple(half.T for half in _pairs(part.T)) for part in (low, high))
    return coarse, down, across, both


def unhaar(coarse: Floats, down: Floats, across: Floats, both: Floats) -> Floats:
    """The picture (h w) of which `haar` made these."""
    low, high = _joined(coarse.T, across.T).T, _joined(down.T, both.T).T
    return _joined(low, high)


def to_yuv(image: Bytes) -> Bytes:
    """Luma and two colour differences of red, green and blue (h w 3), in OpenCV's 14-bit fixed point (ITU-R BT.601)."""
    r, g, b = (image[..., i].astype(np.int64) for i in range(3))
    y = _rounded(4899 * r + 9617 * g + 1868 * b)
    return _clipped((y, _rounded(8061 * (b - y)) + 128, _rounded(14369 * (r - y)) + 128))


def from_yuv(yuv: Bytes) -> Bytes:
    """The way back from `to_yuv`, as OpenCV goes it."""
    y, u, v = (yuv[..., i].astype(np.int64) - (128 if i else 0) for i in range(3))
    return _clipped((y + _rounded(18678 * v), y + _rounded(-6472 * u - 9519 * v), y + _rounded(33292 * u)))


def _blocks(x: Floats) -> Floats:
    h, w = (size // BLOCK for size in x.shape)
    return x[: h * BLOCK, : w * BLOCK].reshape(h, BLOCK, w, BLOCK).swapaxes(1, 2).reshape(h * w, BLOCK * BLOCK)


def _put(x: Floats, places: NDArray[np.intp], values: Floats) -> None:
    """Sets one coefficient of each block, in place."""
    w = x.shape[1] // BLOCK
    block = np.arange(len(places))
    x[block // w * BLOCK + places // BLOCK, block % w * BLOCK + places % BLOCK] = values


def _pairs(x: Floats) -> tuple[Floats, Floats]:
    """Sums and differences of neighbours along the first axis, over the root of 2."""
    root = np.sqrt(0.5)
    return root * x[::2] + root * x[1::2], root * x[::2] - root * x[1::2]


def _joined(sums: Floats, differences: Floats) -> Floats:
    root = np.sqrt(0.5)
    x = np.empty((2 * sums.shape[0], sums.shape[1]))
    x[::2], x[1::2] = root * sums + root * differences, root * sums - root * differences
    return x


def _rounded(x: NDArray[np.int64]) -> NDArray[np.int64]:
    return (x + (1 << 13)) >> 14


def _clipped(planes: Sequence[NDArray[np.int64]]) -> Bytes:
    return np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8)
