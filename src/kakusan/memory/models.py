"""Which model a picture was drawn with, found by the hashes that its file tells."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ..errors import FileError
from ..formats.hashes import folder_hash, old_hash, sha256
from .reading import Memory

PARTS = ("unet", "text_encoder", "vae", "depth_estimator")
ENDINGS = (".safetensors", ".ckpt")
LEAST = 1 << 20
"""Bytes of a file that may be a model: LoRAs and embeddings of a few kilobytes are not looked at."""
MOST_FILES = 5000


class Found(NamedTuple):
    """A model. exact: whether its hash is the one that is looked for, None if the picture tells none."""

    path: Path
    exact: bool | None


def weights(path: Path | None) -> dict[str, str]:
    """SHA-256 of a model's files of weights, by their names: one file's, or those of a folder's networks. Hashes are remembered."""
    if path is None:
        return {}
    files = {path.name: path} if path.is_file() else {f"{part}/{file.name}": file for part in PARTS for file in _weights(path / part)}
    with suppress(FileError):
        return {name: sha256(file) for name, file in files.items()}
    return {}


def matches(memory: Memory, path: Path) -> bool | None:
    """Whether a model is the one that drew a picture; None if the picture does not tell."""
    recorded = memory.record.model if memory.record else {}
    short = memory.recipe.model_hash.lower() if memory.recipe else ""
    if not recorded and len(short) < 8:
        return None
    if path.is_dir():
        if recorded and any("/" in name for name in recorded):
            return _same(recorded, weights(path))
        return bool(short) and folder_hash(path / "unet") == short
    with suppress(FileError):
        whole = sha256(path)
        return whole in recorded.values() or (len(short) >= 8 and whole.startswith(short)) or (len(short) == 8 and old_hash(path) == short)
    return False


def find(memory: Memory, candidates: Iterable[Path], folder: Path | None = None) -> Found | None:
    """The model of a picture among `candidates`, then in a folder of models: by its hash, or where none is told by its name."""
    for path in candidates:
        if matches(memory, path):
            return Found(path, True)
    if folder is None:
        return None
    name = memory.recipe.model.lower() if memory.recipe else ""
    models = sorted(_models(folder), key=lambda path: _called(path, name), reverse=True)  # likely ones first: hashing takes its time
    for path in models:
        same = matches(memory, path)
        if same or (same is None and _called(path, name)):
            return Found(path, same)
    named = next((path for path in models if _called(path, name)), None)
    return None if named is None else Found(named, False)


def _called(path: Path, name: str) -> bool:
    return bool(name) and name in (path.stem.lower(), path.name.lower())


def _models(folder: Path) -> Iterator[Path]:
    """Files of weights, and folders in diffusers' layout, at any depth."""
    with suppress(OSError):
        for i, path in enumerate(sorted(folder.rglob("*"))):
            if i >= MOST_FILES:
                return
            if path.name == "model_index.json":
                yield path.parent
            elif path.suffix.lower() in ENDINGS and path.is_file() and path.stat().st_size >= LEAST and not _in_model(path):
                yield path


def _in_model(path: Path) -> bool:
    """Whether a file is a network of a model in diffusers' layout."""
    return (path.parent / "config.json").exists()


def _same(recorded: Mapping[str, str], found: Mapping[str, str]) -> bool:
    return bool(found) and set(recorded.values()) == set(found.values())


def _weights(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
