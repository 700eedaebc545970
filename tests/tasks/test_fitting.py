"""Pictures of any size and kind, made into what a model takes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kakusan.errors import FileError, KakusanError
from kakusan.tasks.fitting import RESIZES, check_size, depth_picture, depth_tensor, fitted, mask_tensor, opened, size_of


def stripes(width: int, height: int) -> Image.Image:
    """Red grows from left to right, green from top to bottom."""
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([255 * x / (width - 1), 255 * y / (height - 1), 0 * x], -1).round().astype(np.uint8))


def levels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


@pytest.mark.parametrize("how", RESIZES)
def test_every_way_gives_the_size_asked_for_and_leaves_what_fits_alone(how: str) -> None:
    picture = stripes(90, 40)
    assert fitted(picture, 64, 64, how).size == (64, 64)
    assert fitted(picture, 90, 40, how).tobytes() == picture.tobytes()


def test_cropping_keeps_the_middle_stretching_all_and_filling_draws_edges_out() -> None:
    picture = stripes(128, 64)
    cropped, stretched, filled = (levels(fitted(picture, 64, 64, how)) for how in ("crop", "stretch", "fill"))
    assert abs(cropped[:, 0, 0].mean() - 64) < 3
    assert stretched[:, 0, 0].mean() < 3
    assert stretched[:, -1, 0].mean() > 252
    assert np.array_equal(filled[:16], np.repeat(filled[16:17], 16, axis=0))
    assert np.array_equal(filled[-16:], np.repeat(filled[-17:-16], 16, axis=0))


@pytest.mark.parametrize(
    ("size", "drawn"),
    [
        ((64, 64), (64, 64)),
        ((65, 70), (64, 64)),
        ((100, 72), (96, 64)),
        ((640, 480), (80, 48)),
        ((5, 5), (16, 16)),
        ((4000, 10), (1280, 16)),
    ],
)
def test_pictures_are_drawn_in_their_own_size_or_about_as_large_as_the_model_draws(size: tuple[int, int], drawn: tuple[int, int]) -> None:
    assert size_of(Image.new("RGB", size), 16, 64) == drawn


def test_sizes_that_cannot_be_name_one_that_can() -> None:
    check_size("width", "幅", 96, 16, 16)
    for value, near in ((100, 96), (0, 16), (-5, 16), (9000, 8192)):
        with pytest.raises(KakusanError) as told:
            check_size("width", "幅", value, 16, 16)
        assert told.value.en.endswith(f"try {near}")
        assert told.value.ja.startswith("幅が")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I", "I;16", "F"])
def test_pictures_of_every_kind_are_read(mode: str, tmp_path: Path) -> None:
    source = Image.new("RGB", (9, 7), (200, 200, 200)).convert("I" if mode == "I;16" else mode)
    if mode == "I;16":
        source = Image.fromarray(np.full((7, 9), 200, np.uint16))
    for picture in (source, tmp_path / "picture.tif"):
        if isinstance(picture, Path):
            source.save(picture)
        assert opened(picture).mode == "RGB"
        assert opened(picture, "L").size == (9, 7)


def test_pictures_lying_on_their_side_are_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stripes(20, 10).save(tmp_path / "turned.png", exif=exif)
    assert opened(tmp_path / "turned.png").size == (10, 20)


def test_what_is_no_picture_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    stripes(40, 40).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:80])
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "broken.png").write_bytes(whole[:20] + b"x" + whole[21:])
    for name in ("text.png", "cut.png", "broken.png", "nowhere.png", ""):
        with pytest.raises(FileError) as told:
            opened(tmp_path / name)
        assert str(tmp_path) in told.value.en
        assert "\n" not in told.value.en + told.value.ja


def test_masks_are_numbers_from_0_to_1() -> None:
    mask = mask_tensor(Image.fromarray(np.array([[0, 51, 255]], np.uint8)))
    assert mask.tolist() == [[[0.0, pytest.approx(0.2), 1.0]]]


def test_depth_keeps_16_bits_and_its_picture_shows_near_in_white(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 12).round().astype(np.uint16).reshape(3, 4)
    Image.fromarray(values).save(tmp_path / "depth.png")
    depth = depth_tensor(opened(tmp_path / "depth.png", "F"))
    assert torch.equal(depth, torch.from_numpy(values.astype(np.float32)))
    shown = levels(depth_picture(depth))
    assert (shown.min(), shown.max()) == (0, 255)
    assert np.abs(shown - values / 257).max() <= 0.5
    assert levels(depth_picture(torch.full((2, 2), 3.0))).max() == 0, "all as far"
    colours = depth_tensor(opened(Image.new("RGB", (2, 2), (100, 100, 100)), "F"))
    assert colours.tolist() == [[100.0, 100.0], [100.0, 100.0]]
