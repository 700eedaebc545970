"""Where the entries of a zip file lie that compresses nothing, as torch writes them; anything that two readers could take
differently is refused.

The format: APPNOTE.TXT 6.3.10, https://support.pkware.com/pkzip/appnote (section numbers below).
"""

import struct
from mmap import mmap
from typing import NamedTuple

from .pickles import RefusedError, shown

ENTRIES = 100_000
"""More entries than any checkpoint has."""
NAME = 512
"""The longest name of an entry, in bytes."""
END, END64, LOCATOR = struct.Struct("<4s4H2IH"), struct.Struct("<4sQ2H2I4Q"), struct.Struct("<4sIQI")  # 4.3.16, 4.3.14, 4.3.15
CENTRAL, LOCAL = struct.Struct("<4s6H3I5H2I"), struct.Struct("<4s5H3I2H")  # 4.3.12, 4.3.7
NEWEST = 63  # 6.3, the last version of the format (4.4.3)
DESCRIBED, UTF8 = 1 << 3, 1 << 11  # flags: sizes follow the data; names are UTF-8 (4.4.4)
ALL = (1 << 32) - 1  # "see the 64-bit field"


class Entry(NamedTuple):
    """What is stored under one name. start, size: in bytes; checksum: CRC-32."""

    start: int
    size: int
    checksum: int


class _Listed(NamedTuple):
    """One line of the directory. header: where the entry's own header begins."""

    name: bytes
    flags: int
    checksum: int
    size: int
    header: int


def entries(data: mmap | bytes) -> dict[str, Entry]:
    """Every entry by its name. Raises RefusedError if the zip is damaged, compressed, encrypted or ambiguous."""
    count, start, size = _directory(data)
    found: dict[str, Entry] = {}
    listed = _listed(data, count, start, size)
    free = 0  # where the data of the entry before ends
    for one in sorted(listed, key=lambda one: one.header):
        name = _text(one.name)
        if one.header < free:
            raise RefusedError(f"{shown(name)} overlaps another entry", f"{shown(name)} が別の項目と重なっています")
        entry = _entry(data, one, name)
        free = entry.start + entry.size
        if free > start:
            raise RefusedError(f"{shown(name)} reaches beyond the data", f"{shown(name)} がデータの範囲を越えています")
        if name in found:
            raise RefusedError(f"{shown(name)} is there twice", f"{shown(name)} が 2 つあります")
        found[name] = entry
    return found


def _directory(data: mmap | bytes) -> tuple[int, int, int]:
    """Number of entries, and where the directory begins and how long it is; it has to end where its end record begins."""
    at = len(data) - END.size
    if at < 0 or data[at : at + 4] != b"PK\5\6":
        raise RefusedError(
            "damaged or cut short: the zip directory has no end", "壊れているか途中で切れています (zip の終わりがありません)"
        )
    _, disk, first, here, count, size, start, comment = END.unpack_from(data, at)
    if disk or first or here != count or comment:
        raise RefusedError("a zip in parts or with a comment", "分割された、またはコメント付きの zip です")
    before = at - LOCATOR.size
    if before >= 0 and data[before : before + 4] == b"PK\6\7":
        at, wide = _directory64(data, before)
        for narrow, whole, full in zip((count, size, start), wide, (ALL >> 16, ALL, ALL), strict=True):
            if narrow not in (whole, full):
                raise RefusedError("the two ends of the zip directory differ", "zip の 2 つの終端の内容が食い違っています")
        count, size, start = wide
    if start + size != at or count > ENTRIES:
        raise RefusedError("the zip directory is not where it should be", "zip の目次があるべき場所にありません")
    return count, start, size


def _directory64(data: mmap | bytes, locator: int) -> tuple[int, tuple[int, int, int]]:
    """Where the 64-bit end record begins, and number of entries, size and start of the directory."""
    _, disk, at, disks = LOCATOR.unpack_from(data, locator)
    if at + END64.size != locator or data[at : at + 4] != b"PK\6\6" or disk or disks > 1:
        raise RefusedError("the zip directory has a broken end", "zip の終端が壊れています")
    _, length, _, _, disk, first, here, count, size, start = END64.unpack_from(data, at)
    if length + 12 != END64.size or disk or first or here != count:
        raise RefusedError("the zip directory has a broken end", "zip の終端が壊れています")
    return at, (count, size, start)


def _listed(data: mmap | bytes, count: int, start: int, size: int) -> list[_Listed]:
    listed: list[_Listed] = []
    at, end = start, start + size
    for _ in range(count):
        if at + CENTRAL.size > end or data[at : at + 4] != b"PK\1\2":
            raise RefusedError("the zip directory is damaged", "zip の目次が壊れています")
        fields = CENTRAL.unpack_from(data, at)
        _, _, version, flags, method, _, _, checksum, packed, unpacked, name_size, extra_size, comment_size, disk, _, _, header = fields
        at += CENTRAL.size
        name, extra = data[at : at + name_size], data[at + name_size : at + name_size + extra_size]
        at += name_size + extra_size + comment_size
        if at > end or name_size > NAME or disk:
            raise RefusedError("the zip directory is damaged", "zip の目次が壊れています")
        _check_plain(name, version, flags, method)
        unpacked, packed, header = _widened([unpacked, packed, header], extra)
        if packed != unpacked:
            raise RefusedError(f"{shown(_text(name))} has two sizes", f"{shown(_text(name))} の大きさが 2 通りあります")
        listed.append(_Listed(name, flags, checksum, unpacked, header))
    if at != end:
        raise RefusedError("the zip directory is damaged", "zip の目次が壊れています")
    return listed


def _entry(data: mmap | bytes, listed: _Listed, name: str) -> Entry:
    """Where the data of an entry begins; its own header has to say what the directory says."""
    at = listed.header
    if at + LOCAL.size > len(data) or data[at : at + 4] != b"PK\3\4":
        raise RefusedError(f"{shown(name)} is not where the directory says", f"{shown(name)} が目次の示す場所にありません")
    _, _, flags, method, _, _, checksum, packed, unpacked, name_size, extra_size = LOCAL.unpack_from(data, at)
    at += LOCAL.size
    own_name, extra = data[at : at + name_size], data[at + name_size : at + name_size + extra_size]
    unpacked, packed = _widened([unpacked, packed], extra)
    wanted = (listed.checksum, listed.size, listed.size)
    later = flags & DESCRIBED and (checksum, packed, unpacked) == (0, 0, 0)  # they follow the data, and the directory has them
    if own_name != listed.name or flags != listed.flags or method or not (later or (checksum, packed, unpacked) == wanted):
        raise RefusedError(f"{shown(name)} has a header unlike the directory", f"{shown(name)} のヘッダーが目次と食い違っています")
    return Entry(at + name_size + extra_size, listed.size, listed.checksum)


def _check_plain(name: bytes, version: int, flags: int, method: int) -> None:
    text = shown(_text(name))
    if method:
        raise RefusedError(f"{text} is compressed (method {method})", f"{text} が圧縮されています (方式 {method})")
    if version > NEWEST or flags & ~(DESCRIBED | UTF8):
        raise RefusedError(f"{text} is encrypted or unusual", f"{text} が暗号化されているか特殊です")


def _widened(fields: list[int], extra: bytes) -> list[int]:
    """The fields, those that are all ones replaced by 64-bit ones from the extra field 1 (4.5.3)."""
    at = 0
    while at + 4 <= len(extra) and ALL in fields:
        kind, size = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            wide = [int.from_bytes(extra[i : i + 8], "little") for i in range(at + 4, min(at + 4 + size, len(extra)) - 7, 8)]
            return [wide.pop(0) if field == ALL and wide else field for field in fields]
        at += 4 + size
    return fields


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise RefusedError("the name of an entry is not UTF-8", "項目の名前が UTF-8 ではありません") from None
