"""The two containers in which torch keeps a pickle and the numbers of its tensors: a zip file since torch 1.6, and before that
a row of pickles followed by the bare numbers.
"""

import zlib
from collections.abc import Callable
from mmap import mmap
from typing import Any

import torch

from .mapped import MappedFile
from .pickled_tensors import Storage, StorageType, Torch, whole
from .pickles import MEMORY, RefusedError, Symbol, read_pickle, shown
from .stored_zip import Entry, entries

PICKLE = 64 << 20
"""The longest pickle, in bytes."""
SMALL = 64 << 10
"""How much the values at the beginning of the old container may take."""
PARTS = {"data.pkl", "version", "byteorder", ".data/serialization_id", ".format_version", ".storage_alignment"}
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""The numbers with which the old container begins, each a pickle."""


def read_zip(mapped: MappedFile) -> Any:
    """What a torch zip file holds, its tensors not read. Raises RefusedError."""
    data = mapped.data
    found = _below_root(entries(data))
    pickle = found["data.pkl"]
    if pickle.size > PICKLE:
        raise RefusedError(f"data.pkl is longer than {PICKLE >> 20} MB", f"data.pkl が {PICKLE >> 20} MB を超えています")
    sound = not pickle.checksum or zlib.crc32(_bytes(data, pickle)) == pickle.checksum
    stop = pickle.start + pickle.size
    try:
        value, end = read_pickle(data, pickle.start, stop, Torch(_storages(mapped, found)), name="data.pkl", origin=pickle.start)
    except RefusedError as refusal:
        if sound:
            raise
        raise RefusedError(f"{refusal.en}; its checksum is wrong too", f"{refusal.ja}。チェックサムも合いません") from refusal
    if not sound or end != stop:
        en = "data.pkl is damaged: its checksum or length is wrong"
        raise RefusedError(en, "data.pkl が壊れています (チェックサムか長さが合いません)")
    return value


def read_old(mapped: MappedFile) -> Any:
    """What an old torch file holds, its tensors not read. Raises RefusedError.

    Five pickles: a number, the protocol, facts about the machine, the value, the keys of the storages. Then for each key the number
    of its numbers in 8 bytes, and they themselves; little-endian whatever the machine.
    """
    data = mapped.data
    storages: dict[str, Storage] = {}

    def lookup(identity: tuple[Any, ...]) -> Storage:
        if len(identity) not in (4, 5):
            raise RefusedError("a storage is not named by type, key, place and size", "storage の指定が不明です")
        dtype, key, numel = _storage(*identity[:4])
        made = Storage(mapped, dtype, numel)
        root = _same(storages.setdefault(key, made), made, key)
        return root if len(identity) == 4 or identity[4] is None else _part(root, identity[4])

    def read(start: int, memory: int) -> tuple[Any, int]:
        return read_pickle(data, start, min(len(data), start + PICKLE), Torch(lookup), name="the pickle", memory=memory)

    end = 0
    for expected in (MAGIC, PROTOCOL):
        value, end = read(end, SMALL)
        if type(value) is not int or value != expected:
            raise RefusedError("a pickle, but not one of torch", "pickle ですが torch のファイルではありません")
    _, end = read(end, SMALL)
    value, end = read(end, MEMORY)
    keys, end = read(end, MEMORY // 6)
    _place(data, storages, keys, end)
    return value


def _storages(mapped: MappedFile, found: dict[str, Entry]) -> Callable[[tuple[Any, ...]], Storage]:
    """How a pickle's storages are found among the entries of its zip."""
    order = _bytes(mapped.data, found["byteorder"]) if "byteorder" in found else b"little"
    if order not in (b"little", b"big"):
        raise RefusedError("its byte order is neither little nor big", "バイト順が little でも big でもありません")
    storages: dict[str, Storage] = {}

    def lookup(identity: tuple[Any, ...]) -> Storage:
        if len(identity) != 4:
            raise RefusedError("a storage is not named by type, key, place and size", "storage の指定が不明です")
        dtype, key, numel = _storage(*identity)
        entry = found.get(f"data/{key}")
        if entry is None or entry.size != numel * dtype.itemsize:
            part = shown(f"data/{key}")
            en = f"{part} has {entry.size} bytes" if entry else f"{part} is not there"
            raise RefusedError(f"{en} for {numel} numbers", f"{numel} 個の数値の {part} がないか、大きさが合いません")
        checksum = entry.checksum or None  # torch can be told not to compute them
        made = Storage(mapped, dtype, numel, entry.start, order == b"big", checksum)
        return _same(storages.setdefault(key, made), made, key)

    return lookup


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


def _part(root: Storage, view: object) -> Storage:
    """A part of a storage, named by key, offset and size."""
    if type(view) is not tuple or len(view) != 3 or type(view[0]) is not str:
        raise RefusedError("a part of a storage is not named by key, offset and size", "storage の一部の指定が不明です")
    offset, numel = whole(view[1]), whole(view[2])
    if offset + numel > root.numel:
        raise RefusedError("a part of a storage reaches beyond it", "storage の一部が全体を越えています")
    return Storage(root.mapped, root.dtype, numel, whole=(root, offset))


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
