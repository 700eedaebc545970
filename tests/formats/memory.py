"""A source whose tensors are in memory."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from kakusan.formats.source import Stored


class Memory:
    """See `kakusan.formats.source.Source`; `reads` tells what was asked for, in order."""

    def __init__(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None, file: str = "memory"):
        self.numbers, self.metadata, self.file = tensors, metadata or {}, Path(file)
        self.tensors = {name: Stored(tuple(t.shape), t.dtype) for name, t in tensors.items()}
        self.reads: list[str] = []

    def read(self, name: str) -> Tensor:
        self.reads.append(name)
        return self.numbers[name]

    def home(self, name: str) -> Path:
        return self.file
