"""Torch files read by Python's own unpickler, with stand-ins for every class, to compare with. For files known to do no harm only."""

import collections
import io
import math
import pickle
import struct
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from formats import opcodes as op

KINDS = {
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Double": torch.float64,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}


class Other:
    """Whatever class it was."""

    def __new__(cls, *_: object) -> "Other":
        return object.__new__(cls)

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.parameters = state.get("_parameters")

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, value: object) -> None:
        pass


class _Peer(pickle._Unpickler):  # type: ignore[name-defined]
    """The one in Python: the one in C sets aside as much memory as a number in the file says."""

    storages: dict[str, tuple[torch.dtype, int, list[Tensor]]]

    def find_class(self, module: str, name: str) -> Any:
        known = {
            "OrderedDict": collections.OrderedDict,
            "_rebuild_tensor_v2": lambda stored, offset, shape, stride, *_: _view(stored, offset, shape, stride),
            "_rebuild_tensor": lambda stored, offset, shape, stride: _view(stored, offset, shape, stride),
            "_rebuild_parameter": lambda tensor, *_: tensor,
            "set": set,
            "encode": lambda value, codec: value.encode(codec),
            "Size": tuple,
            "device": lambda name, *_: name,
        }
        if name.endswith("Storage"):
            return KINDS[name.removesuffix("Storage")]
        return known.get(name) or type("Other", (Other,), {})

    def persistent_load(self, identity: Any) -> Any:
        if identity[0] == "module":
            return identity[1]
        _, kind, key, _, numel, *part = identity
        assert self.storages.setdefault(key, (kind, numel, []))[:2] == (kind, numel)
        _, first, count = part[0] if part and part[0] else (None, 0, numel)
        return self.storages[key], first, count


class Unread:
    """A view of a storage whose numbers come later in the file."""

    def __init__(self, *view: Any):
        self.view = view

    def read(self) -> Tensor:
        ((_, _, numbers), first, _), offset, shape, stride = self.view
        if math.prod(shape) == 0:
            return torch.empty(shape, dtype=numbers[0].dtype)
        return numbers[0].as_strided(shape, stride, first + offset)


def _view(*view: Any) -> Unread:
    return Unread(*view)


def read(file: Path) -> Any:
    """The value, its tensors as `Unread`."""
    data = file.read_bytes()
    if data[:2] == b"PK":
        return _read_zip(data)
    stream = io.BytesIO(data)
    storages: dict[str, Any] = {}
    values = []
    for _ in range(5):
        peer = _Peer(stream, encoding="utf-8", errors="surrogateescape")
        peer.storages = storages
        values.append(peer.load())
    for key in values[4]:
        kind, numel, numbers = storages[key]
        assert struct.unpack("<q", stream.read(8)) == (numel,)
        numbers.append(_numbers(stream.read(numel * kind.itemsize), kind))
    return values[3]


def _read_zip(data: bytes) -> Any:
    parts = op.entries(data)
    peer = _Peer(io.BytesIO(parts["data.pkl"]), encoding="utf-8", errors="surrogateescape")
    peer.storages = {}
    value = peer.load()
    for key, (kind, numel, numbers) in peer.storages.items():
        raw = parts[f"data/{key}"]
        if parts.get("byteorder") == b"big":
            raw = b"".join(raw[i : i + kind.itemsize][::-1] for i in range(0, len(raw), kind.itemsize))
        numbers.append(_numbers(raw, kind))
        assert len(numbers[0]) == numel
    return value


def _numbers(raw: bytes, kind: torch.dtype) -> Tensor:
    return (
        torch.frombuffer(bytearray(raw), dtype=torch.uint8).ne(0)
        if kind == torch.bool
        else torch.tensor(list(raw), dtype=torch.uint8).view(kind)
    )
