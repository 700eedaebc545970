"""Networks for pictures without an edge: what lies beyond one side is the other side, so that copies fit side by side."""

from functools import partial
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from .twins import twin

AXES = ("x", "y", "xy")
"""In which directions a picture may go on."""


def tileable(network: nn.Module, axes: str) -> nn.Module:
    """`network` over the same weights, whose convolutions go round in these directions where they would see zeros beyond the edge."""
    return twin(network, partial(_wrap, axes))


def wrapped(x: Tensor, axes: str, margin: int) -> Tensor:
    """x (n c h w) with `margin` pixels more on either side in these directions, taken from the other side."""
    across, down = (margin if axis in axes else 0 for axis in "xy")
    return F.pad(x, (across, across, down, down), mode="circular")


class WrappedConv(nn.Conv2d):
    """A convolution of odd size that goes round in the directions `axes`, and sees zeros in the others."""

    axes: str

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        down, across = (int(pad) for pad in self.padding)
        around = wrapped(input, self.axes, max(down, across))
        return F.conv2d(around, weight, bias, self.stride, (0 if "y" in self.axes else down, 0 if "x" in self.axes else across))


class WrappedShrink(nn.Conv2d):
    """The autoencoder's halving convolution: of the row and column of zeros that its input comes with, it wraps what `axes` says."""

    axes: str

    def forward(self, input: Tensor) -> Tensor:
        """Features (n c h w) of features (n c 2h+1 2w+1)."""
        h, w = input.shape[2] - 1, input.shape[3] - 1
        x = F.pad(input[..., :w], (0, 1, 0, 0), mode="circular") if "x" in self.axes else input
        x = F.pad(x[..., :h, :], (0, 0, 0, 1), mode="circular") if "y" in self.axes else x
        return super().forward(x)


def _wrap(axes: str, module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
        made = WrappedShrink if module.padding == (0, 0) else WrappedConv
        module.__class__ = made
        cast(WrappedConv | WrappedShrink, module).axes = axes
