"""Blocks that the U-Net and the autoencoder share.

n images, c channels, h w height and width, l tokens (pixels of a picture, or words), k heads, d width of a head.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResBlock(nn.Module):
    """Two 3x3 convolutions with a way round them (He et al. 2015), shifted by the noise level (Ho et al. 2020, appendix B).

    channels_time: width of the noise level's embedding; 0 for a block that knows none (the autoencoder's).
    """

    def __init__(self, channels_in: int, channels: int, channels_time: int, groups: int, eps: float):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels_in, eps)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.time = nn.Linear(channels_time, channels) if channels_time else None
        self.norm2 = nn.GroupNorm(groups, channels, eps)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.skip = nn.Conv2d(channels_in, channels, 1) if channels_in != channels else None

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """Features (n c' h w) of features (n c h w) and the noise level's embedding (n t)."""
        y: Tensor = self.conv1(activated(self.norm1(x)))  # n c' h w
        if self.time is not None and time is not None:
            y = y + self.time(F.silu(time))[:, :, None, None]
        y = self.conv2(activated(self.norm2(y)))
        return (x if self.skip is None else self.skip(x)) + y


class Attention(nn.Module):
    """Scaled dot-product attention (Vaswani et al. 2017, section 3.2): of tokens to themselves, or to a context."""

    def __init__(self, channels: int, channels_context: int, heads: int, bias: bool = False):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=bias)
        self.to_k = nn.Linear(channels_context, channels, bias=bias)
        self.to_v = nn.Linear(channels_context, channels, bias=bias)
        self.to_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, context: Tensor | None = None, causal: bool = False, seen: Tensor | None = None) -> Tensor:
        """What each token of x (n l c) finds in the context (n l' c') or in x itself.

        causal: only in tokens before it and in itself. seen: only in those marked true (n l').
        """
        source = x if context is None else context
        q, k, v = (self._by_head(y) for y in (self.to_q(x), self.to_k(source), self.to_v(source)))  # n k l d
        mask = None if seen is None else seen[:, None, None].expand(-1, 1, x.shape[1], -1)  # n 1 l l'
        if mask is not None and causal:
            mask = mask.tril()
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal and mask is None)
        out: Tensor = self.to_out(y.transpose(1, 2).flatten(2))  # n l c
        return out

    def _by_head(self, x: Tensor) -> Tensor:  # n l c -> n k l d
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)


class TransformerBlock(nn.Module):
    """Self-attention, attention to the text, and a gated feed-forward layer, each added to its normalised input.

    Rombach et al. 2022, section 3.3 and table 16; the gate is GEGLU (Shazeer 2020, equation 6).
    only_cross: the first attention looks at the text as well (x4 upscaler).
    """

    def __init__(self, channels: int, channels_context: int, heads: int, only_cross: bool = False):
        super().__init__()
        self.only_cross = only_cross
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = Attention(channels, channels_context if only_cross else channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = Attention(channels, channels_context, heads)
        self.norm3 = nn.LayerNorm(channels)
        self.ff_in = nn.Linear(channels, 8 * channels)
        self.ff_out = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Tokens of a picture (n hw c) that have seen one another and the text (n l c')."""
        x = x + self.attn1(self.norm1(x), context if self.only_cross else None)
        x = x + self.attn2(self.norm2(x), context)
        value, gate = self.ff_in(self.norm3(x)).chunk(2, dim=-1)  # n hw 4c each
        x = x + self.ff_out(F.gelu(gate).mul_(value))
        return x


class SpatialTransformer(nn.Module):
    """A transformer block over the pixels of a feature map (Rombach et al. 2022, section 3.3).

    linear: the projections round the block are linear layers (SD2) instead of 1x1 convolutions (SD1); they compute the same.
    """

    def __init__(self, channels: int, channels_context: int, heads: int, groups: int, linear: bool, only_cross: bool):
        super().__init__()
        self.linear = linear
        self.norm = nn.GroupNorm(groups, channels, 1e-6)
        self.proj_in = nn.Linear(channels, channels) if linear else nn.Conv2d(channels, channels, 1)
        self.block = TransformerBlock(channels, channels_context, heads, only_cross)
        self.proj_out = nn.Linear(channels, channels) if linear else nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """A feature map (n c h w) whose pixels have seen one another and the text (n l c')."""
        y: Tensor = self.norm(x)
        y = self.proj_in(pixels(y)) if self.linear else pixels(self.proj_in(y))  # n hw c
        y = self.block(y, context)
        y = picture(self.proj_out(y), x) if self.linear else self.proj_out(picture(y, x))  # n c h w
        return x + y


def activated(normed: Tensor) -> Tensor:
    """SiLU of what a norm has just made (Elfwing et al. 2017), in its place: a fresh buffer costs more than the arithmetic."""
    return F.silu(normed, inplace=True)


def pixels(x: Tensor) -> Tensor:
    """A feature map (n c h w) as tokens (n hw c), each in one piece of memory: all that follows goes over them many times."""
    return x.flatten(2).transpose(1, 2).contiguous()


def picture(tokens: Tensor, like: Tensor) -> Tensor:
    """Tokens (n hw c) as a feature map (n c h w) of the shape and memory format of `like`."""
    last = like.is_contiguous(memory_format=torch.channels_last)
    return tokens.transpose(1, 2).reshape(like.shape).contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
