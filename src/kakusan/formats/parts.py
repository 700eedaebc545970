"""How each network of a model lies in its folder: config.json, and safetensors beside it."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import nn

from ..errors import FileError
from ..models.autoencoder import Autoencoder, AutoencoderConfig
from ..models.clip_image import ClipImage, ClipImageConfig
from ..models.clip_text import ClipText, ClipTextConfig
from ..models.unet import UNet, UNetConfig
from . import configs, keys_autoencoder, keys_clip, keys_unet
from .fields import write_json
from .keys import FOLDER, Row, renamed
from .safetensors import read_tensors, write_tensors
from .unfilled import Unfilled

C = TypeVar("C")
N = TypeVar("N", bound=nn.Module)

PROJECTION = "text_projection.weight"
PROJECTION_FOLDER, PROJECTION_STEM = "image_encoder", "text_projection"


@dataclass(frozen=True)
class Part(Generic[C, N]):
    """One network's place in the folder: `stem` is what its weights' file is called, before `.safetensors`.

    rows: the names of its tensors; modern: today's name of a stored tensor, None for one that is no weight.
    """

    folder: str
    stem: str
    network: Callable[[C], N]
    rows: Callable[[C], list[Row]]
    modern: Callable[[str], str | None]
    read_config: Callable[[Path], C]
    write_config: Callable[[C], dict[str, object]]

    def read(self, path: Path, *, weights: bool, dtype: torch.dtype | None, device: str) -> N:
        """The network out of a model's folder; without weights it stays on the meta device."""
        file = path / self.folder / "config.json"
        config = self.read_config(file)
        try:
            with torch.device("meta"), Unfilled():
                network = self.network(config)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise FileError(f"{file}: no such network can be ({reason})", f"{file}: この形のネットワークは作れません ({reason})") from error
        if weights:
            ours = network.state_dict()
            names = renamed(ours, self.rows(config), FOLDER)
            shapes = {names[name]: tuple(tensor.shape) for name, tensor in ours.items()}
            apart = {PROJECTION: shapes.pop(PROJECTION)} if PROJECTION in shapes else {}
            tensors = read_tensors(path / self.folder, self.stem, shapes, self.modern, dtype=dtype, device=device)
            if apart:
                tensors |= read_tensors(path / PROJECTION_FOLDER, PROJECTION_STEM, apart, dtype=dtype, device=device)
            network.load_state_dict({name: tensors[names[name]] for name in ours}, assign=True)
        return network

    def write(self, network: N, config: C, path: Path, *, dtype: torch.dtype, max_shard_bytes: int) -> None:
        """The network into a model's folder. Raises ValueError if it is on the meta device."""
        state = network.state_dict()
        if any(tensor.is_meta for tensor in state.values()):
            raise ValueError(f"{self.folder} has a shape and no weights: it was read without them")
        names = renamed(state, self.rows(config), FOLDER)
        tensors = {names[name]: tensor.to("cpu", dtype) for name, tensor in state.items()}
        folder = path / self.folder
        folder.mkdir(exist_ok=True)
        write_json(folder / "config.json", self.write_config(config))
        if PROJECTION in tensors:
            (path / PROJECTION_FOLDER).mkdir(exist_ok=True)
            write_tensors(path / PROJECTION_FOLDER, PROJECTION_STEM, {PROJECTION: tensors.pop(PROJECTION)}, max_shard_bytes)
        write_tensors(folder, self.stem, tensors, max_shard_bytes)


def text_config(file: Path) -> ClipTextConfig:
    """The text tower's shape, with a projection if one lies beside the image tower: config.json does not know of it."""
    config = configs.read_text(file)
    beside = file.parent.parent / PROJECTION_FOLDER
    if not (beside / f"{PROJECTION_STEM}.safetensors").exists():
        return config
    return dataclasses.replace(config, projection=configs.read_image(beside / "config.json").projection)


UNET: Part[UNetConfig, UNet] = Part("unet", "diffusion_pytorch_model", UNet, keys_unet.rows, str, configs.read_unet, configs.write_unet)
AUTOENCODER: Part[AutoencoderConfig, Autoencoder] = Part(
    "vae",
    "diffusion_pytorch_model",
    Autoencoder,
    keys_autoencoder.rows,
    keys_autoencoder.modern,
    configs.read_autoencoder,
    configs.write_autoencoder,
)
TEXT: Part[ClipTextConfig, ClipText] = Part(
    "text_encoder", "model", ClipText, keys_clip.text_rows, keys_clip.modern_text, text_config, configs.write_text
)
IMAGE: Part[ClipImageConfig, ClipImage] = Part(
    "image_encoder", "model", ClipImage, keys_clip.image_rows, keys_clip.modern_image, configs.read_image, configs.write_image
)
