"""kakusan.images: tensors, grids, PNG files that are whole, numbered and never overwritten."""

import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from diffusers.image_processor import VaeImageProcessor
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kakusan import images
from kakusan.errors import FileError

RED = Image.new("RGB", (4, 3), (255, 0, 0))


def test_rounding_equals_diffusers() -> None:
    image = torch.randn(1, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    (theirs,) = VaeImageProcessor().postprocess(image, output_type="pil")
    np.testing.assert_array_equal(np.asarray(images.to_pil(image[0])), np.asarray(theirs))


def test_every_level_survives_both_ways() -> None:
    levels = np.arange(256 * 3, dtype=np.uint32).reshape(16, 16, 3).astype(np.uint8)
    picture = Image.fromarray(levels)
    np.testing.assert_array_equal(np.asarray(images.to_pil(images.to_tensor(picture))), levels)


def test_to_tensor_range_and_shape() -> None:
    tensor = images.to_tensor(RED)
    assert tensor.shape == (3, 3, 4)
    assert tensor.dtype == torch.float32
    assert tensor[0].unique().tolist() == [1.0]
    assert tensor[1:].unique().tolist() == [-1.0]


def test_half_precision_and_values_out_of_range() -> None:
    image = torch.tensor([-7.0, 0.0, 7.0], dtype=torch.bfloat16).reshape(3, 1, 1)
    assert images.to_pil(image).getpixel((0, 0)) == (0, 128, 255)


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (4, 8, 8), (8, 8)])
def test_wrong_shape_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"{shape[0]}, .*must be \(3, h, w\)"):
        images.to_pil(torch.zeros(shape))


@pytest.mark.parametrize(
    ("count", "columns", "size"), [(1, None, (4, 3)), (3, None, (8, 6)), (4, 4, (16, 3)), (5, 2, (8, 9)), (2, 9, (8, 3))]
)
def test_grid_size(count: int, columns: int | None, size: tuple[int, int]) -> None:
    assert images.grid([RED] * count, columns).size == size


def test_grid_order() -> None:
    shades = [Image.new("RGB", (1, 1), (10 * i, 0, 0)) for i in range(1, 6)]
    assert np.asarray(images.grid(shades))[..., 0].tolist() == [[10, 20, 30], [40, 50, 0]]


def test_grid_of_nothing() -> None:
    with pytest.raises(ValueError, match="0 pictures"):
        images.grid([])


def chunks(path: Path) -> list[bytes]:
    """Names of a PNG's chunks, read by hand."""
    data, at, names = path.read_bytes(), 8, []
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        names.append(data[at + 4 : at + 8])
        at += 12 + length
    return names


@pytest.mark.parametrize(("text", "chunk"), [("a café\nSteps: 20", b"tEXt"), ("赤いりんご\nSteps: 20", b"iTXt")])
def test_parameters_chunk(tmp_path: Path, text: str, chunk: bytes) -> None:
    images.save_png(RED, tmp_path / "a.png", text)
    assert chunk in chunks(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").info["parameters"] == text
    assert images.parameters(tmp_path / "a.png") == text


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",))))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = images.save_next(RED, tmp_path_factory.getbasetemp(), "text", text)
    assert images.parameters(path) == text


def test_text_no_png_can_hold_is_mended(tmp_path: Path) -> None:
    images.save_png(RED, tmp_path / "a.png", "a\0b\udcff")
    assert images.parameters(tmp_path / "a.png") == "ab?"


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("text", ["a café\nSteps: 20", "赤いりんご 🍎\nSteps: 20"])
def test_every_format_says_how_and_that_a_model_made_it(tmp_path: Path, kind: images.Kind, text: str) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    path = images.save_next(Image.fromarray(levels), tmp_path, "7", text, kind, images.COMPOSITE)
    assert path.name == "00000-7" + images.SUFFIXES[kind]
    said = images.read_picture(path)
    assert (said.parameters, said.source) == (text, "compositeWithTrainedAlgorithmicMedia")
    assert np.array_equal(np.asarray(said.picture), levels) or kind == "jpeg"
    assert images.next_path(tmp_path, "8").name == "00001-8.png"
    with Image.open(path) as opened:  # as other programs see it
        assert opened.format == kind.upper()
        packet = opened.info["XML:com.adobe.xmp" if kind == "png" else "xmp"]
        described = ElementTree.fromstring(packet)[0][0]
        assert described.findtext("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType") == images.SOURCES + images.COMPOSITE
        if kind != "png":
            comment = opened.getexif().get_ifd(0x8769)[0x9286]
            assert comment[8:].decode("utf-16-be") == text


def test_comments_of_other_programs(tmp_path: Path) -> None:
    comments = [b"ASCII\0\0\0a red apple", b"\0" * 8 + "りんご".encode(), b"UNICODE\0" + "a red apple".encode("utf-16-le")]
    for i, (comment, text) in enumerate(zip(comments, ["a red apple", "りんご", "a red apple"], strict=True)):
        exif = Image.Exif()
        exif[0x8769] = {0x9286: comment}
        RED.save(tmp_path / f"{i}.jpg", exif=exif.tobytes())
        assert images.parameters(tmp_path / f"{i}.jpg") == text


def test_what_a_format_cannot_take_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"too long for this format .*; save it as PNG"):
        images.save_picture(RED, tmp_path / "a.jpg", "x" * 70000)
    with pytest.raises(FileError, match=r"unknown ending; pictures are saved as \.png, \.jpg, \.webp"):
        images.save_picture(RED, tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []


def test_no_text_no_chunk(tmp_path: Path) -> None:
    images.save_png(RED, tmp_path / "a.png")
    assert chunks(tmp_path / "a.png") == [b"IHDR", b"IDAT", b"IEND"]
    assert images.parameters(tmp_path / "a.png") == ""


def test_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        images.save_png(RED, path)
    assert path.read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_never_overwrites_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    images.save_png(RED, tmp_path / "a.png", "text")
    with pytest.raises(FileExistsError):
        images.save_png(RED, tmp_path / "a.png", "other")
    assert images.parameters(tmp_path / "a.png") == "text"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(("cause", "seen"), [(OSError(28, "No space left on device"), FileError), (KeyboardInterrupt(), KeyboardInterrupt)])
def test_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: BaseException, seen: type[BaseException]) -> None:
    def failing(_: int) -> None:
        assert len(list(tmp_path.rglob("*.part"))) == 1
        raise cause

    monkeypatch.setattr("os.fsync", failing)
    with pytest.raises(seen, match=r"a\.png: cannot be written \(No space left on device\)" if seen is FileError else None):
        images.save_png(RED, tmp_path / "new" / "a.png")
    assert [p.name for p in tmp_path.rglob("*")] == ["new"]


def test_numbers_count_up(tmp_path: Path) -> None:
    assert images.next_path(tmp_path / "new", "7").name == "00000-7.png"
    for name in ("00003-7.png", "00011-grid.png", "notes.png", "99-7.png", "00020-7.txt", ".00030-7.png.part"):
        (tmp_path / name).touch()
    assert images.next_path(tmp_path, "7").name == "00012-7.png"
    (tmp_path / "99999-1.png").touch()
    assert images.save_next(RED, tmp_path, "7").name == "100000-7.png"
    assert images.next_path(tmp_path, "7").name == "100001-7.png"


def test_many_writers_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda i: images.save_next(RED.copy(), tmp_path, "7", str(i)), range(40)))
    assert len(set(paths)) == 40
    assert [images.parameters(p) for p in paths] == [str(i) for i in range(40)]
    assert len(list(tmp_path.iterdir())) == 40


def test_unwritable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(FileError, match="cannot be written"):
            images.check_writable(folder)
        with pytest.raises(FileError, match="cannot be written"):
            images.save_next(RED, folder, "7")
    images.check_writable(tmp_path / "a" / "b")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_parameters_of_what_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        images.parameters(tmp_path / "missing.png")
    images.save_png(RED, tmp_path / "a.png", "text")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:-30])
    (tmp_path / "text.png").write_text("text")
    for path in (tmp_path / "cut.png", tmp_path / "text.png", tmp_path):
        with pytest.raises(FileError, match="not a picture"):
            images.parameters(path)


def test_import_is_light() -> None:
    code = "import sys, kakusan.images; print([m for m in ('torch', 'numpy', 'PIL') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
