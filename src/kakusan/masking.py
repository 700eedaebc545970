"""Repainting a part of a picture with any model and any sampler: what is kept stays what it was, at every noise level.

n images, c channels, h w height and width of a latent.
"""

from math import hypot

import torch
import torch.nn.functional as F
from torch import Tensor

from .types import Evaluate, Prediction, Sampler, Sigmas

FAINT = 0.2
"""More than autoencoders are off in colour, of the range -1 to 1."""


def masked(sampler: Sampler, known: Tensor, change: Tensor, sigmas: Sigmas) -> Sampler:
    """The sampler, told wherever the picture is kept that what lies under the noise is `known` (n c h w).

    change (n 1 h w): 0 keeps, 1 repaints; what lies between is the strength with which a place is repainted: it is kept for the
    first 1 - change of the steps (Levin and Fried 2023, "Differential Diffusion", https://arxiv.org/abs/2306.00950, section 3).
    sigmas: the sampler's own levels, to tell how far it has come.
    The answers are blended, not x: the noise in x and the history of multistep samplers stay of one piece. x has to start as
    `known` plus noise. Kept places end as `known`, in the size that x has at the last level.
    """
    try:
        x, sigma = next(sampler)
        while True:
            keep = change < left(sigma, sigmas)
            denoised, uncond = yield Evaluate(x, sigma)
            blended = torch.where(keep, known, denoised)
            x, sigma = sampler.send(Prediction(blended, None if uncond is None else torch.where(keep, known, uncond)))
    except StopIteration as stop:
        result: Tensor = stop.value
        return torch.where(change > 0, result, hypot(1, sigmas[-1]) * known)


def left(sigma: float, sigmas: Sigmas) -> float:
    """Which part of the steps is not over yet at a noise level: 1 within the first of n steps, 1 / n within the last."""
    steps = len(sigmas) - 1
    begun = sum(level >= sigma for level in sigmas[:-1])
    return min(steps - begun + 1, steps) / steps


def rejoined(painted: Tensor, image: Tensor, mask: Tensor, reach: int = 0) -> Tensor:
    """What was painted (3 h w), with the picture's own pixels wherever `mask` (1 h w) is 0, and no step of colour between.

    An autoencoder gives every picture back a little off in colour; what it is off where the picture is known is spread smoothly
    into the painted part, and taken off there, up to FAINT: more than that was meant. Where the mask is below a quarter the two are
    blended. reach: pixels, the width of a latent pixel, within which what was painted fades in from the colours round the mask.
    """
    known = mask == 0
    off = filled(torch.where(known, image - painted, 0.0), ~known).clamp(-FAINT, FAINT)
    round_it = relaxed(filled(torch.where(known, image, 0.0), ~known), ~known, 4 * reach)
    part = torch.lerp(round_it, painted + off, inwards(~known, reach)).clamp(-1, 1)
    return torch.where(known, image, torch.lerp(image, part, (4 * mask).clamp(max=1)))


def inwards(hole: Tensor, reach: int) -> Tensor:
    """How far inside a hole (1 h w, bool) each place is: smoothly from 0 outside to 1 `reach` pixels in, or midway where it is narrower."""
    left = hole.float()
    depth = left.clone()
    for _ in range(reach):
        left = -F.max_pool2d(-left, 3, 1, 1)  # a pixel less on every side, but not at the picture's edge, where it goes on unseen
        depth += left
    depth /= F.max_pool2d(depth, 2 * reach + 1, 1, reach).clamp_min(1e-6)
    return depth * depth * (3 - 2 * depth)


def relaxed(x: Tensor, hole: Tensor, rounds: int) -> Tensor:
    """x (c h w) with every place in the hole (1 h w, bool) made the mean of its neighbours, some times over: no step at its edge."""
    for _ in range(rounds):
        x = torch.where(hole, F.avg_pool2d(F.pad(x[None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0], x)
    return x


def filled(x: Tensor, hole: Tensor) -> Tensor:
    """x (c h w) with the hole (1 h w, bool) filled smoothly from round it; zeros if there is nothing round it.

    By an averaging pyramid: each level takes what it does not know from the next coarser one (Gortler et al. 1996, "The Lumigraph",
    https://doi.org/10.1145/237170.237200, section 3.4).
    """
    if not hole.any():
        return x
    weight = (~hole).to(x.dtype)
    return torch.where(hole, _pulled(x * weight, weight), x)


def _pulled(sums: Tensor, weight: Tensor) -> Tensor:
    """Means (c h w) of weighted sums (c h w), from coarser levels where weights (1 h w) are small."""
    h, w = sums.shape[1:]
    mean = sums / weight.clamp_min(1e-6)
    if max(h, w) == 1:
        return mean
    padded = [F.pad(part[None], (0, w % 2, 0, h % 2)) for part in (sums, weight)]
    halves = [F.avg_pool2d(part, 2)[0] for part in padded]
    full = halves[1].clamp(max=0.25) / halves[1].clamp_min(1e-6)  # what a quarter covers is known well enough
    coarse = _pulled(halves[0] * full * 4, halves[1] * full * 4)
    wide = F.interpolate(coarse[None], size=(h + h % 2, w + w % 2), mode="bilinear", align_corners=False)[0, :, :h, :w]
    return torch.lerp(wide, mean, weight.clamp(max=1))
