"""Text to image: words in, picture out (Rombach et al. 2022, section 3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..types import Sigmas, Task
from .conditions import Words
from .drawing import Drawing, drawn
from .variations import Seed, noise_of


@dataclass(frozen=True)
class Txt2Img:
    """One picture to be made. words: what is drawn and avoided; shape: of the latent (c h w); scale: of guidance.

    options: the sampler's own.
    """

    words: Words
    shape: tuple[int, int, int]
    sampler: str
    sigmas: Sigmas
    scale: float
    seed: Seed
    options: Mapping[str, float | str] = field(default_factory=dict)


def txt2img(request: Txt2Img) -> Task:
    """Start from noise, let the sampler remove it under guidance, decode what is left."""
    noise = noise_of(request.seed)
    (x,) = noise.first((1, *request.shape), request.sigmas[0])
    how = Drawing(request.words, request.sampler, request.sigmas, request.scale, request.options)
    return (yield from drawn(x, how, noise))
