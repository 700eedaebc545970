"""How each network of a model lies in its folder: config.json, and safetensors beside it."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import nn

from ..models.autoencoder import Autoencoder, AutoencoderConfig
from ..models.clip_image import ClipImage, ClipImageConfig
from ..models.clip_text import ClipText, ClipTextConfig
from ..models.dpt import Dpt, DptConfig
from ..models.safety_checker import SafetyChecker
from ..models.unet import UNet, UNetConfig
from . import configs, configs_depth, configs_safety, keys_autoencoder, keys_clip, keys_dpt, keys_unet
from .fields import write_json
from .fill import Place, empty, fill, unexpected
from .keys import FOLDER, Row, renamed
from .safetensors import write_tensors
from .source import Source
from .weights import Joined, open_weights

C = TypeVar("C")
N = TypeVar("N", bound=nn.Module)

PROJECTION = "text_projection.weight"
REST_OF_CLIP = ("vision_model.", "visual_projection.", "logit_scale")
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

    def read(
        self, folder: Path, *, weights: bool = True, variant: str | None = None, dtype: torch.dtype | None = None, device: str = "cpu"
    ) -> N:
        """The network out of its folder, with the weights of the variant where there are any; without weights on the meta device."""
        file = folder / "config.json"
        config = self.read_config(file)
        network = empty(self.network, config, file)
        if weights:
            names = renamed(network.state_dict(), self.rows(config), FOLDER)
            source = open_weights(folder, self.stem, variant)
            if PROJECTION in names.values() and PROJECTION not in source.tensors:
                source = Joined(source.file, [source, open_weights(folder.parent / PROJECTION_FOLDER, PROJECTION_STEM)])
            fill(network, source, self._places(names, source), dtype=dtype, device=device)
        return network

    def _places(self, names: Mapping[str, str], source: Source) -> dict[str, Place]:
        """Where each of our tensors is stored, under its name of today or an old one."""
        stored, unused = dict[str, str](), list[str]()
        for name in source.tensors:
            now = self.modern(name)
            if now is None:
                unused.append(name)
            else:
                stored.setdefault(now, name)
        places = {ours: Place(stored.get(theirs, theirs)) for ours, theirs in names.items()}
        unexpected(source, [*unused, *(place.name for place in places.values())])
        return places

    def write(
        self,
        network: N,
        config: C,
        path: Path,
        *,
        dtype: torch.dtype | None,
        max_shard_bytes: int,
        more: Mapping[str, object] | None = None,
    ) -> None:
        """The network into a model's folder. more: settings for others to read. Raises ValueError if it is on the meta device."""
        state = network.state_dict()
        if any(tensor.is_meta for tensor in state.values()):
            raise ValueError(f"{self.folder} has a shape and no weights: it was read without them")
        names = renamed(state, self.rows(config), FOLDER)
        tensors = {names[name]: tensor.to(device="cpu", dtype=dtype) for name, tensor in state.items()}
        folder = path / self.folder
        folder.mkdir(exist_ok=True)
        write_json(folder / "config.json", {**self.write_config(config), **(more or {})})
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


def text_name(name: str) -> str | None:
    """Today's name of a text tower's tensor; the rest of a whole CLIP, which may lie in the same file, is left out."""
    if name == PROJECTION:
        return name
    return None if name.startswith(REST_OF_CLIP) else keys_clip.modern_text(name)


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
    "text_encoder", "model", ClipText, keys_clip.text_rows, text_name, text_config, configs.write_text
)
IMAGE: Part[ClipImageConfig, ClipImage] = Part(
    "image_encoder", "model", ClipImage, keys_clip.image_rows, keys_clip.modern_image, configs.read_image, configs.write_image
)
DEPTH: Part[DptConfig, Dpt] = Part(
    "depth_estimator", "model", Dpt, keys_dpt.rows, keys_dpt.modern, configs_depth.read_depth, configs_depth.write_depth
)
SAFETY: Part[ClipImageConfig, SafetyChecker] = Part(
    "safety_checker",
    "model",
    SafetyChecker,
    keys_clip.safety_rows,
    keys_clip.modern_safety,
    configs_safety.read_safety,
    configs_safety.write_safety,
)
