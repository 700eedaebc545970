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

from ...formats.parts import SAFETY
from ...messages import tr
from ...models.safety_checker import SafetyChecker
from .components import Component
from .loading import place, wanted

log = logging.getLogger("kakusan")


class StableDiffusionSafetyChecker(Component):
    """`checker(images=pictures, clip_input=pixels)` returns the pictures and a flag for each."""

    kind, part = SafetyChecker, SAFETY
    network: SafetyChecker

    @classmethod
    def from_pretrained(
        cls, name: str | Path | None = None, *, subfolder: str | None = None, torch_dtype: torch.dtype | str | None = None, **options: Any
    ) -> "StableDiffusionSafetyChecker":
        """The checker in a folder, or under a name on the hub."""
        folder = place(name, options, subfolder)
        return cls(SAFETY.read(folder, variant=options.get("variant"), dtype=wanted(torch_dtype)))

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
