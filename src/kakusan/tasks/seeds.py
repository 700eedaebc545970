"""Noise between two seeds, and noise that is meant for another size: AUTOMATIC1111's, number for number.

c channels, h w height and width of a latent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..noise import SeededNoise


@dataclass(frozen=True)
class Varied:
    """A seed that is on its way to another one. strength: from 0, the seed, to 1, the other.

    size: (h, w) of the latent whose noise is meant, if the picture is to have another size and still look like that one.
    """

    seed: int
    other: int = 0
    strength: float = 0.0
    size: tuple[int, int] | None = None


class VariedNoise(SeededNoise):
    """Noise whose numbers before the first step (`randn`) lie between two seeds; a sampler's own are those of the first seed."""

    def __init__(self, varied: Varied):
        super().__init__([varied.seed, varied.seed, varied.other])  # in the picture's size, in the noise's own size, the other seed
        self.strength, self.size = varied.strength, varied.size

    def __call__(self, like: Tensor, sigma_from: float, sigma_to: float) -> Tensor:
        """The next numbers of the first seed, as `like`."""
        return self.streams[0].randn(like.shape).to(like)

    def randn(self, shape: Sequence[int]) -> Tensor:
        """The next numbers (1 c h w) between the seeds."""
        whole = self.streams[0].randn(shape)
        size = shape if self.size is None else (*shape[:2], *self.size)
        noise = whole if self.size is None else self.streams[1].randn(size)
        if self.strength:
            noise = slerp(self.strength, noise, self.streams[2].randn(size))
        return noise if self.size is None else pasted(noise, whole)


def slerp(amount: float, low: Tensor, high: Tensor) -> Tensor:
    """Noise (1 c h w) between two noises along the arc between them, so that it stays as strong as both.

    Shoemake 1985, "Animating rotation with quaternion curves", section 3.3. As AUTOMATIC1111's web UI has it, an arc for each column
    of each channel; and where both are nearly the same, the straight line from high to low.
    """
    low_unit, high_unit = (x / x.norm(dim=2, keepdim=True) for x in (low, high))
    dot = (low_unit * high_unit).sum(dim=2, keepdim=True)  # 1 c 1 w
    if dot.mean() > 0.9995:
        return low * amount + high * (1 - amount)
    omega = torch.acos(dot)
    return (torch.sin((1 - amount) * omega) * low + torch.sin(amount * omega) * high) / torch.sin(omega)


def pasted(noise: Tensor, whole: Tensor) -> Tensor:
    """`whole` (1 c h w) with `noise` of another size in its middle; what is too large loses its borders, as in AUTOMATIC1111's."""
    (h, w), (high, wide) = noise.shape[2:], whole.shape[2:]
    dy, dx = int((high - h) / 2 // 1), int((wide - w) / 2 // 1)
    height, width = (h if dy >= 0 else h + 2 * dy), (w if dx >= 0 else w + 2 * dx)
    top, left = max(-dy, 0), max(-dx, 0)
    out = whole.clone()
    target = out[:, :, max(dy, 0) : max(dy, 0) + height, max(dx, 0) : max(dx, 0) + width]
    target.copy_(noise[:, :, top : top + target.shape[2], left : left + target.shape[3]])
    return out
