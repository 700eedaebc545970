"""An invisible watermark that outlives JPEG files, smaller copies and mild edits: spread over the middle frequencies of the whole picture.

Cox et al. 1997, "Secure spread spectrum watermarking for multimedia", https://doi.org/10.1109/83.650120, section IV, with the host's
own interference taken away while embedding (Malvar and Florencio 2003, "Improved spread spectrum", https://doi.org/10.1109/TSP.2003.809385,
section III). Frequencies are counted in waves across the picture, so it does not matter how large a copy is.
h w: height and width of a picture.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .watermark import SURE, Bytes, Found, bits_of

Floats = NDArray[np.float64]

TAG = b"KKSN"
LOW, HIGH = 12, 64  # half waves across the picture, of the frequencies used
LEAST = 128  # pixels of the shorter side: all those frequencies have to be there, in a copy of half the size too
STRENGTH = 1.0  # root mean square of the mark, of 255 levels
KEY = 0x6B616B75  # of the patterns: the same for everyone, so that anyone can read


def mark(image: Bytes, tag: bytes) -> Bytes:
    """The picture (h w 3, red first) with the tag in its luma. Raises ValueError if its shorter side has fewer than 128 pixels."""
    _check(image)
    signs = np.where(bits_of(tag), 1.0, -1.0)
    patterns = _patterns(len(signs))  # b f
    target = STRENGTH * np.sqrt(_luma(image).size / len(signs))  # of each bit's projection, in the picture's own units
    x = image.astype(np.float64)
    for _ in range(3):  # once more for what rounding and clipping to 0..255 took away
        found = patterns @ _spectrum(_luma(x))
        missing = np.maximum(target - signs * found, 0) * signs
        x = (x + _picture(missing @ patterns, image.shape[:2])[..., None]).clip(0, 255).round()
    return x.astype(np.uint8)


def read(image: Bytes, bits: int) -> Found:
    """What a picture (h w 3, red first) says if it carries a tag of that many bits. Raises ValueError as `mark` does."""
    _check(image)
    return Found((_patterns(bits) @ _spectrum(_luma(image)) > 0).astype(np.float64))


def named(image: Bytes) -> tuple[str, float] | None:
    """`TAG` and how well its bits match, None for a picture that does not carry it."""
    if min(image.shape[:2]) < LEAST:
        return None
    match = read(image, 8 * len(TAG)).match(TAG)
    return (TAG.decode(), match) if match >= SURE else None


@lru_cache(maxsize=4)
def _patterns(bits: int) -> Floats:
    """One unit vector of signs over the frequencies for each bit; no two share a frequency (b f)."""
    count = int(_band().sum())
    raw = np.random.Philox(KEY).random_raw(2 * count)  # raw words: numpy promises no more than those for ever
    owner = np.argsort(raw[:count], kind="stable") % bits
    signs = np.where(raw[count:] & 1, 1.0, -1.0)
    patterns: Floats = np.where(owner == np.arange(bits)[:, None], signs, 0.0)
    patterns /= np.linalg.norm(patterns, axis=1, keepdims=True)
    return patterns


def _band() -> NDArray[np.bool_]:
    """Which of the first HIGH x HIGH frequencies are used."""
    radius = np.hypot(*np.mgrid[:HIGH, :HIGH])
    band: NDArray[np.bool_] = (radius >= LOW) & (radius < HIGH)
    return band


def _spectrum(luma: Floats) -> Floats:
    """The used frequencies of a picture (h w), by the orthonormal cosine transform, as one vector (f)."""
    h, w = luma.shape
    return (_cosines(h) @ luma @ _cosines(w).T)[_band()]


def _picture(spectrum: Floats, shape: tuple[int, int]) -> Floats:
    """The picture (h w) that has these frequencies and no others."""
    plane = np.zeros((HIGH, HIGH))
    plane[_band()] = spectrum
    picture: Floats = _cosines(shape[0]).T @ plane @ _cosines(shape[1])
    return picture


@lru_cache(maxsize=8)
def _cosines(size: int) -> Floats:
    """The first HIGH rows of the orthonormal DCT-II of a length (HIGH size)."""
    k, i = np.mgrid[:HIGH, :size]
    rows: Floats = np.sqrt(2 / size) * np.cos(np.pi * k * (i + 0.5) / size)
    rows[0] /= np.sqrt(2)
    return rows


def _luma(image: NDArray[np.generic]) -> Floats:
    luma: Floats = image.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return luma


def _check(image: Bytes) -> None:
    h, w = image.shape[:2]
    if min(h, w) < LEAST:
        raise ValueError(f"the picture has {w} x {h} pixels; this watermark needs at least {LEAST} on the shorter side")
