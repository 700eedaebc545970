"""What the names in torch's pickles mean: plain containers, storages, and tensors that are read when asked for.

The names that real checkpoints hold: torch's, those of PyTorch Lightning and NumPy in what is kept beside the weights, and the
dictionaries of parameters in files of textual inversion. Each is known here in full or leads nowhere; none is ever imported.
"""

import math
import weakref
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .mapped import MappedFile
from .pickles import Inert, RefusedError, Symbol, as_key, kind, shown
from .source import refuse

LARGEST = 1 << 48
"""More numbers than any tensor has."""


@dataclass(slots=True, eq=False)
class Storage:
    """A run of numbers in a file.

    start: in bytes; -1 while not known. swapped: the numbers are big-endian. checksum: CRC-32, None if there is none.
    whole: the storage of which this one is a part (only old files have such), and where in it the part begins.
    """

    mapped: MappedFile
    dtype: torch.dtype
    numel: int
    start: int = -1
    swapped: bool = False
    checksum: int | None = None
    whole: "tuple[Storage, int] | None" = None
    copy: "weakref.ref[_Copy] | None" = None  # shared by the tensors of this storage, as long as one of them lives

    def numbers(self) -> Tensor:
        """All of them, in the map if they lie there as a processor can use them. Raises RefusedError if their checksum is wrong."""
        if self.numel == 0:
            return torch.empty(0, dtype=self.dtype)
        memory = (self.copy and self.copy()) or self.mapped.stretch(self.start, self.numel * self.dtype.itemsize)
        if self.checksum is not None and zlib.crc32(memory) != self.checksum:
            en = f"is damaged: its numbers at byte {self.start} are not those of their checksum"
            raise RefusedError(en, f"は壊れています: {self.start} バイト目からの数値がチェックサムと合いません")
        self.checksum = None
        if self.start % self.dtype.itemsize or self.swapped or self.dtype == torch.bool:
            memory = memory if isinstance(memory, _Copy) else self._copied(memory)
        return torch.frombuffer(memory, dtype=self.dtype)

    def _copied(self, stored: memoryview) -> "_Copy":
        copy = _Copy(stored)
        self.copy = weakref.ref(copy)
        raw = torch.frombuffer(copy, dtype=torch.uint8)
        if self.swapped:
            raw.copy_(raw.view(-1, self.dtype.itemsize).flip(1).flatten())
        if self.dtype == torch.bool:
            raw.clamp_(max=1)  # any other byte is no truth value
        return copy


class _Copy(bytearray):
    """Numbers moved to where a processor can use them."""


@dataclass(frozen=True, slots=True, eq=False)
class LazyTensor:
    """A tensor in a file, not read: a view of a storage, its bounds checked. offset, stride: in numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def dtype(self) -> torch.dtype:
        """The kind of its numbers."""
        return self.storage.dtype

    def read(self, name: str = "a tensor") -> Tensor:
        """The tensor as stored, in the file's memory map where that is possible.

        name: what errors call it. Raises FileError if its numbers are not those that were saved.
        """
        try:
            if 0 in self.shape:
                return torch.empty(self.shape, dtype=self.dtype)
            return self.storage.numbers().as_strided(self.shape, self.stride, self.offset)
        except RefusedError as refusal:
            refuse(self.storage.mapped.file, name, refusal.en, refusal.ja)


class Parameters(dict[Any, Any]):
    """A torch ParameterDict: its parameters by name."""


class Torch:
    """The vocabulary of a torch pickle. lookup: the storage of a type, key, place and size in this container."""

    def __init__(self, lookup: Callable[[tuple[Any, ...]], Storage]):
        self.lookup = lookup
        self.inert: dict[tuple[str, str], Inert] = {}

    def symbol(self, module: str, name: str) -> Symbol:
        """See `Vocabulary`. The same name is always the same symbol, as some classes are keys of dictionaries."""
        if known := NAMES.get((module, name)):
            return known
        root = module.partition(".")[0]
        if (module, name) not in INERT and root not in INERT_ROOTS and not root.startswith("lightning"):
            full = shown(f"{module}.{name}")
            raise RefusedError(f"{full} is not part of any model format", f"{full} はどのモデル形式にも含まれません")
        return self.inert.setdefault((module, name), Inert(f"{module}.{name}"))

    def call(self, symbol: Symbol, args: tuple[Any, ...]) -> object:
        """See `Vocabulary`."""
        if not isinstance(symbol, Maker):
            raise RefusedError(f"calls {kind(symbol)}", f"{kind(symbol)} を呼び出そうとしています")
        return symbol.make(args)

    def build(self, instance: object, state: object) -> None:
        """See `Vocabulary`."""
        found = state.get("_parameters") if type(state) is dict else None
        if not isinstance(instance, Parameters) or type(found) is not dict:
            raise RefusedError(f"sets the state of {kind(instance)}", f"{kind(instance)} の状態を設定しようとしています")
        instance.update(found)

    def persistent(self, identity: object) -> object:
        """See `Vocabulary`. The old container keeps the source of a class outside; of the one class known here it is not needed."""
        kind, *rest = identity if type(identity) is tuple and identity else (None,)
        if kind == "module" and len(rest) == 3 and rest[0] is PARAMETER_DICT:
            return PARAMETER_DICT
        if kind != "storage":
            raise RefusedError("something is kept outside that is no storage", "storage ではないものが外に置かれています")
        return self.lookup(tuple(rest))


class StorageType(Symbol):
    """The name of a class of storages."""

    __slots__ = ("dtype",)

    def __init__(self, name: str, dtype: torch.dtype):
        super().__init__(name)
        self.dtype = dtype


class Maker(Symbol):
    """The name of a class or function, with the one thing that it makes here."""

    __slots__ = ("make",)

    def __init__(self, name: str, make: Callable[[tuple[Any, ...]], object]):
        super().__init__(name)
        self.make = make


def whole(value: object) -> int:
    """A whole number from 0 on, no larger than any tensor's. Raises RefusedError."""
    if type(value) is not int or not 0 <= value <= LARGEST:
        what = str(value) if type(value) is int and abs(value) < 1 << 99 else kind(value)
        raise RefusedError(f"{what} is not a size", f"{what} は大きさではありません")
    return value


def _tensor(args: tuple[Any, ...]) -> LazyTensor:
    """`_rebuild_tensor(storage, offset, shape, stride)`, and `_v2` with three more that say nothing about the numbers."""
    if len(args) not in (4, 6, 7) or not isinstance(args[0], Storage) or (len(args) == 7 and args[6]):
        raise RefusedError("a tensor is not made of a storage, an offset, a shape and strides", "テンソルの作り方が不明です")
    storage, offset, shape, stride = args[0], whole(args[1]), args[2], args[3]
    if type(shape) is not tuple or type(stride) is not tuple or len(shape) != len(stride) or len(shape) > 32:
        raise RefusedError("a tensor's shape and strides do not go together", "テンソルの形とストライドが合いません")
    lengths, steps = tuple(map(whole, shape)), tuple(map(whole, stride))
    numel, here = math.prod(lengths), storage.numel
    if numel > here or math.prod(n or 1 for n in lengths) > LARGEST:
        raise RefusedError(
            f"shape {list(shape)} is too large for {here} stored numbers", f"形 {list(shape)} は保存された {here} 個の数値より大きいです"
        )
    last = offset + sum((n - 1) * step for n, step in zip(lengths, steps, strict=True))
    if numel and last >= here:
        raise RefusedError(f"its number {last} is not among {here} stored ones", f"{last} 番目の数値は保存された {here} 個に含まれません")
    if storage.whole:
        storage, first = storage.whole
        offset += first
    return LazyTensor(storage, offset, lengths, steps)


def _parameter(args: tuple[Any, ...]) -> LazyTensor:
    if not 1 <= len(args) <= 3 or not isinstance(args[0], LazyTensor):
        raise RefusedError("a parameter is not made of a tensor", "パラメータがテンソルから作られていません")
    return args[0]


def _parameters(args: tuple[Any, ...]) -> Parameters:
    _items(args, expected=0)
    return Parameters()


def _dict(args: tuple[Any, ...]) -> dict[object, object]:
    """Python 2 gives an OrderedDict its items as a list of pairs."""
    items = _items(args)
    pairs = list(items.items() if isinstance(items, dict) else items)
    if not all(type(pair) in (tuple, list) and len(pair) == 2 for pair in pairs):
        raise RefusedError("a dictionary is not made of pairs", "辞書がキーと値の組から作られていません")
    return {as_key(key): value for key, value in pairs}


def _list(args: tuple[Any, ...]) -> list[object]:
    return list(_items(args))


def _set(args: tuple[Any, ...]) -> set[object]:
    return set(map(as_key, _items(args)))


def _size(args: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(map(whole, _items(args)))


def _device(args: tuple[Any, ...]) -> str:
    """Where a tensor once was: of no interest any more."""
    if not args or type(args[0]) is not str:
        raise RefusedError("a device has no name", "デバイスに名前がありません")
    return args[0]


def _encoded(args: tuple[Any, ...]) -> bytes:
    """How protocol 2 writes bytes: a text of the characters with the same numbers."""
    if len(args) != 2 or type(args[0]) is not str or args[1] != "latin1" or any(char > "\xff" for char in args[0]):
        raise RefusedError("bytes are not written as latin1", "バイト列が latin1 で書かれていません")
    return args[0].encode("latin1")


def _items(args: tuple[Any, ...], expected: int = 1) -> Any:
    """The one container that a container is made of; nothing if there is none."""
    if len(args) > expected or not all(isinstance(arg, tuple | list | set | dict) for arg in args):
        raise RefusedError("a container is not made of another one", "容器が別の容器から作られていません")
    return args[0] if args else ()


def _table() -> dict[tuple[str, str], Symbol]:
    makers: dict[tuple[str, str], Callable[[tuple[Any, ...]], object]] = {
        ("collections", "OrderedDict"): _dict,
        **{(module, "dict"): _dict for module in ("builtins", "__builtin__")},
        **{(module, "list"): _list for module in ("builtins", "__builtin__")},
        **{(module, "set"): _set for module in ("builtins", "__builtin__")},
        ("torch._utils", "_rebuild_tensor"): _tensor,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch._utils", "_rebuild_parameter"): _parameter,
        ("torch.nn.parameter", "Parameter"): _parameter,
        ("torch.nn.modules.container", "ParameterDict"): _parameters,
        ("torch", "Size"): _size,
        ("torch", "device"): _device,
        ("_codecs", "encode"): _encoded,
    }
    table: dict[tuple[str, str], Symbol] = {pair: Maker(".".join(pair), make) for pair, make in makers.items()}
    for name, dtype in STORAGES.items():
        table["torch", name] = StorageType(f"torch.{name}", dtype)
        kind_of_numbers = str(dtype).removeprefix("torch.")
        table["torch", kind_of_numbers] = Symbol(f"torch.{kind_of_numbers}")
    table["torch.storage", "UntypedStorage"] = StorageType("torch.storage.UntypedStorage", torch.uint8)
    return table


STORAGES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
NAMES = _table()
PARAMETER_DICT = NAMES["torch.nn.modules.container", "ParameterDict"]
NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")  # before NumPy 2, and since
INERT = {
    *((module, name) for module in NUMPY for name in ("scalar", "_reconstruct")),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("typing", "Any"),
    ("argparse", "Namespace"),
}
INERT_ROOTS = {"pytorch_lightning", "omegaconf", "ldm"}  # and lightning, lightning_fabric, ...
