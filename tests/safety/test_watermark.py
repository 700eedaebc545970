"""The watermark is, bit for bit, the one of the library that Stable Diffusion's scripts call."""

import json

import numpy as np
import pytest

from golden import watermarks
from kakusan.errors import KakusanError
from kakusan.safety import watermark

GOLDEN = json.loads((watermarks.Path(watermarks.__file__).with_suffix(".json")).read_text())
PICTURES = watermarks.pictures()


@pytest.mark.parametrize("case", GOLDEN)
def test_marks_are_those_of_the_library_bit_for_bit(case: str) -> None:
    name, tag = case.split()
    marked = watermark.mark(PICTURES[name], tag.encode())
    assert watermarks.digest(marked) == GOLDEN[case]["sha256"]
    assert watermark.read(marked, 8 * len(tag)).content.hex() == GOLDEN[case]["reads"]
    assert watermark.named(marked) == (tag, watermark.read(marked, 8 * len(tag)).match(tag.encode()))


def test_pictures_without_a_mark_carry_none() -> None:
    rng = np.random.default_rng(0)
    assert all(watermark.named(picture) is None for picture in PICTURES.values())
    assert all(watermark.named(rng.integers(0, 256, (256, 256, 3), np.uint8)) is None for _ in range(20))
    assert watermark.named(np.zeros((64, 64, 3), np.uint8)) is None


def test_the_mark_cannot_be_seen() -> None:
    before = PICTURES["waves"]
    difference = watermark.mark(before, b"SDV2").astype(int) - before
    assert 0 < np.sqrt((difference**2).mean()) < 5


def test_wavelets_there_and_back() -> None:
    x = np.random.default_rng(1).normal(size=(12, 20))
    coarse, down, across, both = watermark.haar(x)
    np.testing.assert_allclose(coarse, x.reshape(6, 2, 10, 2).mean((1, 3)) * 2)
    np.testing.assert_allclose(watermark.unhaar(coarse, down, across, both), x)


def test_small_pictures_are_refused() -> None:
    with pytest.raises(KakusanError, match="255 x 256 pixels; a watermark needs at least 256 x 256"):
        watermark.mark(np.zeros((256, 255, 3), np.uint8), b"SDV2")
