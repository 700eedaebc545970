"""The autoencoder between pictures and latents, regularised by a KL term (Rombach et al. 2022, section 3.1, appendix G).

n images, c channels, h w height and width of a latent, H W of a picture: `factor` times as large.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import Attention, ResBlock, activated, picture, pixels

EPS = 1e-6


@dataclass(frozen=True)
class AutoencoderConfig:
    """The shape of an autoencoder; the defaults are SD1's and SD2's. channels: one entry a level, finest first.

    scale: what latents are multiplied by to have unit variance for the U-Net; the autoencoder itself never applies it.
    sample_size: height of the pictures trained on. Raises ValueError if norm_groups does not divide the channels.
    """

    channels_in: int = 3
    latent_channels: int = 4
    channels: tuple[int, ...] = (128, 256, 512, 512)
    blocks: int = 2
    norm_groups: int = 32
    sample_size: int = 512
    scale: float = 0.18215

    def __post_init__(self) -> None:
        if self.norm_groups < 1 or any(c < 1 or c % self.norm_groups for c in self.channels):
            raise ValueError(f"channels {self.channels} are not all multiples of norm_groups {self.norm_groups}")


class Autoencoder(nn.Module):
    """Pictures (n 3 H W, -1 to 1) to latents (n c h w, not scaled) and back."""

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.moments = nn.Conv2d(2 * config.latent_channels, 2 * config.latent_channels, 1)
        self.unmoments = nn.Conv2d(config.latent_channels, config.latent_channels, 1)
        self.decoder = Decoder(config)

    @property
    def factor(self) -> int:
        """How many pixels wide and high one latent pixel is."""
        return 1 << (len(self.config.channels) - 1)

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance (n c h w each) of the latents of `image` (n 3 H W, -1 to 1), which are normally distributed."""
        mean, logvar = self.moments(self.encoder(image)).chunk(2, dim=1)
        return mean, logvar.clamp(-30.0, 20.0)

    def decode(self, latent: Tensor) -> Tensor:
        """Pictures (n 3 H W, about -1 to 1) of latents (n c h w, not scaled)."""
        image: Tensor = self.decoder(self.unmoments(latent))
        return image

    def forward(self, image: Tensor) -> Tensor:
        """The picture as it comes back through the mean of its latents."""
        return self.decode(self.encode(image)[0])


class Encoder(nn.Module):
    """Convolutions from pictures to twice the latent channels, halving the size after every level but the last."""

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        channels = config.channels
        self.conv_in = nn.Conv2d(config.channels_in, channels[0], 3, padding=1)
        self.down = nn.ModuleList()
        for i, c in enumerate(channels):
            first = channels[max(i - 1, 0)]
            shrink = nn.Conv2d(c, c, 3, stride=2) if i < len(channels) - 1 else None
            self.down.append(Level(first, c, config.blocks, config.norm_groups, shrink=shrink))
        self.mid = Middle(channels[-1], config.norm_groups)
        self.norm_out = nn.GroupNorm(config.norm_groups, channels[-1], EPS)
        self.conv_out = nn.Conv2d(channels[-1], 2 * config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Moments (n 2c h w) of pictures (n 3 H W), before the last 1x1 convolution."""
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        x = self.conv_out(activated(self.norm_out(self.mid(x))))
        return x


class Decoder(nn.Module):
    """Convolutions from latents to pictures, doubling the size after every level but the last."""

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        channels = config.channels[::-1]
        self.conv_in = nn.Conv2d(config.latent_channels, channels[0], 3, padding=1)
        self.mid = Middle(channels[0], config.norm_groups)
        self.up = nn.ModuleList()
        for i, c in enumerate(channels):
            first = channels[max(i - 1, 0)]
            grow = nn.Conv2d(c, c, 3, padding=1) if i < len(channels) - 1 else None
            self.up.append(Level(first, c, config.blocks + 1, config.norm_groups, grow=grow))
        self.norm_out = nn.GroupNorm(config.norm_groups, channels[-1], EPS)
        self.conv_out = nn.Conv2d(channels[-1], config.channels_in, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (n 3 H W) of latents (n c h w)."""
        x = self.mid(self.conv_in(x))
        for level in self.up:
            x = level(x)
        x = self.conv_out(activated(self.norm_out(x)))
        return x


class Level(nn.Module):
    """Residual blocks at one resolution, then halving (encoder) or doubling it (decoder)."""

    def __init__(
        self, channels_in: int, channels: int, blocks: int, groups: int, shrink: nn.Conv2d | None = None, grow: nn.Conv2d | None = None
    ):
        super().__init__()
        self.res = nn.ModuleList(ResBlock(channels_in if j == 0 else channels, channels, 0, groups, EPS) for j in range(blocks))
        self.shrink = shrink
        self.grow = grow

    def forward(self, x: Tensor) -> Tensor:
        """Features (n c h w), half or twice as high and wide."""
        for res in self.res:
            x = res(x)
        if self.shrink is not None:
            x = self.shrink(F.pad(x, (0, 1, 0, 1)))  # one pixel more on the right and below
        if self.grow is not None:
            x = self.grow(F.interpolate(x, scale_factor=2.0))
        return x


class Middle(nn.Module):
    """Self-attention of one head between two residual blocks, at the coarsest resolution."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.res = nn.ModuleList(ResBlock(channels, channels, 0, groups, EPS) for _ in range(2))
        self.norm = nn.GroupNorm(groups, channels, EPS)
        self.attn = Attention(channels, channels, heads=1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Features (n c h w) of the same shape."""
        x = self.res[0](x)
        x = x + picture(self.attn(pixels(self.norm(x))), x)
        x = self.res[1](x)
        return x
