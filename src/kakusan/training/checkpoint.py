"""Training state on disk: one safetensors file, written whole and then renamed, with the previous one kept beside it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import FileError

NAME = "checkpoint.safetensors"


def save(folder: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and facts (anything JSON can hold); at every moment one complete checkpoint is on the disk."""
    path, fresh, previous = folder / NAME, folder / (NAME + ".new"), folder / (NAME + ".old")
    save_file({k: v.detach().contiguous() for k, v in tensors.items()}, fresh, metadata={"facts": json.dumps(facts)})
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    if path.exists():
        os.replace(path, previous)
    os.replace(fresh, path)


def shrink(folder: Path, destination: Path) -> None:
    """Write the averaged weights of a checkpoint in half precision, an eighth of its size: to be used, or gone on from with new moments."""
    found = load(folder)
    if found is not None:
        destination.mkdir(parents=True, exist_ok=True)
        save(destination, {k: v.half() if v.is_floating_point() else v for k, v in found[0].items() if k.startswith("ema.")}, found[1])


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The newest complete checkpoint, or None where there is none. Raises FileError if every file there is damaged."""
    damaged: list[str] = []
    for path in (folder / NAME, folder / (NAME + ".old")):
        if not path.exists():
            continue
        try:
            with safe_open(path, framework="pt") as file:
                return {k: file.get_tensor(k) for k in file.keys()}, json.loads(file.metadata()["facts"])  # noqa: SIM118
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            damaged.append(f"{path}: {error}")
    if damaged:
        raise FileError("; ".join(damaged), "チェックポイントが壊れています: " + "; ".join(damaged))
    return None
