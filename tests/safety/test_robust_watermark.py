"""The robust mark outlives what pictures go through, cannot be seen, and is found only where it is."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from kakusan.safety import robust_watermark as robust
from kakusan.safety.watermark import Bytes

SIZES = ((512, 512), (256, 256), (768, 512), (333, 512))


def picture(seed: int) -> Bytes:
    """Soft clouds of four sizes; every fourth is one flat colour."""
    rng = np.random.default_rng(seed)
    h, w = SIZES[seed % len(SIZES)]
    if seed % 4 == 0:
        return np.full((h, w, 3), rng.integers(256, size=3), np.uint8)
    clouds = np.zeros((h, w, 3))
    for size, height in ((64, 40), (16, 25), (4, 15), (1, 6)):
        noise = rng.normal(size=(3, h // size + 2, w // size + 2)).astype(np.float32)
        clouds += height * np.stack([np.asarray(Image.fromarray(plane).resize((w, h), Image.Resampling.BICUBIC)) for plane in noise], -1)
    return (128 + clouds).clip(0, 255).astype(np.uint8)


def jpeg(image: Image.Image, quality: int = 75) -> Image.Image:
    data = BytesIO()
    image.save(data, "JPEG", quality=quality)
    return Image.open(data)


def half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg 75": jpeg,
    "half the size": half,
    "half the size, then jpeg 75": lambda image: jpeg(half(image)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
}


@pytest.fixture(scope="module")
def marked() -> list[tuple[Bytes, Bytes]]:
    return [(before, robust.mark(before, robust.TAG)) for before in (picture(seed) for seed in range(12))]


@pytest.mark.parametrize("edit", EDITS)
def test_it_outlives(edit: str, marked: list[tuple[Bytes, Bytes]]) -> None:
    """benchmarks/watermark.py counts a hundred pictures."""
    read = [robust.named(np.asarray(EDITS[edit](Image.fromarray(after)))) for _, after in marked]
    assert [r is not None and r[1] >= 31 / 32 for r in read] == [True] * len(read)


def test_it_cannot_be_seen(marked: list[tuple[Bytes, Bytes]]) -> None:
    for before, after in marked:
        error = ((after.astype(float) - before) ** 2).mean()
        assert 10 * np.log10(255**2 / error) > 40


def test_it_is_found_only_where_it_is(marked: list[tuple[Bytes, Bytes]]) -> None:
    assert all(robust.named(before) is None for before, _ in marked)
    assert all(robust.read(after, 32).content == robust.TAG for _, after in marked)
    assert robust.named(np.zeros((127, 512, 3), np.uint8)) is None


def test_other_contents_come_back_too() -> None:
    content = b"any 17 bytes here"
    assert robust.read(robust.mark(picture(1), content), 136).content == content


def test_small_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="127 x 300 pixels; this watermark needs at least 128"):
        robust.mark(np.zeros((300, 127, 3), np.uint8), robust.TAG)
