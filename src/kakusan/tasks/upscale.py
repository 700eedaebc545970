"""Upscaling by latent diffusion: a picture drawn four times as large, with a model whose U-Net sees the small one (x4 upscaler).

Rombach et al. 2022, section 4.4; noise on the small picture as in Ho et al. 2021, "Cascaded Diffusion Models",
https://arxiv.org/abs/2106.15282, section 4.2.
"""

from dataclasses import dataclass
from math import hypot

import torch
from torch import Tensor

from ..types import Task
from .drawing import Drawing, drawn
from .variations import Seed, noise_of


@dataclass(frozen=True)
class Upscale:
    """One picture to be made larger. image: (3 h w, -1 to 1), as large as its latent.

    level: how much noise the small picture gets, a timestep of the model's second schedule; sigma: the same as standard deviation.
    """

    image: Tensor
    how: Drawing
    seed: Seed
    level: int
    sigma: float
    channels: int = 4


def upscale(request: Upscale) -> Task:
    """Noise the small picture a little, start from noise of its size, let the sampler remove it under guidance, decode."""
    noise = noise_of(request.seed)
    grain = noise.randn((1, *request.image.shape))[0]
    small = (request.image + request.sigma * grain) / hypot(1, request.sigma)  # 3 h w
    x = hypot(1, request.how.sigmas[0]) * noise.randn((1, request.channels, *request.image.shape[1:]))[0]
    return (yield from drawn(x, request.how, noise, beside=small, label=torch.tensor(float(request.level))))
