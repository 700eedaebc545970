"""Pickles and torch containers written by hand, instruction by instruction, honest or not."""

import io
import struct
import zipfile
from collections.abc import Mapping

PROTO2, STOP, NONE, TRUE, FALSE, MARK = b"\x80\x02", b".", b"N", b"\x88", b"\x89", b"("
EMPTY_TUPLE, EMPTY_LIST, EMPTY_DICT, REDUCE, BUILD, NEWOBJ, BINPERSID = b")", b"]", b"}", b"R", b"b", b"\x81", b"Q"
MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
PROTOCOL = PROTO2 + b"M\xe9\x03."


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def old_text(value: str | bytes) -> bytes:
    """As Python 2 writes `str`."""
    raw = value.encode() if isinstance(value, str) else value
    return b"U" + bytes([len(raw)]) + raw


def short_text(value: str) -> bytes:
    """As protocol 4 writes `str`."""
    raw = value.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def number(value: int) -> bytes:
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def several(*values: bytes) -> bytes:
    return MARK + b"".join(values) + b"t"


def call(function: bytes, *args: bytes) -> bytes:
    return function + several(*args) + REDUCE


def mapping(items: Mapping[str, bytes]) -> bytes:
    return EMPTY_DICT + MARK + b"".join(text(key) + value for key, value in items.items()) + b"u"


def storage(kind: str, key: str, numel: int, *more: bytes, place: str = "cpu") -> bytes:
    return several(text("storage"), named("torch", kind), text(key), text(place), number(numel), *more) + BINPERSID


def tensor(stored: bytes, shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    sizes = (several(*map(number, sizes)) for sizes in (shape, stride))
    hooks = named("collections", "OrderedDict") + EMPTY_TUPLE + REDUCE
    return call(named("torch._utils", "_rebuild_tensor_v2"), stored, number(offset), *sizes, FALSE, hooks)


def pickled(value: bytes) -> bytes:
    return PROTO2 + value + STOP


def zipped(entries: Mapping[str, bytes], root: str = "archive", method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of these entries in one folder, as any program writes it, without torch's padding."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, data in entries.items():
            file.writestr(f"{root}/{name}" if root else name, data)
    return stream.getvalue()


def archive(value: bytes, storages: Mapping[str, bytes] | None = None, **more: bytes) -> bytes:
    """A torch zip file: the instructions of its pickle, and the numbers by key."""
    data = {f"data/{key}": raw for key, raw in (storages or {}).items()}
    return zipped({"data.pkl": pickled(value), "version": b"3\n", **data, **more})


def old(value: bytes, storages: Mapping[str, tuple[int, bytes]], info: bytes = EMPTY_DICT) -> bytes:
    """An old torch file: the instructions of its value, and by key the number of numbers and they themselves."""
    keys = EMPTY_LIST + MARK + b"".join(map(text, storages)) + b"e"
    numbers = b"".join(struct.pack("<q", count) + raw for count, raw in storages.values())
    return MAGIC + PROTOCOL + pickled(info) + pickled(value) + pickled(keys) + numbers


def entries(data: bytes) -> dict[str, bytes]:
    """What a torch zip holds, by name below its root; checksums are not looked at, as torch can leave them out."""
    found = {}
    with zipfile.ZipFile(io.BytesIO(data)) as stored:
        for one in stored.infolist():
            start = one.header_offset + 30 + sum(struct.unpack_from("<2H", data, one.header_offset + 26))
            found[one.filename.split("/", 1)[1]] = data[start : start + one.file_size]
    return found
