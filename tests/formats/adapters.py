"""LoRAs of random numbers for a tiny model, in the names of every program."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from kakusan.formats.lora_names import Place, written
from kakusan.formats.model import Model

UNET_LAYERS = (
    *("down.0.attn.0.block.attn1.to_q", "down.0.attn.0.block.attn2.to_k", "down.0.attn.0.block.attn2.to_out", "down.0.attn.0.block.ff_in"),
    *("down.0.attn.0.proj_in", "down.0.res.0.conv1", "down.0.res.0.time", "down.0.shrink", "mid.attn.proj_out", "up.1.res.0.skip"),
)
TEXT_LAYERS = ("layers.0.attn.to_q", "layers.0.attn.to_out", "layers.1.ff_in", "layers.1.ff_out")


def pairs(model: Model, rank: int = 4, seed: int = 0, text: bool = True) -> dict[Place, tuple[Tensor, Tensor]]:
    """down and up for some layers of every kind."""
    generator = torch.Generator().manual_seed(seed)
    places = [Place("unet", name) for name in UNET_LAYERS] + [Place("text", name) for name in TEXT_LAYERS if text]
    made = {}
    for place in places:
        weight = layer(model, place).weight
        down = torch.randn(rank, *weight.shape[1:], generator=generator) * 0.2
        up = torch.randn(weight.shape[0], rank, *[1] * (weight.ndim - 2), generator=generator) * 0.2
        made[place] = (down, up)
    return made


def layer(model: Model, place: Place) -> nn.Linear | nn.Conv2d:
    found = (model.unet if place.network == "unet" else model.text).get_submodule(place.layer)
    assert isinstance(found, nn.Linear | nn.Conv2d)
    return found


def kohya(model: Model, made: Mapping[Place, tuple[Tensor, Tensor]], alpha: float = 2.0) -> dict[str, Tensor]:
    tensors = {}
    for place, (down, up) in made.items():
        stem = {"unet": "lora_unet_", "text": "lora_te_"}[place.network] + written(model, place).replace(".", "_")
        tensors |= {f"{stem}.alpha": torch.tensor(alpha), f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
    return tensors


def dotted(model: Model, made: Mapping[Place, tuple[Tensor, Tensor]], down: str, up: str, prefix: str = "") -> dict[str, Tensor]:
    """Names with dots: `down` and `up` are what stands behind the layer's name."""
    tensors = {}
    for place, (a, b) in made.items():
        stem = prefix + {"unet": "unet.", "text": "text_encoder."}[place.network] + written(model, place)
        tensors |= {stem + down: a, stem + up: b}
    return tensors


def merged(model: Model, made: Mapping[Place, tuple[Tensor, Tensor]], scale: Callable[[Place], float]) -> None:
    """The model with weights that have the LoRA in them."""
    with torch.no_grad():
        for place, (down, up) in made.items():
            weight = layer(model, place).weight
            weight += scale(place) * (up.flatten(1) @ down.flatten(1)).view(weight.shape)
