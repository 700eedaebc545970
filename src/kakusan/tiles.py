"""Large pictures through an autoencoder, in memory that does not grow with them.

The coarsest level, whose attention looks at all of the picture, runs in one piece; it is small. The finer levels, which are
convolutions and norms, run tile by tile, each tile with a margin as wide as the convolutions reach: tiles that are cut off there fit
without a seam, and need no blending. What ties distant places together at the finer levels are the statistics of the norms; all
tiles share them, as measured beforehand on patches from all over the picture. Pictures beyond REGION are cut into regions that
overlap and are blended linearly.

n pictures, c channels, h w height and width of a latent, H W of a picture, k patches.
"""

import math
from collections.abc import Callable, Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .models.autoencoder import Autoencoder, AutoencoderConfig, Level
from .models.blocks import Attention, activated
from .models.twins import twin
from .spans import Span, spans, windows

WHOLE = 768 * 768
"""Pixels of the largest picture that is coded in one piece."""
TILE = 512
"""Height and width in pixels of a tile with its margin."""
REGION, OVERLAP = 256, 32
"""Height and width in latent pixels of a region, all of whose places look at each other; least overlap of regions."""
SAMPLES, PATCH, EDGE = 8, 8, 0.25
"""How often as many patches are measured as a tile holds; a patch's side in latent pixels; how much of it does not count."""
QUERIES = 1024


class Tiled:
    """An autoencoder for pictures of any size: `decode` and `encode` as its own, row by row where they are large."""

    def __init__(self, autoencoder: Autoencoder, whole: int = WHOLE, tile: int = TILE, region: int = REGION, overlap: int = OVERLAP):
        self.plain, self.factor, self.whole = autoencoder, autoencoder.factor, whole
        self.tile, self.region, self.overlap = tile // autoencoder.factor, region, overlap
        self._sharing: Autoencoder | None = None

    def cuts(self, height: int, width: int) -> bool:
        """Whether a picture of that size is coded in tiles."""
        return height * width > self.whole and height % self.factor == 0 and width % self.factor == 0

    def decode(self, latent: Tensor) -> Tensor:
        """Pictures (n 3 H W) of latents (n c h w)."""
        if not self.cuts(latent.shape[2] * self.factor, latent.shape[3] * self.factor):
            return self.plain.decode(latent)
        return torch.cat([self._by_regions(self._decoded, row[None], 1, self.factor) for row in latent])

    def encode(self, image: Tensor) -> Tensor:
        """Mean and log variance (2 n c h w) of the latents of pictures (n 3 H W)."""
        if not self.cuts(image.shape[2], image.shape[3]):
            return torch.stack(self.plain.encode(image))
        moments = torch.cat([self._by_regions(self._encoded, row[None], self.factor, 1) for row in image])
        mean, logvar = moments.chunk(2, dim=1)
        return torch.stack([mean, logvar.clamp(-30.0, 20.0)])

    def _by_regions(self, coded: Callable[[Tensor], Tensor], x: Tensor, given: int, made: int) -> Tensor:
        """What `coded` makes of x, blended from regions. given, made: how many pixels a latent pixel is wide before and after."""
        rows, columns = (spans(side // given, self.region, self.overlap) for side in x.shape[2:])
        if len(rows) == len(columns) == 1:
            return coded(x)
        downs, acrosses = (windows(ends[-1].stop * made, self.region * made, self.overlap * made) for ends in (rows, columns))
        out: Tensor | None = None
        for row, down in zip(rows, downs, strict=True):
            for column, across in zip(columns, acrosses, strict=True):
                part = coded(cut(x, row, column, given))
                part *= down.share.to(part)[:, None] * across.share.to(part)
                if out is None:
                    out = part.new_zeros(1, part.shape[1], rows[-1].stop * made, columns[-1].stop * made)
                cut(out, row, column, made).add_(part)
        assert out is not None
        return out

    def _decoded(self, latent: Tensor) -> Tensor:
        """A picture (1 3 H W): the coarsest level whole, the others by tiles."""
        net = self._network()
        decoder = net.decoder
        first = cast(Level, decoder.up[0])
        coarse = decoder.mid(decoder.conv_in(net.unmoments(latent)))  # 1 c h w
        for res in first.res:
            coarse = res(coarse)

        def finer(x: Tensor) -> Tensor:
            x = x if first.grow is None else first.grow(F.interpolate(x, scale_factor=2.0))
            for level in decoder.up[1:]:
                x = level(x)
            x = decoder.conv_out(activated(decoder.norm_out(x)))
            return x

        norms = finer_norms(decoder.up[1:], decoder.norm_out)
        return self._by_tiles(finer, coarse, (1, self.factor), reach(net.config, 2 * net.config.blocks + 3), norms)

    def _encoded(self, image: Tensor) -> Tensor:
        """Moments (1 2c h w) of a picture: the finer levels by tiles, the coarsest whole."""
        net = self._network()
        encoder = net.encoder

        def finer(x: Tensor) -> Tensor:
            x = encoder.conv_in(x)
            for level in encoder.down[:-1]:
                x = level(x)
            return x

        norms = finer_norms(encoder.down[:-1])
        coarse = self._by_tiles(finer, image, (self.factor, 1), reach(net.config, 2 * net.config.blocks + 2), norms)
        x = encoder.mid(encoder.down[-1](coarse))
        out: Tensor = net.moments(encoder.conv_out(activated(encoder.norm_out(x))))
        return out

    def _by_tiles(
        self, finer: Callable[[Tensor], Tensor], x: Tensor, factors: tuple[int, int], margin: int, norms: "list[SharedNorm]"
    ) -> Tensor:
        """What `finer` makes of x (1 c' h' w'), tile by tile, once the norms have measured all of it.

        factors: how many pixels a latent pixel is wide before and after; margin: latent pixels beyond which a place sees nothing.
        """
        given, made = factors
        for norm in norms:
            norm.measured = []
        for patches in sampled(x, given, self.tile):
            finer(patches)
        for norm in norms:
            norm.settle()
        height, width = (side // given for side in x.shape[2:])
        out: Tensor | None = None
        for row in spans(height, self.tile - 2 * margin, 0):
            for column in spans(width, self.tile - 2 * margin, 0):
                above, left = max(row.start - margin, 0), max(column.start - margin, 0)
                wide = Span(above, min(row.stop + margin, height)), Span(left, min(column.stop + margin, width))
                part = finer(cut(x, *wide, given))
                if out is None:
                    out = part.new_empty(1, part.shape[1], height * made, width * made)
                inner = Span(row.start - above, row.stop - above), Span(column.start - left, column.stop - left)
                cut(out, row, column, made).copy_(cut(part, *inner, made))
        assert out is not None
        return out

    def _network(self) -> Autoencoder:
        """The autoencoder over the same weights whose finer norms can share statistics, and whose attention needs little memory."""
        if self._sharing is None:
            made = twin(self.plain, _share)
            assert isinstance(made, Autoencoder)
            self._sharing = made
        return self._sharing


class SharedNorm(nn.GroupNorm):
    """A group norm (Wu and He 2018) with statistics of more than it is given: first it measures, later it uses what it measured.

    measured: mean and mean square of each group (groups) of all rows together, once for each call while it measures; None afterwards.
    """

    measured: list[Tensor] | None = None
    settled: Tensor | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Features (n c h w), normalised by what was measured, or, while it measures, by the statistics of all rows."""
        if self.measured is not None:
            edge = int(EDGE * input.shape[2])  # where the end of the patch is felt, which is none of the picture's
            inner = input[:, :, edge : input.shape[2] - edge, edge : input.shape[3] - edge]
            groups = inner.float().reshape(len(inner), self.num_groups, -1)  # n groups l
            self.measured.append(torch.stack([groups.mean((0, 2)), groups.square().mean((0, 2))]))
            return self._normed(input, self.measured[-1])
        return super().forward(input) if self.settled is None else self._normed(input, self.settled)

    def settle(self) -> None:
        """From now on use the mean of what was measured."""
        assert self.measured
        self.settled, self.measured = torch.stack(self.measured).mean(0), None

    def _normed(self, x: Tensor, moments: Tensor) -> Tensor:
        mean, square = (part.repeat_interleave(self.num_channels // self.num_groups) for part in moments)
        slope = self.weight.float() * (square - mean.square()).clamp_min(0).add(self.eps).rsqrt()
        shift = self.bias.float() - mean * slope
        return torch.addcmul(shift.to(x)[:, None, None], x, slope.to(x)[:, None, None])


class SlicedAttention(Attention):
    """Self-attention of one head whose memory grows with the number of tokens, not with its square, on any device."""

    def forward(self, x: Tensor, context: Tensor | None = None, causal: bool = False, seen: Tensor | None = None) -> Tensor:
        """What each token of x (n l c) finds in x itself."""
        k, v = self.to_k(x), self.to_v(x)
        out = torch.cat([F.scaled_dot_product_attention(self.to_q(part), k, v) for part in torch.split(x, QUERIES, dim=1)], dim=1)
        found: Tensor = self.to_out(out)
        return found


def finer_norms(levels: nn.ModuleList, *more: nn.Module) -> list[SharedNorm]:
    """The norms that see only tiles."""
    return [m for part in (*levels, *more) for m in part.modules() if isinstance(m, SharedNorm)]


def cut(x: Tensor, row: Span, column: Span, factor: int = 1) -> Tensor:
    """A part of x (n c H W), as a view; spans in units of `factor` pixels."""
    return x[:, :, row.start * factor : row.stop * factor, column.start * factor : column.stop * factor]


def sampled(x: Tensor, given: int, tile: int) -> Iterator[Tensor]:
    """Batches of patches (k c p p) from all over x (1 c h w), each batch as large as a tile; the same ones every time.

    given: how many pixels of x a latent pixel is wide; tile: in latent pixels.
    """
    height, width = (side // given for side in x.shape[2:])
    patch = min(PATCH, height, width)
    across = max(tile // patch, 1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(SAMPLES):
        within = torch.rand(across, across, 2, generator=generator).tolist()  # one patch somewhere in each field of a grid
        corners = [
            (int((i + within[i][j][0]) / across * (height - patch + 1)), int((j + within[i][j][1]) / across * (width - patch + 1)))
            for i in range(across)
            for j in range(across)
        ]
        yield torch.cat([cut(x, Span(top, top + patch), Span(left, left + patch), given) for top, left in corners])


def reach(config: AutoencoderConfig, convolutions: int) -> int:
    """How far the finer levels see, in latent pixels, rounded up. convolutions: 3x3 ones at each of them."""
    finer = len(config.channels) - 1
    return math.ceil(sum(convolutions / (1 << level) for level in range(1, finer + 1)) + 1 / (1 << finer))


def _share(module: nn.Module) -> None:
    if isinstance(module, nn.GroupNorm):
        module.__class__ = SharedNorm
    elif isinstance(module, Attention):
        module.__class__ = SlicedAttention
