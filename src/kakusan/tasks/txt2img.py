"""Text to image: words in, picture out (Rombach et al. 2022, section 3)."""

from dataclasses import dataclass
from math import hypot

import torch

from .. import samplers
from ..guidance import guided, of_unet
from ..noise import SeededNoise
from ..types import Cond, Sigmas, Task, Work


@dataclass(frozen=True)
class Txt2Img:
    """One picture to be made. ids and negative_ids: token numbers (l); shape: of the latent (c h w); scale: of guidance."""

    ids: tuple[int, ...]
    negative_ids: tuple[int, ...]
    shape: tuple[int, int, int]
    sampler: str
    sigmas: Sigmas
    scale: float
    seed: int


def txt2img(request: Txt2Img) -> Task:
    """Start from noise, let the sampler remove it under guidance, decode what is left."""
    cond, uncond = yield Work("text", [(torch.tensor(request.ids),), (torch.tensor(request.negative_ids),)])
    noise = SeededNoise(request.seed)
    x = hypot(1, request.sigmas[0]) * noise.randn((1, *request.shape))  # variance-preserving start: x / hypot is a unit normal
    sampler = samplers.sample(request.sampler, x, request.sigmas, noise)
    latent = yield from of_unet(guided(sampler, Cond(cond), Cond(uncond), request.scale))
    latent = latent / hypot(1, request.sigmas[-1])  # schedules that stop above 0 end in the same coordinates
    (image,) = yield Work("decode", [(latent[0],)])
    return image
