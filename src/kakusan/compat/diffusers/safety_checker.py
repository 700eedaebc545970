"""diffusers' StableDiffusionSafetyChecker over ours: pictures that resemble certain concepts become black.

n pictures, H W their height and width.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import FileError
from ...formats.configs import CLIP_IGNORED, CLIP_SAME, write_image
from ...formats.fields import Fields
from ...formats.keys_clip import safety_rows
from ...formats.parts import Part
from ...messages import tr
from ...models.clip_image import ClipImageConfig
from ...models.safety_checker import SafetyChecker
from .components import Component
from .loading import place, wanted

TOWER = "vision_model."

log = logging.getLogger("kakusan")


def read_config(file: Path) -> ClipImageConfig:
    """The image tower's shape from the checker's config.json, which is that of a whole CLIP."""
    fields = Fields(file)
    projection = fields.take("projection_dim", int, 512)
    fields.within("vision_config", "vision_config_dict")
    fields.ignore((*CLIP_IGNORED, "projection_dim"))
    fields.expect({"model_type": ("clip_vision_model",), "num_channels": (3,), **CLIP_SAME})
    try:
        config = ClipImageConfig(
            size=fields.take("image_size", int, 224),
            patch=fields.take("patch_size", int, 32),
            width=fields.take("hidden_size", int, 768),
            layers=fields.take("num_hidden_layers", int, 12),
            heads=fields.take("num_attention_heads", int, 12),
            feedforward=fields.take("intermediate_size", int, 3072),
            activation=fields.take("hidden_act", str, "quick_gelu"),
            projection=projection,
        )
    except FileError:
        raise
    except ValueError as error:
        raise FileError(f"{file}: {error}", f"{file}: 設定の値が合いません ({error})") from error
    fields.done()
    return config


def write_config(config: ClipImageConfig) -> dict[str, object]:
    """The checker's config.json."""
    tower = {name: value for name, value in write_image(config).items() if name != "architectures"}
    names = {"architectures": ["StableDiffusionSafetyChecker"], "model_type": "clip", "projection_dim": config.projection}
    return {**names, "logit_scale_init_value": 2.6592, "torch_dtype": "float32", "vision_config": tower}


def modern(name: str) -> str | None:
    """Today's name of a stored tensor: transformers 5 leaves out one of two prefixes, and position_ids are a mere count."""
    if name.endswith("embeddings.position_ids"):
        return None
    return name if name.startswith(2 * TOWER) or not name.startswith(TOWER) else TOWER + name


PART: Part[ClipImageConfig, SafetyChecker] = Part("safety_checker", "model", SafetyChecker, safety_rows, modern, read_config, write_config)


class StableDiffusionSafetyChecker(Component):
    """`checker(images=pictures, clip_input=pixels)` returns the pictures and a flag for each."""

    kind, part = SafetyChecker, PART
    network: SafetyChecker

    @classmethod
    def from_pretrained(
        cls, name: str | Path | None = None, *, subfolder: str | None = None, torch_dtype: torch.dtype | str | None = None, **options: Any
    ) -> "StableDiffusionSafetyChecker":
        """The checker in a folder, or under a name on the hub."""
        folder = place(name, options, subfolder)
        return cls(PART.read(folder, variant=options.get("variant"), dtype=wanted(torch_dtype)))

    @torch.no_grad()
    def forward(self, clip_input: Tensor, images: Any) -> tuple[Any, list[bool]]:
        """Pictures, those flagged black, and the flags. images: a tensor (n 3 H W), an array (n H W 3), or a list of such."""
        flags = [bool(flag) for flag in self.network(clip_input).flagged]
        if any(flags):
            log.warning(
                tr(
                    "the safety checker has blacked out a picture; try another prompt or seed",
                    "セーフティチェッカーが画像を黒く塗りました。プロンプトかシードを変えてください",
                )
            )
        return _blackened(images, flags), flags


def _blackened(images: Any, flags: Sequence[bool]) -> Any:
    if isinstance(images, Tensor):
        return torch.stack([torch.zeros_like(one) if flag else one for one, flag in zip(images, flags, strict=True)])
    if isinstance(images, np.ndarray):
        return np.stack([np.zeros_like(one) if flag else one for one, flag in zip(images, flags, strict=True)])
    return [one * 0 if flag else one for one, flag in zip(images, flags, strict=True)]
