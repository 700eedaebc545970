"""The conditional U-Net of Stable Diffusion: v1, v2, the x4 upscaler and smaller ones of the same kind.

Ronneberger et al. 2015; Ho et al. 2020, appendix B; Rombach et al. 2022, section 3.3.
n images, c channels, h w height and width of the latent, l text tokens, d width of a text state.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import ResBlock, SpatialTransformer, activated

EPS = 1e-5


@dataclass(frozen=True)
class UNetConfig:
    """The shape of a U-Net; the defaults are SD1's. One entry a level, from the finest to the coarsest, in every tuple.

    blocks: residual blocks a level on the way down (one more on the way up). attention: which levels attend; the middle
    always does. heads: how many, for all levels or for each. class_labels: how many noise levels of the small picture the
    x4 upscaler knows, 0 for none. sample_size: height of the latents trained on; only a default for who asks for none.
    Raises ValueError if the tuples differ in length, or if heads or groups do not divide the channels.
    """

    in_channels: int = 4
    out_channels: int = 4
    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    blocks: int = 2
    attention: tuple[bool, ...] = (True, True, True, False)
    context_width: int = 768
    heads: int | tuple[int, ...] = 8
    linear_projection: bool = False
    norm_groups: int = 32
    sample_size: int = 64
    class_labels: int = 0
    only_cross_attention: tuple[bool, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("attention", "heads", "only_cross_attention"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != len(self.channels):
                raise ValueError(f"{name} {value} has {len(value)} entries for {len(self.channels)} levels of channels {self.channels}")
        if self.norm_groups < 1 or any(c < 1 or c % self.norm_groups for c in self.channels):
            raise ValueError(f"channels {self.channels} are not all multiples of norm_groups {self.norm_groups}")
        if self.channels[0] % 2:
            raise ValueError(f"the first of channels {self.channels} is odd; the noise level needs as many sines as cosines")
        for i, channels in enumerate(self.channels):
            if self.level_heads(i) < 1 or channels % self.level_heads(i):
                raise ValueError(f"{channels} channels of level {i} do not divide into {self.level_heads(i)} heads")

    @property
    def time_width(self) -> int:
        """Width of the noise level's embedding."""
        return 4 * self.channels[0]

    def level_heads(self, level: int) -> int:
        """Attention heads at a level."""
        return self.heads if isinstance(self.heads, int) else self.heads[level]

    def level_only_cross(self, level: int) -> bool:
        """Whether a level's first attention looks at the text instead of the picture."""
        return self.only_cross_attention is not None and self.only_cross_attention[level]


class UNet(nn.Module):
    """Predicts the noise (or v, or the clean latent) in a noisy latent, given the noise level and the text."""

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        channels, width = config.channels, config.time_width
        last = len(channels) - 1
        self.time = nn.Sequential(nn.Linear(channels[0], width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(config.class_labels, width) if config.class_labels else None
        self.conv_in = nn.Conv2d(config.in_channels, channels[0], 3, padding=1)
        self.down = nn.ModuleList(DownLevel(config, i) for i in range(last + 1))
        self.mid = Middle(config)
        self.up = nn.ModuleList(UpLevel(config, i) for i in range(last, -1, -1))
        self.norm_out = nn.GroupNorm(config.norm_groups, channels[0], EPS)
        self.conv_out = nn.Conv2d(channels[0], config.out_channels, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor, context: Tensor, label: Tensor | None = None) -> Tensor:
        """x (n c h w) at the network's timestep t (n,), text states (n l d), noise-level label (n,) if it has labels."""
        time: Tensor = self.time(timestep_embedding(t, self.config.channels[0]).to(x.dtype))  # n 4c
        if (self.label is None) != (label is None):
            raise ValueError(f"the U-Net knows {self.config.class_labels} labels and was given {'none' if label is None else 'one'}")
        if self.label is not None:
            time = time + self.label(label)
        x = self.conv_in(x)
        skips = [x]
        for down in self.down:
            skips += down(skips[-1], time, context)
        x = self.mid(skips[-1], time, context)
        for up in self.up:
            x = up(x, skips, time, context)
        x = self.conv_out(activated(self.norm_out(x)))
        return x


class DownLevel(nn.Module):
    """Residual blocks and attention at one resolution on the way down, then halving it."""

    def __init__(self, config: UNetConfig, level: int):
        super().__init__()
        channels = config.channels[level]
        first = config.channels[max(level - 1, 0)]
        self.res = nn.ModuleList(_res(config, first if j == 0 else channels, channels) for j in range(config.blocks))
        self.attn = nn.ModuleList(_attention(config, level) for _ in range(config.blocks if config.attention[level] else 0))
        coarsest = level == len(config.channels) - 1
        self.shrink = None if coarsest else nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor, time: Tensor, context: Tensor) -> list[Tensor]:
        """Everything the way up will want to see, the result last."""
        kept = []
        for j, res in enumerate(self.res):
            x = res(x, time)
            if self.attn:
                x = self.attn[j](x, context)
            kept.append(x)
        if self.shrink is not None:
            kept.append(self.shrink(x))  # n c h/2 w/2
        return kept


class Middle(nn.Module):
    """Attention between two residual blocks, at the coarsest resolution."""

    def __init__(self, config: UNetConfig):
        super().__init__()
        channels, level = config.channels[-1], len(config.channels) - 1
        self.res = nn.ModuleList(_res(config, channels, channels) for _ in range(2))
        self.attn = SpatialTransformer(
            channels, config.context_width, config.level_heads(level), config.norm_groups, config.linear_projection, only_cross=False
        )

    def forward(self, x: Tensor, time: Tensor, context: Tensor) -> Tensor:
        """Features (n c h w) of the same shape."""
        x = self.attn(self.res[0](x, time), context)
        x = self.res[1](x, time)
        return x


class UpLevel(nn.Module):
    """Residual blocks and attention at one resolution on the way up, each seeing its counterpart, then doubling it."""

    def __init__(self, config: UNetConfig, level: int):
        super().__init__()
        channels, last = config.channels[level], len(config.channels) - 1
        below = config.channels[min(level + 1, last)]  # what comes from the coarser level
        skips = [*[channels] * config.blocks, config.channels[max(level - 1, 0)]]
        self.res = nn.ModuleList(_res(config, (below if j == 0 else channels) + skip, channels) for j, skip in enumerate(skips))
        self.attn = nn.ModuleList(_attention(config, level) for _ in range(config.blocks + 1 if config.attention[level] else 0))
        self.grow = nn.Conv2d(channels, channels, 3, padding=1) if level else None

    def forward(self, x: Tensor, skips: list[Tensor], time: Tensor, context: Tensor) -> Tensor:
        """Takes what it sees off the end of `skips`."""
        for j, res in enumerate(self.res):
            x = res(torch.cat([x, skips.pop()], dim=1), time)
            if self.attn:
                x = self.attn[j](x, context)
        if self.grow is not None:
            x = self.grow(F.interpolate(x, size=skips[-1].shape[2:]))  # to the finer level's size, odd ones too
        return x


def timestep_embedding(t: Tensor, width: int) -> Tensor:
    """Cosines, then sines, of t at `width` / 2 frequencies falling from 1 to 1/10000 (Vaswani et al. 2017, section 3.5).

    t (n,) of any dtype, fractions too; returns (n width) in float32.
    """
    half = width // 2
    frequencies = torch.exp(torch.arange(half, dtype=torch.float32, device=t.device) * (-math.log(10000) / half))
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def _res(config: UNetConfig, channels_in: int, channels: int) -> ResBlock:
    return ResBlock(channels_in, channels, config.time_width, config.norm_groups, EPS)


def _attention(config: UNetConfig, level: int) -> SpatialTransformer:
    return SpatialTransformer(
        config.channels[level],
        config.context_width,
        config.level_heads(level),
        config.norm_groups,
        config.linear_projection,
        config.level_only_cross(level),
    )
