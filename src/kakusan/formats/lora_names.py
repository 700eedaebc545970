"""What files of LoRAs call the layers of a model, and the tensors that belong to one layer."""

import re
from typing import NamedTuple

from torch import nn

from . import keys_clip, keys_unet
from .keys import FOLDER, OURS, SINGLE
from .model import Model

KOHYA_UNET, KOHYA_TEXT = "lora_unet_", "lora_te_"
UNET, TEXT = "unet.", "text_encoder."
ROLES: tuple[tuple[str, str], ...] = (
    (r"\.lora_down\.weight$", "down"),
    (r"\.lora_up\.weight$", "up"),
    (r"\.lora_mid\.weight$", "mid"),
    (r"\.alpha$", "alpha"),
    (r"\.dora_scale$", "dora"),
    (r"\.(hada_w1_a|hada_w1_b|hada_w2_a|hada_w2_b|hada_t1|hada_t2)$", ""),
    (r"\.(lokr_w1|lokr_w1_a|lokr_w1_b|lokr_w2|lokr_w2_a|lokr_w2_b|lokr_t2)$", ""),
    (r"\.diff$", "diff"),
    (r"\.(lora|lora_linear_layer)\.down\.weight$", "down"),
    (r"\.(lora|lora_linear_layer)\.up\.weight$", "up"),
    (r"_lora\.down\.weight$", "down"),
    (r"_lora\.up\.weight$", "up"),
    (r"\.lora_A(\.\w+)?\.weight$", "down"),
    (r"\.lora_B(\.\w+)?\.weight$", "up"),
    (r"\.lora_magnitude_vector(\.\w+)?(\.weight)?$", "magnitude"),
)
"""How the name of a tensor ends that plays a role for a layer; without a word for the role, the ending itself is it."""
OLD_TEXT = {"self_attn.to_q": "q_proj", "self_attn.to_k": "k_proj", "self_attn.to_v": "v_proj", "self_attn.to_out": "out_proj"}
"""diffusers 0.14 called the text tower's layers as the U-Net's."""


class Place(NamedTuple):
    """A layer of a model: "unet" or "text", and our name for it."""

    network: str
    layer: str


def role(name: str) -> tuple[str, str] | None:
    """Name of a layer as the file has it, and what the tensor is for it; None if the name is none of a LoRA's."""
    for pattern, word in ROLES:
        if found := re.search(pattern, name):
            return name[: found.start()], word or found[1]
    return None


class Names:
    """Every name that a layer of this model can have in a file."""

    def __init__(self, model: Model):
        self.known: dict[str, Place] = {}
        for row in keys_unet.rows(model.unet.config):
            place = Place("unet", row[OURS])
            if _is_layer(model.unet, place.layer):
                self._add(place, KOHYA_UNET + row[FOLDER].replace(".", "_"), KOHYA_UNET + row[SINGLE].replace(".", "_"))
                self._add(place, UNET + row[FOLDER], row[FOLDER])
        for row in keys_clip.text_rows(model.text.config):
            place, name = Place("text", row[OURS]), row[FOLDER]
            if _is_layer(model.text, place.layer):
                short = name.removeprefix("text_model.")
                self._add(place, KOHYA_TEXT + name.replace(".", "_"), TEXT + name, TEXT + short, name, short)

    def place(self, stem: str) -> Place | None:
        """The layer that a file calls so."""
        name = stem.removeprefix("base_model.model.").replace(".processor.", ".").replace("lora_te1_", KOHYA_TEXT)
        if name in self.known:
            return self.known[name]
        for old, new in OLD_TEXT.items():
            if name.endswith(old):
                name = name.removesuffix(old) + f"self_attn.{new}"
        return self.known.get(name) or self.known.get(f"{name}.0")  # to_out.0 was to_out once

    def _add(self, place: Place, *names: str) -> None:
        for name in names:
            self.known[name] = place


def written(model: Model, place: Place) -> str:
    """A layer by the name that it has in diffusers' folder layout, with dots: what every other name is made from."""
    rows = keys_unet.rows(model.unet.config) if place.network == "unet" else keys_clip.text_rows(model.text.config)
    return next(row[FOLDER] for row in rows if row[OURS] == place.layer)


def _is_layer(network: nn.Module, name: str) -> bool:
    try:
        return isinstance(network.get_submodule(name), nn.Linear | nn.Conv2d)
    except AttributeError:
        return False  # a table row that this shape of network has no layer for, or a lone tensor
