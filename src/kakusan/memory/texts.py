"""The texts in a picture's file, by their keys, without looking at a pixel: PNG, JPEG, WebP, GIF.

Sizes are believed nowhere: a text takes at most `MOST` bytes, packed or unpacked, all of them together `TOTAL`, and what is larger is
left out and told. Sources: PNG (W3C 2003, 11.3.4), JPEG (ITU T.81, B), Exif 2.32, RIFF (WebP container), GIF89a, XMP part 3.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import IO

from ..errors import FileError
from ..images import RECORD_XMP, comment_text
from ..messages import tr
from .exif import COMMENT, PLAIN, exif

MOST, TOTAL = 4 << 20, 16 << 20
"""Bytes of one text, and of all texts of a file, those that are left out among them."""
CHUNKS = 1 << 20
"""So many parts of a file are looked at."""
LABELLED = re.compile(r"(prompt|workflow):", re.I)
RECORD = re.compile(rf"<{RECORD_XMP}>([^<]*)</{RECORD_XMP}>")
XMP_HEAD, EXIF_HEAD = b"http://ns.adobe.com/xap/1.0/\0", b"Exif\0\0"
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG markers whose segments hold the picture's size
PICTURES = (b"BM", b"II*\0", b"MM\0*")  # what says nothing that anybody reads


@dataclass
class Texts:
    """What was found. by_key: the first text of each key; width, height: in pixels, 0 if not told; notes: what was left out."""

    by_key: dict[str, str] = field(default_factory=dict)
    width: int = 0
    height: int = 0
    notes: list[str] = field(default_factory=list)
    room: int = TOTAL

    def add(self, key: str, text: str) -> None:
        """Keep a text, if there is room for it."""
        self.room -= len(text)
        if self.room < 0 or len(text) > MOST:
            self.too_long(key)
        elif text:
            self.by_key.setdefault(key, text)

    def too_long(self, key: str) -> None:
        """Tell that a text was left out."""
        if len(self.notes) < 8:
            shown, most = _shown(key), MOST >> 20
            self.notes.append(tr(f"the text {shown!r} is larger than {most} MiB: left out", f"{shown!r} は {most} MiB を超えるため省略"))

    def damaged(self, key: str) -> None:
        """Tell that a text cannot be read."""
        if len(self.notes) < 8:
            self.notes.append(tr(f"the text {_shown(key)!r} is damaged: left out", f"{_shown(key)!r} は壊れているため省略"))


def read_texts(path: Path) -> Texts:
    """The texts of a picture's file. Raises FileError if it is no picture, or cannot be read."""
    found = Texts()
    try:
        with path.open("rb") as file:
            start = file.read(16)
            reader = _reader(start)
            if reader is None:
                raise FileError(f"{path}: not a picture that can be read, or damaged", f"{path}: 画像として読めないか、壊れています")
            file.seek(0)
            reader(file, found)
    except FileNotFoundError as error:
        raise FileError(f"{path}: no such file; check the path", f"{path}: ファイルがありません。パスを確かめてください") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(f"{path}: cannot be read ({reason})", f"{path}: 読み込めません ({reason})") from error
    return found


def _reader(start: bytes) -> Callable[[IO[bytes], Texts], None] | None:
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png
    if start.startswith(b"\xff\xd8\xff"):
        return _jpeg
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return _webp
    if start.startswith((b"GIF87a", b"GIF89a")):
        return _gif
    known = start.startswith(PICTURES) or start[4:12] in (b"ftypavif", b"ftypavis")
    return (lambda file, found: None) if known else None


def _png(file: IO[bytes], found: Texts) -> None:
    file.seek(8)
    for _ in range(CHUNKS):
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return
        length, kind = struct.unpack(">I4s", head)
        if kind in (b"IHDR", b"tEXt", b"zTXt", b"iTXt", b"eXIf"):
            data = file.read(min(length, MOST + 100))
            if len(data) < length and length > MOST:
                file.seek(length - len(data), 1)
                found.too_long(data[:79].split(b"\0")[0].decode("latin-1"))
            elif kind == b"IHDR" and len(data) >= 8:
                found.width, found.height = struct.unpack(">II", data[:8])
            elif kind == b"eXIf":
                _take_exif(data, found)
            elif kind != b"IHDR":
                _png_text(kind, data, found)
        else:
            file.seek(length, 1)
        file.seek(4, 1)  # the sum that guards the chunk: a damaged text may still tell something


def _png_text(kind: bytes, data: bytes, found: Texts) -> None:
    raw, _, rest = data.partition(b"\0")
    key, coding = raw.decode("latin-1"), "latin-1"
    packed = kind == b"zTXt"
    if packed:
        rest = rest[1:]
    if kind == b"iTXt":
        packed, coding = rest[:1] == b"\1", "utf-8"
        rest = b"".join(rest[2:].split(b"\0", 2)[2:])
    if packed:
        unpacked = _unpacked(rest, min(MOST, found.room) + 1) if found.room > 0 else b""
        if not unpacked:
            return found.damaged(key)
        rest = unpacked
    text = rest.decode(coding, "replace")
    found.add(key, text)
    if key == "XML:com.adobe.xmp":
        _take_xmp(text, found)


def _unpacked(data: bytes, most: int) -> bytes:
    """As many bytes at most; none if it is damaged."""
    try:
        return zlib.decompressobj().decompress(data, most)
    except zlib.error:
        return b""


def _jpeg(file: IO[bytes], found: Texts) -> None:
    file.seek(2)
    for _ in range(CHUNKS):
        marker = file.read(2)
        while len(marker) == 2 and marker[1] == 0xFF:  # padding
            marker = marker[1:] + file.read(1)
        if len(marker) < 2 or marker[0] != 0xFF or marker[1] in (0xD9, 0xDA):
            return
        if marker[1] == 1 or 0xD0 <= marker[1] <= 0xD8:
            continue
        size = file.read(2)
        if len(size) < 2:
            return
        data = file.read(max(0, int.from_bytes(size, "big") - 2))
        if marker[1] in FRAMES and len(data) >= 5:
            found.height, found.width = struct.unpack(">HH", data[1:5])
        elif marker[1] == 0xFE:
            found.add("comment", data.decode("utf-8", "replace"))
        elif marker[1] == 0xE1 and data.startswith(EXIF_HEAD):
            _take_exif(data, found)
        elif marker[1] == 0xE1 and data.startswith(XMP_HEAD):
            _take_xmp(data[len(XMP_HEAD) :].decode("utf-8", "replace"), found)


def _webp(file: IO[bytes], found: Texts) -> None:
    file.seek(12)
    for _ in range(CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return
        kind, length = struct.unpack("<4sI", head)
        end = file.tell() + length + length % 2
        if kind in (b"EXIF", b"XMP "):
            data = file.read(min(length, MOST + 1))
            if len(data) > MOST:
                found.too_long(kind.decode().strip())
            elif kind == b"EXIF":
                _take_exif(data, found)
            else:
                _take_xmp(data.decode("utf-8", "replace"), found)
        elif not found.width and (size := _webp_size(kind, file.read(min(length, 10)))):
            found.width, found.height = size
        file.seek(end)


def _webp_size(kind: bytes, data: bytes) -> tuple[int, int] | None:
    if len(data) < 10:
        return None
    if kind == b"VP8X":
        return int.from_bytes(data[4:7], "little") + 1, int.from_bytes(data[7:10], "little") + 1
    if kind == b"VP8 ":
        return int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF
    if kind == b"VP8L":
        bits = int.from_bytes(data[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def _gif(file: IO[bytes], found: Texts) -> None:
    head = file.read(13)
    if len(head) < 13:
        return
    found.width, found.height = struct.unpack("<HH", head[6:10])
    file.seek(_palette(head[10]), 1)
    for _ in range(CHUNKS):
        kind = file.read(1)
        if kind == b"!":
            label = file.read(1)
            data = b"".join(_gif_blocks(file))
            if label == b"\xfe":
                found.add("comment", data.decode("utf-8", "replace"))
        elif kind == b",":
            frame = file.read(9)
            file.seek((_palette(frame[8]) if len(frame) == 9 else 0) + 1, 1)
            for _ in _gif_blocks(file):
                pass
        else:
            return


def _palette(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _gif_blocks(file: IO[bytes]) -> Iterator[bytes]:
    taken = 0
    while (size := file.read(1)) not in (b"", b"\0"):
        data = file.read(size[0])
        taken += len(data)
        if taken <= MOST:
            yield data


def _take_exif(data: bytes, found: Texts) -> None:
    """The comment becomes `parameters`, as PNG files call it; ComfyUI puts "prompt:" and "workflow:" into tags of cameras."""
    for tag, value in exif(data.removeprefix(EXIF_HEAD)).items():
        if tag == COMMENT:
            found.add("parameters", comment_text(value))
            continue
        text = value.decode("utf-8", "replace").rstrip("\0")
        label = LABELLED.match(text)
        if label:
            found.add(label[1].lower(), text[label.end() :])
        else:
            found.add(PLAIN[tag], text)


def _take_xmp(text: str, found: Texts) -> None:
    record = RECORD.search(text)
    if record:
        found.add("kakusan", unescape(record[1]))


def _shown(key: str) -> str:
    return key if len(key) < 80 else key[:80] + "..."
