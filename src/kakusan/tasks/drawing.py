"""What every picture ends with: from a noisy latent and words to the picture, under guidance."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import hypot

from torch import Tensor

from .. import samplers
from ..guidance import composed, of_unet
from ..types import Noise, Sampler, Sigmas, Task, Work
from .conditions import Told, Words


@dataclass(frozen=True)
class Drawing:
    """How noise becomes a picture. words: what is drawn and avoided; scale: of guidance; options: the sampler's own."""

    words: Words
    sampler: str
    sigmas: Sigmas
    scale: float
    options: Mapping[str, float | str] = field(default_factory=dict)


def drawn(
    x: Tensor,
    how: Drawing,
    noise: Noise,
    beside: Tensor | None = None,
    label: Tensor | None = None,
    around: Callable[[Sampler], Sampler] | None = None,
) -> Task:
    """The picture that the sampler finds in `x` (c h w): `found`, decoded."""
    latent = yield from found(x, how, noise, beside, label, around)
    (image,) = yield Work("decode", [(latent,)])
    return image


def found(
    x: Tensor,
    how: Drawing,
    noise: Noise,
    beside: Tensor | None = None,
    label: Tensor | None = None,
    around: Callable[[Sampler], Sampler] | None = None,
) -> Task:
    """The latent (c h w) that the sampler finds in `x` (c h w), a clean latent plus noise of the first level.

    beside, label: what the network sees besides x and the words (`Cond`); around: a combinator, put between sampler and guidance.
    """
    told = Told(how.words, beside, label)
    yield from told.begin()
    sampler = samplers.sample(how.sampler, x[None], how.sigmas, noise, **how.options)
    guided = composed(around(sampler) if around else sampler, told, how.scale)
    latent = yield from of_unet(guided, {how.words.switch: told.turn} if how.words.switch else None)
    return latent[0] / hypot(1, how.sigmas[-1])  # schedules that stop above 0 end in the coordinates they begin in
