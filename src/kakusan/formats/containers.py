"""The two containers in which torch keeps a pickle and the numbers of its tensors: a zip file since torch 1.6, and before that
a row of pickles followed by the bare numbers.
"""

import zlib
from mmap import mmap
from pathlib import Path
from typing import Any

import torch

from .pickled_tensors import Storage, StorageType, Torch, whole
from .pickles import RefusedError, Symbol, read_pickle, shown
from .stored_zip import Entry, entries

PICKLE = 64 << 20
"""The longest pickle, in bytes."""
PARTS = {"data.pkl", "version", "byteorder", ".data/serialization_id", ".format_version", ".storage_alignment"}
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""The numbers with which the old container begins, each a pickle."""


def read_zip(file: Path, data: mmap) -> Any:
    """What a torch zip file holds, its tensors not read. Raises RefusedError."""
    found = _below_root(entries(data))
    order = _bytes(data, found["byteorder"]) if "byteorder" in found else b"little"
    if order not in (b"little", b"big"):
        raise RefusedError("its byte order is neither little nor big", "バイト順が little でも big でもありません")
    storages: dict[str, Storage] = {}

    def lookup(identity: tuple[Any, ...]) -> Storage:
        if len(identity) != 5:
            raise RefusedError("a storage is not named by type, key, place and size", "storage の指定が不明です")
        dtype, key, numel = _storage(*identity[1:])
        entry = found.get(f"data/{key}")
        if entry is None or entry.size != numel * dtype.itemsize:
            there = f"{entry.size} bytes" if entry else "nothing"
            raise RefusedError(
                f"storage {shown(key)} of {numel} numbers has {there} in the file", f"storage {shown(key)} の大きさがファイルと合いません"
            )
        checksum = entry.checksum or None  # torch can be told not to compute them
        made = Storage(data, file, dtype, numel, entry.start, order == b"big", checksum)
        return _same(storages.setdefault(key, made), made, key)

    pickle = found["data.pkl"]
    if pickle.size > PICKLE:
        raise RefusedError(f"data.pkl is longer than {PICKLE >> 20} MB", f"data.pkl が {PICKLE >> 20} MB を超えています")
    sound = not pickle.checksum or zlib.crc32(_bytes(data, pickle)) == pickle.checksum
    try:
        value, end = read_pickle(data, pickle.start, pickle.start + pickle.size, Torch(lookup), name="data.pkl", origin=pickle.start)
    except RefusedError as refusal:
        if sound:
            raise
        raise RefusedError(f"{refusal.en}; its checksum is wrong too", f"{refusal.ja}。チェックサムも合いません") from refusal
    if not sound or end != pickle.start + pickle.size:
        raise RefusedError(
            "data.pkl is damaged: its checksum or length is wrong", "data.pkl が壊れています (チェックサムか長さが合いません)"
        )
    return value


def read_old(file: Path, data: mmap) -> Any:
    """What an old torch file holds, its tensors not read. Raises RefusedError.

    Five pickles: a number, the protocol, facts about the machine, the value, the keys of the storages. Then for each key the number
    of its numbers in 8 bytes, and they themselves; little-endian whatever the machine.
    """
    storages: dict[str, Storage] = {}
    views: list[tuple[Storage, int, Storage]] = []  # a part, its offset in a whole, and that whole

    def lookup(identity: tuple[Any, ...]) -> Storage:
        if len(identity) not in (5, 6):
            raise RefusedError("a storage is not named by type, key, place and size", "storage の指定が不明です")
        dtype, key, numel = _storage(*identity[1:5])
        made = Storage(data, file, dtype, numel)
        root = _same(storages.setdefault(key, made), made, key)
        if len(identity) == 5 or identity[5] is None:
            return root
        part, offset = _view(root, identity[5])
        views.append((part, offset, root))
        return part

    ends = [0]
    values: list[Any] = []
    for _ in range(5):
        value, end = read_pickle(data, ends[-1], min(len(data), ends[-1] + PICKLE), Torch(lookup), name="the pickle")
        values.append(value)
        ends.append(end)
        if len(values) <= 2 and (type(value) is not int or value != (MAGIC, PROTOCOL)[len(values) - 1]):
            raise RefusedError("a pickle, but not one of torch", "pickle ですが torch のファイルではありません")
    _place(data, storages, values[4], ends[-1])
    for part, offset, root in views:
        part.start = root.start + offset * root.dtype.itemsize
    return values[3]


def _below_root(found: dict[str, Entry]) -> dict[str, Entry]:
    """The entries without the name of the one folder they are all in, which may be anything."""
    parts = {name: name.split("/", 1) for name, entry in found.items() if entry.size or not name.endswith("/")}
    roots = {part[0] for part in parts.values()}
    if len(roots) != 1 or any(len(part) == 1 for part in parts.values()):
        raise RefusedError("a zip, but not one of torch", "zip ですが torch のファイルではありません")
    inside = {part[1]: found[name] for name, part in parts.items()}
    for name in inside:
        if name == "constants.pkl" or name.startswith("code/"):
            raise RefusedError("a TorchScript program, not weights", "重みではなく TorchScript のプログラムです")
        if name not in PARTS and not (name.startswith("data/") and name[5:].isascii() and name[5:].isdigit()):
            raise RefusedError(f"{shown(name)} is not part of a torch file", f"{shown(name)} は torch のファイルに含まれません")
    if "data.pkl" not in inside:
        raise RefusedError("a zip without data.pkl", "data.pkl のない zip です")
    return inside


def _bytes(data: mmap, entry: Entry) -> bytes:
    return data[entry.start : entry.start + entry.size]


def _storage(kind: object, key: object, place: object, numel: object) -> tuple[torch.dtype, str, int]:
    """Type, key and size of a storage. The place it was in, a GPU perhaps, is of no interest."""
    if not isinstance(kind, StorageType):
        name = kind.name if isinstance(kind, Symbol) else type(kind).__name__
        raise RefusedError(f"{shown(name)} is no type of storage", f"{shown(name)} は storage の型ではありません")
    if type(key) is not str:
        raise RefusedError("a storage has no name", "storage に名前がありません")
    return kind.dtype, key, whole(numel)


def _same(known: Storage, made: Storage, key: str) -> Storage:
    if known.dtype != made.dtype or known.numel != made.numel:
        raise RefusedError(f"storage {shown(key)} has two types or sizes", f"storage {shown(key)} の型か大きさが 2 通りあります")
    return known


def _view(root: Storage, view: object) -> tuple[Storage, int]:
    """A part of a storage, named by key, offset and size; and the offset."""
    if type(view) is not tuple or len(view) != 3 or type(view[0]) is not str:
        raise RefusedError("a part of a storage is not named by key, offset and size", "storage の一部の指定が不明です")
    offset, numel = whole(view[1]), whole(view[2])
    if offset + numel > root.numel:
        raise RefusedError("a part of a storage reaches beyond it", "storage の一部が全体を越えています")
    return Storage(root.data, root.file, root.dtype, numel), offset


def _place(data: mmap, storages: dict[str, Storage], keys: object, at: int) -> None:
    """Find the numbers of every storage."""
    if type(keys) is not list or len(keys) != len(storages) or {key for key in keys if type(key) is str} != storages.keys():
        raise RefusedError("the list of storages is not that of the tensors", "storage の一覧がテンソルと合いません")
    for key in keys:
        storage = storages[key]
        size = storage.numel * storage.dtype.itemsize
        if int.from_bytes(data[at : at + 8], "little") != storage.numel or at + 8 + size > len(data):
            raise RefusedError(
                f"damaged or cut short: storage {shown(key)} at byte {at} is not there in full",
                f"壊れているか途中で切れています ({at} バイト目の storage {shown(key)})",
            )
        storage.start = at + 8
        at += 8 + size
    if at != len(data):
        raise RefusedError(f"{len(data) - at} bytes too many at the end", f"末尾に余分な {len(data) - at} バイトがあります")
