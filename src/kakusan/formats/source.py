"""Where tensors lie before anyone needs them: names and shapes at once, numbers only when asked for."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, NoReturn, Protocol

import torch
from torch import Tensor

from ..errors import FileError

FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


class Stored(NamedTuple):
    """One tensor in a file, not read."""

    shape: tuple[int, ...]
    dtype: torch.dtype


class Source(Protocol):
    """Named tensors in one file, or in several that belong together."""

    file: Path
    """What errors name."""
    metadata: Mapping[str, str]
    """What the file says about itself."""
    tensors: Mapping[str, Stored]
    """Every tensor by its stored name, in the file's order."""

    def read(self, name: str) -> Tensor:
        """One tensor, on the CPU, as stored; where the file allows it, still in the file's memory map.

        Raises FileError, naming file and tensor, if the numbers cannot be read.
        """

    def home(self, name: str) -> Path:
        """The very file a tensor lies in, for errors about it."""


class Under:
    """The tensors of a source whose names begin with `prefix`, by the rest of their names."""

    def __init__(self, source: Source, prefix: str):
        self.source, self.prefix, self.file, self.metadata = source, prefix, source.file, source.metadata
        self.tensors: Mapping[str, Stored] = {
            name.removeprefix(prefix): stored for name, stored in source.tensors.items() if name.startswith(prefix)
        }

    def read(self, name: str) -> Tensor:
        """See `Source`."""
        return self.source.read(self.prefix + name)

    def home(self, name: str) -> Path:
        """See `Source`."""
        return self.source.home(self.prefix + name)


def refuse(file: Path, name: str, en: str, ja: str) -> NoReturn:
    """Raises FileError about one tensor; its name out of a file may hold anything, line breaks too."""
    shown = name if name.isprintable() else ascii(name)
    raise FileError(f"{file}: {shown} {en}", f"{file}: {shown} {ja}")


def check(file: Path, name: str, stored: Stored, shape: tuple[int, ...]) -> None:
    """Raises FileError if a stored tensor is not one of a network: another shape, or no floating-point numbers."""
    if tuple(stored.shape) != tuple(shape):
        found, wanted = list(stored.shape), list(shape)
        refuse(file, name, f"has shape {found} instead of {wanted}", f"の形は {found} ですが {wanted} のはずです")
    if stored.dtype not in FLOATS:
        kind = str(stored.dtype).removeprefix("torch.")
        refuse(file, name, f"holds {kind} numbers, not floating-point ones", f"は浮動小数点数ではなく {kind} です")
