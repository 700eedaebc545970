"""What every picture ends with: from a noisy latent and words to the picture, under guidance."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import hypot

import torch
from torch import Tensor

from .. import samplers
from ..guidance import guided, of_unet
from ..types import Cond, Noise, Sampler, Sigmas, Task, Work


@dataclass(frozen=True)
class Drawing:
    """How noise becomes a picture. ids and negative_ids: token numbers (l); scale: of guidance; options: the sampler's own."""

    ids: tuple[int, ...]
    negative_ids: tuple[int, ...]
    sampler: str
    sigmas: Sigmas
    scale: float
    options: Mapping[str, float] = field(default_factory=dict)


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
    states = yield Work("text", [(torch.tensor(how.ids),), (torch.tensor(how.negative_ids),)])
    cond, uncond = (Cond(state, beside, label) for state in states)
    sampler = samplers.sample(how.sampler, x[None], how.sigmas, noise, **how.options)
    latent = yield from of_unet(guided(around(sampler) if around else sampler, cond, uncond, how.scale))
    return latent[0] / hypot(1, how.sigmas[-1])  # schedules that stop above 0 end in the coordinates they begin in
