"""Inpainting: a part of a picture is painted anew, the rest comes back bit for bit."""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ..masking import filled, masked, rejoined
from ..noise import SeededNoise
from ..types import Task
from .drawing import Drawing, drawn
from .img2img import encoded, noised, sampled
from .recipe import Fill
from .variations import Seed, noise_of


@dataclass(frozen=True)
class Inpaint:
    """One picture to be painted anew in part. image: (3 H W, -1 to 1).

    mask: (1 H W) from 0, kept as it is, to 1, painted anew; between, how strongly (an inpainting model takes 0.5 and more as 1).
    factor: pixels a latent pixel is wide. whole: start from noise alone, if how.sigmas starts at full noise.
    """

    image: Tensor
    mask: Tensor
    how: Drawing
    seed: Seed
    factor: int
    fill: Fill = "original"
    whole: bool = False


def inpaint(request: Inpaint) -> Task:
    """With any model: at every step it is told what it must not change (`masking.masked`)."""
    noise = noise_of(request.seed)
    known = yield from _known(request, noise)
    change = F.max_pool2d(request.mask[None], request.factor)  # 1 1 h w: a latent pixel with anything to paint is painted
    x = noised(known, noise.randn((1, *known.shape))[0], None, request.how.sigmas[0])
    around = partial(masked, known=known[None], change=change, sigmas=request.how.sigmas)
    painted = yield from drawn(x, request.how, noise, around=around)
    return rejoined(painted, request.image, request.mask, request.factor)


def inpaint_seeing(request: Inpaint) -> Task:
    """With an inpainting model, whose U-Net sees the mask and what is left of the picture (Rombach et al. 2022, section 4.5)."""
    noise, sigma = noise_of(request.seed), request.how.sigmas[0]
    hidden = request.mask >= 0.5
    if request.whole:
        size = (request.image.shape[1] // request.factor, request.image.shape[2] // request.factor)
        (x,) = noise.first((1, 4, *size), sigma)
    else:
        known = yield from _known(request, noise)
        x = noised(known, noise.randn((1, *known.shape))[0], None, sigma)
    moments = yield from encoded(torch.where(hidden, 0.0, request.image))
    rest = sampled(moments, noise.posterior((1, *x.shape))[0])
    seen = F.interpolate(hidden.float()[None], size=x.shape[1:])[0]  # 1 h w
    painted = yield from drawn(x, request.how, noise, beside=torch.cat([seen, rest]))
    return rejoined(painted, request.image, request.mask, request.factor)


def _known(request: Inpaint, noise: SeededNoise) -> Task:
    """The latent (c h w) of the picture, with what is to lie under the mask."""
    image = filled(request.image, request.mask > 0) if request.fill == "fill" else request.image
    moments = yield from encoded(image)
    known = sampled(moments, noise.posterior((1, *moments[0].shape))[0])
    if request.fill in ("noise", "nothing"):
        hidden = F.max_pool2d(request.mask, request.factor) > 0
        known = torch.where(hidden, noise.randn((1, *known.shape))[0] if request.fill == "noise" else 0.0, known)
    return known
