"""Depth from one picture: a vision transformer over a small ResNet, read out at four depths and fused (DPT-hybrid, MiDaS 3).

Ranftl et al. 2021, "Vision Transformers for Dense Prediction", https://arxiv.org/abs/2103.13413, sections 3.1 to 3.3.
n pictures, c channels, h w height and width of a feature map, H W of the picture, l tokens (the readout token first), d their width.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .clip_layer import ClipLayer, check_layer

STRIDE = 16  # pixels a token is wide: the stem and the pooling halve twice, two of three stages once each


@dataclass(frozen=True)
class DptConfig:
    """The shape of the network; the defaults are the published one's.

    size: height and width of the pictures trained on. stem, stages, blocks: channels of the ResNet's stem and stages, and how many
    blocks each stage has. taps: after which layers the transformer is read, besides the first two stages. fusion: channels of the
    decoder. Raises ValueError on sizes that do not fit.
    """

    size: int = 384
    stem: int = 64
    stages: tuple[int, int, int] = (256, 512, 1024)
    blocks: tuple[int, int, int] = (3, 4, 9)
    norm_groups: int = 32
    width: int = 768
    layers: int = 12
    heads: int = 12
    feedforward: int = 3072
    taps: tuple[int, int] = (8, 11)
    fusion: int = 256
    head: int = 32
    eps: float = 1e-6

    def __post_init__(self) -> None:
        check_layer(self.width, self.heads, "gelu")
        if self.size < 1 or self.size % (2 * STRIDE):
            raise ValueError(f"pictures of {self.size} pixels are not a multiple of {2 * STRIDE}")
        if not 0 <= self.taps[0] < self.taps[1] < self.layers:
            raise ValueError(f"taps {self.taps} are not two of the {self.layers} layers, in order")
        if any(c < 4 or c // 4 % self.norm_groups or c % self.norm_groups for c in self.stages) or self.stem % self.norm_groups:
            raise ValueError(f"stem {self.stem} and stages {self.stages} (a quarter of each) are not multiples of {self.norm_groups}")


class Dpt(nn.Module):
    """Pictures to inverse depth: larger is nearer, up to an unknown scale and shift."""

    def __init__(self, config: DptConfig):
        super().__init__()
        self.config = config
        self.stem = StandardizedConv(3, config.stem, 7, stride=2)
        self.stem_norm = nn.GroupNorm(config.norm_groups, config.stem)
        widths = (config.stem, *config.stages)
        self.stages = nn.ModuleList(_stage(config, i, widths[i]) for i in range(3))
        self.tokens = nn.Conv2d(config.stages[-1], config.width, 1)
        self.readout = nn.Parameter(torch.zeros(1, 1, config.width))
        self.positions = nn.Parameter(torch.zeros(1, (config.size // STRIDE) ** 2 + 1, config.width))
        self.layers = nn.ModuleList(
            ClipLayer(config.width, config.heads, config.feedforward, "gelu", config.eps) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width, config.eps)  # of the classifier this transformer once was; not used for depth
        self.reassemble = nn.ModuleList(Reassemble(config.width, halves=half) for half in (False, True))
        channels = (*config.stages[:2], config.width, config.width)
        self.squeeze = nn.ModuleList(nn.Conv2d(c, config.fusion, 3, padding=1, bias=False) for c in channels)
        self.fuse = nn.ModuleList(Fuse(config.fusion) for _ in range(4))
        self.head_in = nn.Conv2d(config.fusion, config.fusion // 2, 3, padding=1)
        self.head_mid = nn.Conv2d(config.fusion // 2, config.head, 3, padding=1)
        self.head_out = nn.Conv2d(config.head, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Inverse depth (n H W, from 0) of pictures (n 3 H W, -1 to 1). Raises ValueError unless H and W are multiples of 32."""
        height, width = image.shape[2:]
        if height % (2 * STRIDE) or width % (2 * STRIDE):
            raise ValueError(f"pictures of {width} x {height} pixels; both must be multiples of {2 * STRIDE}")
        x = F.relu(self.stem_norm(self.stem(image)))
        x = F.max_pool2d(same_padded(x, 3, 2), 3, 2)  # n c H/4 W/4; all are above 0, so padding with 0 changes no maximum
        maps: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        h, w = height // STRIDE, width // STRIDE
        states = self._states(maps.pop(), h, w)
        for tap, reassemble in zip(self.config.taps, self.reassemble, strict=True):
            maps.append(reassemble(states[tap], h, w))
        maps = [squeeze(x) for squeeze, x in zip(self.squeeze, maps, strict=True)]  # n f h w: of 1/4, 1/8, 1/16, 1/32 of H W
        fused: Tensor | None = None
        for fuse, x in zip(self.fuse, reversed(maps), strict=True):
            fused = fuse(x, fused)
        y = doubled(self.head_in(fused))  # n f/2 H W
        y = F.relu(self.head_out(F.relu(self.head_mid(y))))
        return y[:, 0]

    def _states(self, x: Tensor, h: int, w: int) -> list[Tensor]:
        """The states (n l d) after each layer."""
        tokens = self.tokens(x).flatten(2).transpose(1, 2)  # n hw d
        x = torch.cat([self.readout.expand(len(x), -1, -1), tokens], dim=1) + self._positions(h, w)
        states = []
        for layer in self.layers[: self.config.taps[1] + 1]:
            x = layer(x)
            states.append(x)
        return states

    def _positions(self, h: int, w: int) -> Tensor:
        """The learned positions, stretched to pictures of other sizes."""
        side = self.config.size // STRIDE
        if (h, w) == (side, side):
            return self.positions
        places = self.positions[:, 1:].transpose(1, 2).reshape(1, -1, side, side)
        places = F.interpolate(places, size=(h, w), mode="bilinear").flatten(2).transpose(1, 2)
        return torch.cat([self.positions[:, :1], places], dim=1)


class StandardizedConv(nn.Conv2d):
    """A convolution whose filters have mean 0 and variance 1 (Qiao et al. 2019), padded so that H W become H/stride W/stride."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int = 1):
        super().__init__(channels_in, channels, kernel, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Features (n c' h/stride w/stride) of features (n c h w)."""
        weight = self.weight
        variance, mean = torch.var_mean(weight, dim=(1, 2, 3), keepdim=True, correction=0)
        return F.conv2d(same_padded(x, self.kernel_size[0], self.stride[0]), (weight - mean) * (variance + 1e-8).rsqrt(), None, self.stride)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a way round them (He et al. 2015, section 4.1)."""

    def __init__(self, channels_in: int, channels: int, groups: int, stride: int, first: bool):
        super().__init__()
        inner = channels // 4
        self.conv1 = StandardizedConv(channels_in, inner, 1)
        self.norm1 = nn.GroupNorm(groups, inner)
        self.conv2 = StandardizedConv(inner, inner, 3, stride)
        self.norm2 = nn.GroupNorm(groups, inner)
        self.conv3 = StandardizedConv(inner, channels, 1)
        self.norm3 = nn.GroupNorm(groups, channels)
        self.skip = StandardizedConv(channels_in, channels, 1, stride) if first else None
        self.skip_norm = nn.GroupNorm(groups, channels) if first else None

    def forward(self, x: Tensor) -> Tensor:
        """Features (n c' h/stride w/stride) of features (n c h w)."""
        y = F.relu(self.norm1(self.conv1(x)))
        y = F.relu(self.norm2(self.conv2(y)))
        y = self.norm3(self.conv3(y))
        if self.skip is not None and self.skip_norm is not None:
            x = self.skip_norm(self.skip(x))
        return F.relu(x + y)


class Reassemble(nn.Module):
    """The transformer's states as a feature map, each having seen the readout token (the paper's equations 1 to 3, "proj")."""

    def __init__(self, width: int, halves: bool):
        super().__init__()
        self.project = nn.Linear(2 * width, width)
        self.conv = nn.Conv2d(width, width, 1)
        self.shrink = nn.Conv2d(width, width, 3, stride=2, padding=1) if halves else None

    def forward(self, states: Tensor, h: int, w: int) -> Tensor:
        """A feature map (n d h w, or half as high and wide) of states (n 1+hw d)."""
        readout, tokens = states[:, :1].expand(-1, states.shape[1] - 1, -1), states[:, 1:]
        x = F.gelu(self.project(torch.cat([tokens, readout], dim=2)))  # n hw d
        places: Tensor = self.conv(x.transpose(1, 2).reshape(len(x), -1, h, w))  # n d h w
        if self.shrink is not None:
            places = self.shrink(places)
        return places


class Fuse(nn.Module):
    """Joins a feature map to what the coarser ones have given, and doubles the size (the paper's figure 1, right)."""

    def __init__(self, channels: int):
        super().__init__()
        self.take = Residual(channels)  # there in the coarsest too, which has nothing to join and leaves it unused
        self.blend = Residual(channels)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, coarser: Tensor | None) -> Tensor:
        """Features (n c 2h 2w) of features (n c h w) and the fused ones so far (n c h w)."""
        if coarser is not None:
            x = coarser + self.take(x)
        out: Tensor = self.out(doubled(self.blend(x)))
        return out


class Residual(nn.Module):
    """Two 3x3 convolutions, each after a ReLU, with a way round them."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Features (n c h w) of the same shape."""
        y: Tensor = self.conv2(F.relu(self.conv1(F.relu(x))))
        return x + y


def same_padded(x: Tensor, kernel: int, stride: int) -> Tensor:
    """x (n c h w) with zeros round it so that a window of `kernel` fits ceil(h / stride) times; the odd one right and below."""
    short = [max((math.ceil(size / stride) - 1) * stride + kernel - size, 0) for size in x.shape[2:]]
    (top, left), (high, wide) = [s // 2 for s in short], short
    return F.pad(x, (left, wide - left, top, high - top)) if any(short) else x


def doubled(x: Tensor) -> Tensor:
    """A feature map (n c 2h 2w) between whose corners, which stay, everything is stretched."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)


def _stage(config: DptConfig, i: int, channels_in: int) -> nn.Sequential:
    channels, stride = config.stages[i], 2 if i else 1
    return nn.Sequential(
        *(
            Bottleneck(channels if j else channels_in, channels, config.norm_groups, 1 if j else stride, first=j == 0)
            for j in range(config.blocks[i])
        )
    )
