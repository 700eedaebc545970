"""A safetensors file written one tensor at a time: no more than one is in memory, and the file is there whole or not at all.

The layout is that of huggingface/safetensors: the header's length in 8 bytes, least significant first; the header, JSON padded with
spaces to a multiple of 8 bytes; the tensors, those of the widest numbers first, so that all are aligned, and nothing between them.
"""

import json
import math
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ..errors import FileError
from ..images import rename_if_free
from .safetensors import TYPES
from .source import Source, Stored, refuse

NAMES = {dtype: name for name, dtype in TYPES.items()}
LONGEST_HEADER = 100_000_000

OnBytes = Callable[[int], None]
"""Told how many bytes more have been written."""


def size(source: Source) -> int:
    """How many bytes the tensors of a source are."""
    return sum(_bytes(stored) for stored in source.tensors.values())


def write_source(source: Source, path: Path, *, replace: bool = False, on_bytes: OnBytes | None = None) -> None:
    """Write all tensors of a source, each read when its turn comes, and its metadata.

    replace: also over another file. Raises FileError if `path` is taken or cannot be written; then nothing is left behind.
    """
    order = sorted(source.tensors, key=lambda name: (-source.tensors[name].dtype.itemsize, name))
    header = _header(path, source, order)
    check_free(path, replace)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        _check_space(path, len(header) + size(source))
        try:
            with part.open("xb") as file:
                file.write(header)
                for name in order:
                    file.write(_data(path, name, source.read(name), source.tensors[name]))
                    if on_bytes is not None:
                        on_bytes(_bytes(source.tensors[name]))
                file.flush()
                os.fsync(file.fileno())
            _rename(part, path, replace)
        finally:
            part.unlink(missing_ok=True)
    except FileExistsError as error:
        raise taken(path) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(f"{path}: cannot be written ({reason})", f"{path}: 書き込めません ({reason})") from error


def check_free(path: Path, replace: bool) -> None:
    """Raises FileError unless a file may be written there."""
    if path.is_dir() or (os.path.lexists(path) and not replace):
        raise taken(path)


def taken(path: Path) -> FileError:
    """What is said of a name that is in use."""
    return FileError(
        f"{path}: already there; give another name, or --force to replace a file",
        f"{path}: すでにあります。別の名前にするか、--force で上書きしてください",
    )


def _header(path: Path, source: Source, order: list[str]) -> bytes:
    """Raises FileError on what the library would not read."""
    entries: dict[str, object] = {"__metadata__": dict(source.metadata)} if source.metadata else {}
    if "__metadata__" in source.tensors:
        refuse(path, "__metadata__", "is no name for a tensor", "はテンソルの名前にできません")
    end = 0
    for name in order:
        stored, start = source.tensors[name], end
        end += _bytes(stored)
        if stored.dtype not in NAMES:
            kind = str(stored.dtype).removeprefix("torch.")
            refuse(path, name, f"holds {kind} numbers, which safetensors cannot keep", f"は {kind} で、safetensors に保存できません")
        entries[name] = {"dtype": NAMES[stored.dtype], "shape": list(stored.shape), "data_offsets": [start, end]}
    try:
        text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        shown = ascii(error.object[error.start])
        raise FileError(f"{path}: a name holds {shown}, which is no character", f"{path}: 名前に文字でない {shown} があります") from error
    text += b" " * (-len(text) % 8)
    if len(text) > LONGEST_HEADER:
        raise FileError(f"{path}: too many tensors or too much metadata", f"{path}: テンソルまたはメタデータが多すぎます")
    return len(text).to_bytes(8, "little") + text


def _data(path: Path, name: str, tensor: Tensor, stored: Stored) -> memoryview:
    if tuple(tensor.shape) != tuple(stored.shape) or tensor.dtype != stored.dtype:
        raise ValueError(f"{path}: {name} was announced as {stored} and is {tuple(tensor.shape)} of {tensor.dtype}")
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data


def _bytes(stored: Stored) -> int:
    return math.prod(stored.shape) * stored.dtype.itemsize


def _check_space(path: Path, needed: int) -> None:
    """Raises FileError at once where the disk is sure to be full later."""
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise FileError(
            f"{path}: needs {needed:,} bytes, the disk has {free:,} free; make room or choose another folder",
            f"{path}: {needed:,} バイト必要ですが、空きは {free:,} バイトです。空きを作るか別のフォルダーを選んでください",
        )


def _rename(part: Path, path: Path, replace: bool) -> None:
    """Puts the finished file in its place, and makes that last through a power cut."""
    if replace:
        os.replace(part, path)
    else:
        rename_if_free(part, path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
