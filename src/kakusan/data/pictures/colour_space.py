"""Hue, saturation and value of a colour, and back; Smith 1978, https://doi.org/10.1145/965139.807361.

All numbers are in 0..1, hue too; ... are any dimensions.
"""

import torch
from torch import Tensor


def hsv(rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """rgb (... 3 h w) as hue, saturation and value (... h w)."""
    red, green, blue = rgb.unbind(-3)
    value = rgb.amax(-3)
    spread = value - rgb.amin(-3)
    safe = spread.clamp_min(1e-6)
    hue = torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4)
    hue = torch.where(value == red, ((green - blue) / safe) % 6, hue) / 6
    return hue, spread / value.clamp_min(1e-6), value


def rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """The inverse of `hsv`: three (... h w) as (... 3 h w)."""
    channels = []
    for turn in (5, 3, 1):
        k = (turn + hue * 6) % 6
        channels.append(value - value * saturation * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, -3)
