"""A batch of backgrounds in the making: what landscapes and patterns are painted with.

n pictures, s side in pixels. Positions run from 0 (left, top) to 1; a shape is its cover (n s s), 0 outside to 1 inside.
"""

import math

import torch
from torch import Tensor

from .colours import Rgb


class Canvas:
    """image (n 3 s s) 0..1 and depth (n s s) 0 far..1 near, changed in place. x, y: (1 1 s), (1 s 1). shades: n chance numbers each."""

    def __init__(self, image: Tensor, shades: Tensor):
        self.image, self.shades = image, shades
        self.side = image.shape[-1]
        steps = (torch.arange(self.side) + 0.5) / self.side
        self.x, self.y = steps.view(1, 1, -1), steps.view(1, -1, 1)
        self.depth = torch.zeros(len(image), self.side, self.side)

    def shade(self, number: int) -> Tensor:
        """One chance number a picture (n 1 1)."""
        return self.shades[:, number].view(-1, 1, 1)

    def inside(self, distance: Tensor) -> Tensor:
        """The cover of a shape from the distance to its edge, positive inside: one pixel of blending, whatever the size."""
        return (distance * self.side + 0.5).clamp(0, 1)

    def lay(self, colour: Rgb | Tensor, cover: Tensor, depth: float | Tensor | None = None) -> None:
        """Paint a colour, or a picture (n 3 s s), where cover (n s s) says; set the depth there when it is given."""
        if isinstance(colour, tuple):
            colour = torch.tensor(colour).view(1, 3, 1, 1)
        self.image += (colour - self.image) * cover.unsqueeze(1)
        if depth is not None:
            self.depth = torch.where(cover > 0.5, depth, self.depth)

    def waves(self, frequency: float, number: int) -> Tensor:
        """Smooth noise (n s s), -1..1: three plane waves, whose phases are a chance number."""
        phase = self.shade(number) * 2 * math.pi
        first = torch.sin(frequency * (self.x * 1.3 + self.y * 0.7) + phase)
        second = torch.sin(frequency * 1.7 * (self.y * 1.1 - self.x * 0.9) + 2 * phase)
        return (first + second + torch.sin(frequency * 2.3 * (self.x * 0.6 + self.y) + 3 * phase)) / 3

    def from_point(self, x: Tensor, y: Tensor | float) -> Tensor:
        """Distance of each pixel from a point."""
        return ((self.x - x) ** 2 + (self.y - y) ** 2).sqrt()
