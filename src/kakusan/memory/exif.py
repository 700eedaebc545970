"""The few tags of an EXIF block that tell how a picture was made: a TIFF structure read with every offset checked.

Exif 2.32, section 4.6; TIFF 6.0, section 2.
"""

import struct

COMMENT, DETAILS = 0x9286, 0x8769
PLAIN = {0x010E: "ImageDescription", 0x010F: "Make", 0x0110: "Model", 0x0131: "Software", 0x927C: "MakerNote"}
"""Tags that hold plain text, by the names that they have elsewhere."""
BYTES = (1, 2, 7)  # types whose values are bytes


def exif(data: bytes) -> dict[int, bytes]:
    """The values of `COMMENT` and the tags in `PLAIN`, in the main directory or the one of details; what is damaged is left out."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return {}
    (first,) = struct.unpack(f"{order}I", data[4:8])
    found: dict[int, bytes] = {}
    details = _directory(data, order, first, found)
    if details is not None:
        _directory(data, order, details, found)
    return found


def _directory(data: bytes, order: str, at: int, found: dict[int, bytes]) -> int | None:
    """Fills in what one directory holds; returns where that of the details is, if it says."""
    details = None
    if not 8 <= at <= len(data) - 2:
        return None
    (count,) = struct.unpack(f"{order}H", data[at : at + 2])
    for i in range(count):
        entry = data[at + 2 + 12 * i : at + 14 + 12 * i]
        if len(entry) < 12:
            break
        tag, kind, size, where = struct.unpack(f"{order}HHII", entry)
        if tag == DETAILS:
            details = where
        elif (tag == COMMENT or tag in PLAIN) and kind in BYTES:
            value = entry[8 : 8 + size] if size <= 4 else data[where : where + size]
            found.setdefault(tag, value)
    return details
