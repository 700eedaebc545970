"""Tensors in files that torch saved (.ckpt, .pt, .pth, .bin): read as data, by memory map, and no code in them is ever run."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from mmap import mmap
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import FileError
from .containers import read_old, read_zip
from .mapped import MappedFile
from .pickled_tensors import LazyTensor
from .pickles import RefusedError, Symbol, shown
from .source import Stored

TENSORS, NAME, DEPTH = 100_000, 512, 32
"""More tensors than any model has; the longest name of one; and how deep dictionaries may lie in dictionaries."""
BESIDE = {
    *("optimizer", "optimizers", "optimizer_states", "lr_scheduler", "lr_schedulers", "scheduler", "scaler", "rng_state"),
    *("callbacks", "loops", "hyper_parameters", "epoch", "global_step", "global_samples", "amp_scaling_state"),
}
"""What training programs keep beside the weights; none of it is read."""


class CkptFile:
    """The weights in a torch file, as a `Source`: what lies under `state_dict` or the like; groups in groups are joined by dots.

    What training kept beside the weights is not read. metadata: numbers and short texts from beside them (epoch, global_step, ...).
    Raises FileError on what is no torch file, is damaged, or holds anything but data.
    """

    metadata: Mapping[str, str]

    def __init__(self, path: str | Path):
        self.file = Path(path)
        value = read_objects(self.file)
        with _refusing(self.file):
            weights, self.metadata = _weights(value)
            self.lazy = _flat(weights)
        self.tensors: Mapping[str, Stored] = {name: Stored(lazy.shape, lazy.dtype) for name, lazy in self.lazy.items()}

    def read(self, name: str) -> Tensor:
        """See `Source`. Numbers that a processor cannot use where they lie are copied."""
        return self.lazy[name].read(name)

    def home(self, name: str) -> Path:
        """See `Source`."""
        return self.file


def read_objects(path: str | Path) -> Any:
    """All that a torch file holds: dict, list, tuple, set, str, bytes, numbers, None, and `LazyTensor` for tensors.

    Names that lead nowhere here, and objects made with them, are a `Symbol`. Raises FileError.
    """
    file = Path(path)
    mapped = MappedFile(file)
    with _refusing(file):
        return _reader(mapped.data)(mapped)


@contextmanager
def _refusing(file: Path) -> Iterator[None]:
    """Any refusal inside becomes a FileError that names the file."""
    try:
        yield
    except RefusedError as refusal:
        raise FileError(f"{file}: refused: {refusal.en}", f"{file}: 拒否しました: {refusal.ja}") from refusal


def _reader(data: mmap) -> Callable[[MappedFile], Any]:
    if data[:4] == b"PK\3\4":
        return read_zip
    if data[257:262] == b"ustar":
        en = "a tar file of torch before 0.1.10; save it anew with a newer torch"
        raise RefusedError(en, "torch 0.1.10 より前の tar 形式です。新しい torch で保存し直してください")
    if data[8:9] == b"{":
        raise RefusedError("a safetensors file, though its name says otherwise", "名前と違い safetensors ファイルです")
    if data[:1] not in (b"\x80", b"c", b"("):  # how pickles begin; the last two only to say what they try to call
        raise RefusedError("not a file that torch saved", "torch が保存したファイルではありません")
    return read_old


def _weights(value: Any) -> tuple[dict[Any, Any], dict[str, str]]:
    """The dictionary with the weights, and the plain values beside it.

    Objects beside groups of tensors are of no interest; beside tensors, or in a `state_dict`, they are in the place of a weight.
    """
    metadata: dict[str, str] = {}
    weighty: type | tuple[type, ...] = LazyTensor
    for _ in range(DEPTH):
        if not isinstance(value, dict):
            raise RefusedError(f"its weights are {_kind(value)}, not a dictionary", f"重みが辞書ではなく {_kind(value)} です")
        plain = ((key, str(one)) for key, one in value.items() if isinstance(key, str) and _is_plain(key) and _is_plain(one))
        metadata |= dict(islice(plain, 1000))
        if "state_dict" in value:
            value, weighty = value["state_dict"], (LazyTensor, Symbol)
            continue
        value = {key: one for key, one in value.items() if key not in BESIDE or isinstance(one, LazyTensor)}
        seen: set[int] = set()
        groups = {key: one for key, one in value.items() if isinstance(one, dict) and _holds_tensors(one, seen)}
        if not groups or any(isinstance(one, weighty) for one in value.values()):
            return value, metadata
        if len(groups) > 1:
            return groups, metadata
        (value,) = groups.values()
    raise RefusedError("dictionaries lie too deep in one another", "辞書の入れ子が深すぎます")


def _flat(weights: dict[Any, Any]) -> dict[str, LazyTensor]:
    """Every tensor by its name; plain values among them say nothing, objects in place of a tensor are refused."""
    flat: dict[str, LazyTensor] = {}
    seen: set[int] = set()
    stack: list[tuple[str, Any, int]] = [("", weights, 0)]
    while stack:
        name, value, depth = stack.pop()
        if isinstance(value, LazyTensor):
            if name in flat or len(flat) >= TENSORS:
                raise RefusedError(f"{shown(name)} is there twice, or one of too many", f"{shown(name)} が重複しているか、数が多すぎます")
            flat[name] = value
            continue
        if isinstance(value, dict):
            if depth > DEPTH or id(value) in seen:
                raise RefusedError(f"{shown(name)} lies too deep or is there twice", f"{shown(name)} の入れ子が深すぎるか、重複しています")
            inside = [(key, one) for key, one in value.items() if isinstance(one, dict | LazyTensor | Symbol | list | tuple)]
            stack.extend((_name(name, key), one, depth + 1) for key, one in reversed(inside))
        elif isinstance(value, Symbol) or (id(value) not in seen and any(isinstance(one, LazyTensor) for one in value)):
            raise RefusedError(f"{shown(name)} is {_kind(value)}, not a tensor", f"{shown(name)} がテンソルではなく {_kind(value)} です")
        seen.add(id(value))
    if not flat:
        raise RefusedError("it holds no tensors", "テンソルがありません")
    return flat


def _holds_tensors(group: dict[Any, Any], seen: set[int]) -> bool:
    """seen: groups looked into already, in which none was found or that count no second time."""
    stack = [group]
    while stack:
        one = stack.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if any(isinstance(value, LazyTensor) for value in one.values()):
            return True
        stack.extend(value for value in one.values() if isinstance(value, dict))
    return False


def _name(group: str, key: object) -> str:
    text = str(key) if isinstance(key, str | int) else _kind(key)
    name = f"{group}.{text}" if group else text
    if not isinstance(key, str | int) or len(name) > NAME:
        raise RefusedError(f"{shown(name)} is no name of a tensor", f"{shown(name)} はテンソルの名前ではありません")
    return name


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return value.isprintable() and len(value) <= NAME
    return isinstance(value, bool | float) or (isinstance(value, int) and value.bit_length() <= 64)


def _kind(value: object) -> str:
    return f"an object of {shown(value.name)}" if isinstance(value, Symbol) else f"a {type(value).__name__}"
