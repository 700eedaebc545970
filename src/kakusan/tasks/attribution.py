"""Attribution: which part of a picture answers to some words, as the U-Net sees it while it takes noise off the picture.

h w height and width of the latent, H W of the picture, c channels, l text tokens.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..noise import SeededNoise
from ..types import Cond, Task, Work
from .depth2img import shown
from .img2img import encoded

SIGMAS = (6.0, 3.0, 1.7, 1.0)
"""Noise levels at which what a thing is has to be told from the words: most of the picture is hidden, its outlines are not."""


@dataclass(frozen=True)
class Attribution:
    """image: (3 H W, -1 to 1). ids: tokens of the words (l); without: of no words. variant: of the model (`Model.variant`)."""

    image: Tensor
    ids: tuple[int, ...]
    without: tuple[int, ...]
    seed: int
    variant: str = ""
    sigmas: tuple[float, ...] = SIGMAS


def attribution(request: Attribution) -> Task:
    """Two maps (2 h w), each from 0 to 1: how much a place looks at the words, and how much they change what is seen there.

    "attention" is a network like "unet" whose rows are the denoised latent and, after it, its attention to each token (c + l h w).
    The first map is Tang et al. 2022, "What the DAAM", https://arxiv.org/abs/2210.04885, with one difference: it counts the words and
    all tokens after them. In a causal text tower those have read the words; the first token alone has not, and what has nothing to
    do with the words looks there. The second is Couairon et al. 2022, "DiffEdit", https://arxiv.org/abs/2210.11427, section 3.2.
    """
    noise = SeededNoise(request.seed)
    moments = yield from encoded(request.image)
    beside = yield from _beside(request, moments.shape[2:])
    states = yield Work("text", [(torch.tensor(request.ids),), (torch.tensor(request.without),)])
    conds = [Cond(state, None if request.variant == "" else beside) for state in states]
    latent = moments[0]
    looks, changes = torch.zeros(latent.shape[1:]), torch.zeros(latent.shape[1:])
    for sigma in request.sigmas:
        x = latent + sigma * noise.randn((1, *latent.shape))[0]
        seen, unseen = yield Work("attention", [(x, sigma, cond) for cond in conds])
        looks += seen[len(latent) + 1 :].sum(0)
        change = (seen - unseen)[: len(latent)].abs().mean(0)
        changes += change / change.mean().clamp_min(1e-12)
    return torch.stack([spread(looks), spread(changes)])


def spread(x: Tensor) -> Tensor:
    """x, moved and scaled to reach from 0 to 1; zeros if it is the same everywhere."""
    low, high = x.min(), x.max()
    return (x - low) / (high - low).clamp_min(1e-12)


def _beside(request: Attribution, size: tuple[int, ...]) -> Task:
    """What the network of a variant sees beside the latent (b h w): everything hidden, or the picture's depth."""
    if request.variant == "inpainting":
        rest = yield from encoded(torch.zeros_like(request.image))
        return torch.cat([torch.ones(1, *size), rest[0]])
    if request.variant == "depth":
        (depth,) = yield Work("depth", [(request.image,)])
        return shown(depth, size)
    return torch.zeros(0, *size)
