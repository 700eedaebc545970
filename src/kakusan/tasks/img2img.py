"""Image to image: a picture is noised in part, and drawn anew from there (SDEdit, Meng et al. 2022).

https://arxiv.org/abs/2108.01073, in the latent space of the autoencoder.
"""

from dataclasses import dataclass
from math import hypot

import torch.nn.functional as F
from torch import Tensor

from ..types import Task, Work
from .drawing import Drawing, drawn
from .variations import Seed, noise_of


@dataclass(frozen=True)
class Img2Img:
    """One picture to be drawn anew. image: (3 H W, -1 to 1).

    how.sigmas: the levels that strength leaves: `schedules.strength(levels, strength)` as diffusers counts.
    noised_to: the level the latent is noised to, how.sigmas[0] if None. Stable Diffusion's own script noises it one level further
    than it begins to remove, and only shrinks the result to the size that x has at how.sigmas[0].
    size: height and width the latent is stretched to first, its own if None.
    """

    image: Tensor
    how: Drawing
    seed: Seed
    noised_to: float | None = None
    size: tuple[int, int] | None = None


def img2img(request: Img2Img) -> Task:
    """Encode, draw the latent from its distribution, add noise, let the sampler remove it under guidance, decode."""
    noise = noise_of(request.seed)
    moments = yield from encoded(request.image)
    latent = sampled(moments, noise.posterior((1, *moments[0].shape))[0])
    if request.size not in (None, tuple(latent.shape[1:])):
        latent = F.interpolate(latent[None], request.size, mode="bilinear", align_corners=False)[0]
    x = noised(latent, noise.randn((1, *latent.shape))[0], request.noised_to, request.how.sigmas[0])
    return (yield from drawn(x, request.how, noise))


def encoded(image: Tensor) -> Task:
    """Mean and log variance (2 c h w) of the latents of `image` (3 H W, -1 to 1)."""
    (moments,) = yield Work("encode", [(image,)])
    return moments


def sampled(moments: Tensor, noise: Tensor) -> Tensor:
    """A latent (c h w) of the distribution with these moments (2 c h w); noise: standard normal (c h w)."""
    mean, logvar = moments.unbind()
    return mean + (logvar / 2).exp() * noise


def noised(latent: Tensor, noise: Tensor, to: float | None, sigma: float) -> Tensor:
    """`latent` (c h w) with noise of level `to`, in the size that x has at level `sigma`; the same level if `to` is None."""
    return latent + sigma * noise if to is None else hypot(1, sigma) / hypot(1, to) * (latent + to * noise)
