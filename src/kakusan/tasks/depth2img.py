"""Depth to image: a picture drawn anew that keeps the depth of another, with a model whose U-Net sees depth (SD2's depth model)."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from ..types import Task, Work
from .drawing import Drawing, drawn
from .img2img import encoded, noised, sampled
from .variations import Seed, noise_of


@dataclass(frozen=True)
class Depth2Img:
    """One picture to be drawn anew. image: (3 H W, -1 to 1); depth: (h' w'), larger is nearer, None to have it estimated.

    noised_to: as in `Img2Img`.
    """

    image: Tensor
    how: Drawing
    seed: Seed
    depth: Tensor | None = None
    noised_to: float | None = None


def depth2img(request: Depth2Img) -> Task:
    """As image to image, the depth beside the latent at every step."""
    depth = request.depth
    if depth is None:
        (depth,) = yield Work("depth", [(request.image,)])
    noise = noise_of(request.seed)
    moments = yield from encoded(request.image)
    latent = sampled(moments, noise.posterior((1, *moments[0].shape))[0])
    x = noised(latent, noise.randn((1, *latent.shape))[0], request.noised_to, request.how.sigmas[0])
    return (yield from drawn(x, request.how, noise, beside=shown(depth, latent.shape[1:])))


def shown(depth: Tensor, size: tuple[int, ...]) -> Tensor:
    """Depth as the U-Net sees it: (1 h w), from -1 for the farthest to 1 for the nearest place."""
    d = F.interpolate(depth[None, None], size=size, mode="bicubic", align_corners=False)[0]
    low, high = d.min(), d.max()
    return 2 * (d - low) / (high - low + 1e-3 * (high == low)) - 1
