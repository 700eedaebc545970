"""What lies behind the things."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .colours import COLOUR
from .scene import Scene


def draw_backgrounds(scenes: Sequence[Scene], size: int) -> tuple[Tensor, Tensor]:
    """Backgrounds (n 3 s s), 0..1, and their depth (n s s), 0 far to 1 near."""
    colours = torch.tensor([COLOUR[scene.background.name].rgb for scene in scenes])
    return colours.view(-1, 3, 1, 1).repeat(1, 1, size, size), torch.zeros(len(scenes), size, size)
