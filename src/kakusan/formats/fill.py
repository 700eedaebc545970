"""Networks made out of files: each of our tensors in its stored place, none missing, none of another shape."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from ..errors import FileError
from .source import Source, Stored, check, refuse
from .unfilled import Unfilled

C = TypeVar("C")
N = TypeVar("N", bound=nn.Module)


class Place(NamedTuple):
    """Where a file keeps one of our tensors: under `name`, and if `third` is a number as that third (0, 1, 2) of its rows."""

    name: str
    third: int | None = None


def empty(make: Callable[[C], N], config: C, file: Path) -> N:
    """The network of a configuration, on the meta device. Raises FileError, naming the file that says so, if none can be."""
    try:
        with torch.device("meta"), Unfilled():
            return make(config)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise FileError(f"{file}: no such network can be ({reason})", f"{file}: この形のネットワークは作れません ({reason})") from error


def placed(names: Mapping[str, str], prefix: str = "") -> dict[str, Place]:
    """Places by our names, out of stored names by our names: three that share one are its thirds, in their order."""
    shared = Counter(names.values())
    seen: Counter[str] = Counter()
    places = {}
    for ours, name in names.items():
        places[ours] = Place(prefix + name, seen[name] if shared[name] == 3 else None)
        seen[name] += 1
    return places


def fill(
    network: nn.Module, source: Source, places: Mapping[str, Place], *, dtype: torch.dtype | None = None, device: str | torch.device = "cpu"
) -> None:
    """Gives a network on the meta device its weights.

    dtype: None for each as stored, which on a CPU leaves them in the file's memory map. Raises FileError on the first tensor that
    is missing, of another shape or not of floats; a 1x1 convolution and a linear layer are the same.
    """
    ours = network.state_dict()
    missing = [place.name for place in places.values() if place.name not in source.tensors]
    if missing:
        more = f" (+{len(set(missing)) - 1})" if len(set(missing)) > 1 else ""
        refuse(source.file, missing[0], f"is missing{more}", f"がありません{more}")
    for name, tensor in ours.items():
        _check(source, places[name], tuple(tensor.shape))
    weights = {name: _part(source, places[name], tensor).to(device, dtype) for name, tensor in ours.items()}
    network.load_state_dict(weights, assign=True)


def unexpected(source: Source, known: Iterable[str]) -> None:
    """Raises FileError on the first tensor of a file that is none of `known`."""
    left = source.tensors.keys() - set(known)
    for name in source.tensors:
        if name in left:
            more = f" (+{len(left) - 1})" if len(left) > 1 else ""
            refuse(source.home(name), name, f"is not a tensor of this model{more}", f"はこのモデルのテンソルではありません{more}")


def _check(source: Source, place: Place, shape: tuple[int, ...]) -> None:
    stored = source.tensors[place.name]
    if place.third is not None:
        shape = (3 * shape[0], *shape[1:])
    same = linear(stored.shape) == linear(shape)
    check(source.home(place.name), place.name, Stored(shape, stored.dtype) if same else stored, shape)


def linear(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A weight's shape, a 1x1 convolution's as that of the linear layer that it is."""
    return tuple(shape[:2]) if len(shape) == 4 and tuple(shape[2:]) == (1, 1) else tuple(shape)


def _part(source: Source, place: Place, like: Tensor) -> Tensor:
    tensor = source.read(place.name)
    if place.third is not None:
        rows = like.shape[0]
        tensor = tensor[place.third * rows : (place.third + 1) * rows]
    return tensor.reshape(like.shape)
