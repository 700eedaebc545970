"""Where a model lies, and what of a model's folder is read to draw with it."""

import re
from dataclasses import replace
from pathlib import Path

import torch

from ..errors import FileError
from .folder import PARTS, read_folder
from .model import Model
from .single import prediction_named, read_vae

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")  # of files, which no model on the hub is named like


def located(name: str | Path) -> Path:
    """Where a model lies; what is named like one on the hub, and is nothing here, is fetched. Raises FileError if there is none."""
    path = Path(name).expanduser()
    if path.exists():
        return path
    if HUB_ID.fullmatch(str(name)) and path.suffix not in SUFFIXES:
        from .hub import snapshot

        return snapshot(str(name))
    raise FileError(f"{path}: no such file or folder", f"{path}: そのようなファイルやフォルダーはありません")


def of_folder(path: Path, dtype: torch.dtype | None, device: str, vae: str | Path | None, prediction: str | None) -> Model:
    """A folder's model, with another autoencoder or another kind of prediction if these are given."""
    parts = [part for part in PARTS if part != "image" and (part != "autoencoder" or vae is None)]
    model = read_folder(path, parts=parts, dtype=dtype, device=device)
    if vae is not None:
        model.autoencoder = read_vae(vae, scale=model.autoencoder.config.scale, dtype=dtype, device=device)
    if prediction is not None:
        model.schedule = replace(model.schedule, prediction=prediction_named(prediction))
    return model
