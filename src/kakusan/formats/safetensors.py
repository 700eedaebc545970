"""Tensors in safetensors files: read late, out of a memory map; written whole or in shards."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import FileError
from .fields import write_json
from .mapped import MappedFile
from .source import Stored, refuse

TYPES = {
    "U64": torch.uint64,
    "I64": torch.int64,
    "F64": torch.float64,
    "C64": torch.complex64,
    "U32": torch.uint32,
    "I32": torch.int32,
    "F32": torch.float32,
    "U16": torch.uint16,
    "I16": torch.int16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "U8": torch.uint8,
    "I8": torch.int8,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "BOOL": torch.bool,
}


class SafetensorsFile:
    """One safetensors file, a `Source`. The library judges its header; the numbers stay in the file until they are asked for.

    The pages of a tensor that is let go, or converted, are let go with it. A tensor read twice is the same memory.
    Raises FileError if there is no such file, or the library refuses it, or a tensor is of a type that torch does not have.
    """

    def __init__(self, path: str | Path):
        self.file = Path(path)
        try:
            with safe_open(self.file, framework="pt") as stored:
                self.metadata: Mapping[str, str] = stored.metadata() or {}
            with self.file.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(length))
        except SafetensorError as error:
            reason = str(error).splitlines()[0]
            raise FileError(
                f"{self.file}: damaged or cut short ({reason})", f"{self.file}: 壊れているか途中で切れています ({reason})"
            ) from error
        except OSError as error:
            raise FileError(f"{self.file}: cannot be read ({error.strerror})", f"{self.file}: 読み込めません ({error.strerror})") from error
        self._mapped = MappedFile(self.file)
        header.pop("__metadata__", None)
        self.tensors: Mapping[str, Stored] = {
            name: Stored(self._shape(name, entry["shape"]), self._type(name, entry["dtype"])) for name, entry in header.items()
        }
        self._start = {name: 8 + length + entry["data_offsets"][0] for name, entry in header.items()}

    def read(self, name: str) -> Tensor:
        """See `Source`. What is written to the tensor is not written to the file."""
        shape, dtype = self.tensors[name]
        start, count = self._start[name], math.prod(shape)
        if count == 0:
            return torch.empty(shape, dtype=dtype)
        stored = self._mapped.stretch(start, count * dtype.itemsize)
        if start % dtype.itemsize:  # files that the library writes are aligned, not all that it reads
            return torch.frombuffer(bytearray(stored), dtype=dtype).view(shape)
        return torch.frombuffer(stored, dtype=dtype).view(shape)

    def home(self, name: str) -> Path:
        """See `Source`."""
        return self.file

    def _shape(self, name: str, sizes: list[int]) -> tuple[int, ...]:
        if math.prod(size or 1 for size in sizes) > 1 << 48:  # with a 0 among them it has no numbers, and the library lets it pass
            refuse(self.file, name, "has a shape too large for any tensor", "の形が大きすぎます")
        return tuple(sizes)

    def _type(self, name: str, kind: str) -> torch.dtype:
        if kind not in TYPES:
            refuse(self.file, name, f"holds {kind} numbers, which torch does not have", f"は {kind} で、torch では扱えません")
        return TYPES[kind]


def write_tensors(folder: Path, stem: str, tensors: Mapping[str, Tensor], max_shard_bytes: int) -> None:
    """`stem`.safetensors, or if that would be too large numbered shards with an index, as diffusers and transformers read them."""
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if shards[-1] and size + tensor.nbytes > max_shard_bytes:
            shards.append({})
            size = 0
        shards[-1][name] = tensor.contiguous()
        size += tensor.nbytes
    if len(shards) == 1:
        save_file(shards[0], folder / f"{stem}.safetensors", metadata={"format": "pt"})
        return
    weight_map: dict[str, str] = {}
    for i, shard in enumerate(shards):
        file = f"{stem}-{i + 1:05}-of-{len(shards):05}.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shard, file)
    total = sum(tensor.nbytes for tensor in tensors.values())
    write_json(folder / f"{stem}.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})
