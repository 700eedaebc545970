"""Where a model under diffusers' arguments lies, and its parts out of it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from ...errors import FileError, KakusanError
from ...formats.folder import part_folder, read_component
from ...formats.hub import snapshot, split_id
from ...loading import EMBEDDED

N = TypeVar("N", bound=nn.Module)

OFFLINE = "HF_HUB_OFFLINE"
FROM_HUB = ("revision", "variant", "token", "use_auth_token", "cache_dir", "local_files_only", "force_download", "resume_download")
HARMLESS = (
    *("low_cpu_mem_usage", "device_map", "max_memory", "offload_folder", "offload_state_dict", "use_safetensors", "use_onnx"),
    *(
        "torch_dtype",
        "dtype",
        "proxies",
        "mirror",
        "trust_remote_code",
        "use_fast",
        "add_watermarker",
        "output_loading_info",
        "attn_implementation",
    ),
)
"""How diffusers goes about loading, which changes nothing in what is loaded."""


def place(name: str | Path | None, options: Mapping[str, Any], subfolder: str | None = None) -> Path:
    """The folder of a model or of a part of it: on disk, of the embedded model for None, or from the hub under "ORG/NAME".

    Raises KakusanError on an option nobody knows, FileError if there is no such folder.
    """
    for option in options:
        if option not in FROM_HUB + HARMLESS:
            raise KakusanError(
                f"from_pretrained does not know {option!r}; leave it out", f"from_pretrained に {option!r} はありません。外してください"
            )
    path = EMBEDDED if name is None else Path(name)
    if path.is_dir():
        return part_folder(path, subfolder) if subfolder else path
    if path.exists():
        raise FileError(
            f"{path}: a file; open it with StableDiffusionPipeline.from_single_file",
            f"{path}: ファイルです。StableDiffusionPipeline.from_single_file で開いてください",
        )
    if split_id(str(name)) is None:
        raise FileError(
            f"{path}: no such folder; give a model's folder, or ORG/NAME on the hub",
            f"{path}: フォルダがありません。モデルのフォルダか、ハブの ORG/NAME を指定してください",
        )
    return from_hub(str(name), options, subfolder=subfolder) / (subfolder or "")


def from_hub(id: str, options: Mapping[str, Any], *, subfolder: str | None = None, file: str | None = None) -> Path:
    """What lies under an id on the hub, a model's folder or one file, fetched unless the cache has it."""
    token = options.get("token") or options.get("use_auth_token")
    before = os.environ.get(OFFLINE)
    try:
        if options.get("local_files_only"):
            os.environ[OFFLINE] = "1"
        return snapshot(
            id,
            options.get("revision"),
            token if isinstance(token, str) else None,
            options.get("variant"),
            file=file,
            subfolder=subfolder,
        )
    finally:
        if before is None:
            os.environ.pop(OFFLINE, None)
        else:
            os.environ[OFFLINE] = before


def read_network(kind: type[N], folder: Path, dtype: torch.dtype | str | None, variant: str | None = None) -> N:
    """One network out of the folder that holds just it; float32 unless another dtype is given, "auto" as stored.

    Raises FileError if the folder holds another kind of network, or none.
    """
    network = read_component(folder, variant=variant, dtype=wanted(dtype))
    if not isinstance(network, kind):
        found = type(network).__name__
        raise FileError(
            f"{folder}: holds a network of kind {found}, not {kind.__name__}; give subfolder=...",
            f"{folder}: {found} のフォルダです ({kind.__name__} ではありません)。subfolder=... を指定してください",
        )
    return network


def wanted(dtype: torch.dtype | str | None) -> torch.dtype | None:
    """The dtype to read weights as, None as stored. Raises KakusanError on a name that is none."""
    if dtype == "auto":
        return None
    found = torch.float32 if dtype is None else getattr(torch, dtype.removeprefix("torch."), None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise KakusanError(
            f"torch_dtype is {dtype!r}; give torch.float32, torch.float16 or torch.bfloat16",
            f"torch_dtype が {dtype!r} です。torch.float32、torch.float16、torch.bfloat16 のどれかにしてください",
        )
    return found
