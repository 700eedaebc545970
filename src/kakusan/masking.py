"""Repainting a part of a picture with any model and any sampler: what is kept stays what it was, at every noise level.

n images, c channels, h w height and width of a latent.
"""

import torch
from torch import Tensor

from .types import Evaluate, Prediction, Sampler, Sigmas


def masked(sampler: Sampler, known: Tensor, change: Tensor, sigmas: Sigmas) -> Sampler:
    """The sampler, told wherever the picture is kept that what lies under the noise is `known` (n c h w).

    change (n 1 h w): 0 keeps, 1 repaints; what lies between is the strength with which a place is repainted: it is kept for the
    first 1 - change of the steps (Levin and Fried 2023, "Differential Diffusion", https://arxiv.org/abs/2306.00950, section 3).
    sigmas: the sampler's own levels, to tell how far it has come.
    The answers are blended, not x: the noise in x and the history of multistep samplers stay of one piece. x has to start as
    `known` plus noise; kept places then end as `known` if the last level is 0.
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
        return result


def left(sigma: float, sigmas: Sigmas) -> float:
    """Which part of the steps is not over yet at a noise level: 1 within the first of n steps, 1 / n within the last."""
    steps = len(sigmas) - 1
    begun = sum(level >= sigma for level in sigmas[:-1])
    return min(steps - begun + 1, steps) / steps
