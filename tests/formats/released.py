"""Folders of the released models, without their numbers: every settings file, and every tensor's name, shape and type.

folders.json.xz: family -> configs (file -> settings), tensors (part -> name -> [shape, type]; vae as released and vae_modern as
today's diffusers writes it), params (part -> count).
"""

import json
import lzma
import struct
from pathlib import Path
from typing import Any

import torch

FOLDERS: dict[str, Any] = json.loads(lzma.decompress((Path(__file__).parent / "folders.json.xz").read_bytes()))
FAMILIES = tuple(FOLDERS)
TYPES = {"float32": ("F32", 4), "float16": ("F16", 2), "int64": ("I64", 8)}
DTYPES = {"float32": torch.float32, "int64": torch.int64}


def settings(family: str, name: str) -> dict[str, Any]:
    """A settings file."""
    found: dict[str, Any] = FOLDERS[family]["configs"][name]
    return found


def write_hollow(file: Path, tensors: dict[str, tuple[list[int], str]], half: bool = False) -> None:
    """A safetensors file of true size, all zeros, that takes no space on disk."""
    header, at = {}, 0
    for name, (shape, kind) in tensors.items():
        word, size = TYPES["float16" if half and kind == "float32" else kind]
        end = at + size * torch.Size(shape).numel()
        header[name], at = {"dtype": word, "shape": shape, "data_offsets": [at, end]}, end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + at)
