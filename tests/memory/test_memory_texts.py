"""Texts in pictures' files, written by Pillow and by hand, in every place that programs put them."""

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kakusan.errors import FileError
from kakusan.images import picture_bytes
from kakusan.memory.texts import MOST, read_texts

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXT = "赤い apple\nSteps: 1"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 2, 0, 0, 0))
    return SIGNATURE + head + b"".join(chunks) + chunk(b"IDAT", zlib.compress(bytes(20))) + chunk(b"IEND", b"")


def saved(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_pillows_png(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("plain", "latin é")
    info.add_text("packed", "x" * 5000, zip=True)
    info.add_itxt("wide", TEXT)
    info.add_itxt("both", TEXT * 100, zip=True)
    Image.new("RGB", (5, 7)).save(tmp_path / "a.png", pnginfo=info)
    found = read_texts(tmp_path / "a.png")
    assert found.by_key == {"plain": "latin é", "packed": "x" * 5000, "wide": TEXT, "both": TEXT * 100}
    assert (found.width, found.height, found.notes) == (5, 7, [])


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_our_own_files(tmp_path: Path, kind: str) -> None:
    record = '{"kakusan":1,"a":"<&>\\" 赤"}'
    data = picture_bytes(Image.new("RGB", (64, 32)), kind, TEXT, "trainedAlgorithmicMedia", record)  # type: ignore[arg-type]
    found = read_texts(saved(tmp_path / "ours", data))
    assert (found.by_key["parameters"], found.by_key["kakusan"]) == (TEXT, record)
    assert (found.width, found.height) == (64, 32)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_pillows_exif(tmp_path: Path, kind: str) -> None:
    """As ComfyUI writes its WebP files, and Fooocus its JPEG files."""
    exif = Image.Exif()
    exif[0x0110], exif[0x010F] = 'prompt:{"1": 2}', "Workflow:{}"
    exif[0x9286], exif[0x927C] = "{}", "fooocus"
    Image.new("RGB", (40, 24)).save(tmp_path / "a", kind, exif=exif)
    found = read_texts(tmp_path / "a")
    assert found.by_key == {"prompt": '{"1": 2}', "workflow": "{}", "parameters": "{}", "MakerNote": "fooocus"}
    assert (found.width, found.height) == (40, 24)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("coding", ["utf-16-be", "utf-16-le", "ascii"])
def test_comments_by_hand(tmp_path: Path, order: str, coding: str) -> None:
    """Both orders of a TIFF's bytes, and of the comment's own."""
    text = "a cat" if coding == "ascii" else TEXT
    comment = (b"ASCII\0\0\0" if coding == "ascii" else b"UNICODE\0") + text.encode(coding)
    main = struct.pack(f"{order}HHHIII", 1, 0x8769, 4, 1, 26, 0)
    details = struct.pack(f"{order}HHHIII", 1, 0x9286, 7, len(comment), 44, 0)
    tiff = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8) + main + details + comment
    segment = b"Exif\0\0" + tiff
    data = b"\xff\xd8\xff\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + b"\xff\xda"
    assert read_texts(saved(tmp_path / "a.jpg", data)).by_key == {"parameters": text}
    assert read_texts(saved(tmp_path / "a.png", png(chunk(b"eXIf", tiff)))).by_key == {"parameters": text}


def test_comments_of_gif_and_jpeg(tmp_path: Path) -> None:
    Image.new("RGB", (9, 8)).save(tmp_path / "a.gif", comment=TEXT.encode())
    found = read_texts(tmp_path / "a.gif")
    assert (found.by_key, found.width, found.height) == ({"comment": TEXT}, 9, 8)
    Image.new("RGB", (9, 8)).save(tmp_path / "a.jpg", comment=TEXT.encode())
    assert read_texts(tmp_path / "a.jpg").by_key == {"comment": TEXT}


def test_bombs_are_left_out_and_told(tmp_path: Path) -> None:
    large = zlib.compress(bytes(MOST + 10), 9)
    data = png(
        chunk(b"zTXt", b"bomb\0\0" + large),
        chunk(b"iTXt", b"other\0\1\0\0\0" + large),
        chunk(b"tEXt", b"long\0" + b"a" * (MOST + 200)),
        chunk(b"zTXt", b"broken\0\0" + b"no zlib"),
        chunk(b"tEXt", b"good\0yes"),
    )
    found = read_texts(saved(tmp_path / "a.png", data))
    assert found.by_key == {"good": "yes"}
    told = " ".join(found.notes)
    assert all(name in told for name in ("'bomb' is larger", "'other' is larger", "'long' is larger", "'broken' is damaged"))


def test_all_texts_together_are_bounded(tmp_path: Path) -> None:
    packed = zlib.compress(b"a" * (MOST - 1))
    found = read_texts(saved(tmp_path / "a.png", png(*(chunk(b"zTXt", b"t%d\0\0" % i + packed) for i in range(9)))))
    assert list(found.by_key) == ["t0", "t1", "t2", "t3"]
    assert found.notes


@pytest.mark.parametrize("cut", [12, 20, 30, 45, 60])
def test_what_stands_before_the_damage_is_read(tmp_path: Path, cut: int) -> None:
    data = png(chunk(b"tEXt", b"k\0v"), chunk(b"tEXt", b"later\0w"))
    assert read_texts(saved(tmp_path / "a.png", data[:cut])).by_key in ({}, {"k": "v"})


def test_no_pictures(tmp_path: Path) -> None:
    for name, data in (("a.png", b""), ("b.jpg", b"<svg/>"), ("c", b"RIFF\0\0\0\0WAVE")):
        with pytest.raises(FileError, match="not a picture"):
            read_texts(saved(tmp_path / name, data))
    with pytest.raises(FileError, match="no such file"):
        read_texts(tmp_path / "none")
    with pytest.raises(FileError, match="cannot be read"):
        read_texts(tmp_path)
    Image.new("RGB", (2, 2)).save(tmp_path / "a.bmp")
    assert read_texts(tmp_path / "a.bmp").by_key == {}
