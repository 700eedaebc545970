"""Text to image: words in, picture out (Rombach et al. 2022, section 3)."""

from dataclasses import dataclass
from math import hypot

from ..types import Sigmas, Task
from .conditions import Words
from .drawing import Drawing, drawn
from .variations import Seed, noise_of


@dataclass(frozen=True)
class Txt2Img:
    """One picture to be made. words: what is drawn and avoided; shape: of the latent (c h w); scale: of guidance."""

    words: Words
    shape: tuple[int, int, int]
    sampler: str
    sigmas: Sigmas
    scale: float
    seed: Seed


def txt2img(request: Txt2Img) -> Task:
    """Start from noise, let the sampler remove it under guidance, decode what is left."""
    noise = noise_of(request.seed)
    (start,) = noise.randn((1, *request.shape))
    x = hypot(1, request.sigmas[0]) * start  # variance-preserving start: x / hypot is a unit normal
    how = Drawing(request.words, request.sampler, request.sigmas, request.scale)
    return (yield from drawn(x, how, noise))
