"""UniPC: a predictor and a corrector of the same form, the corrector at no extra evaluation (Zhao et al. 2023).

https://arxiv.org/abs/2302.04867, mostly in the data-prediction form of its appendix. Here alpha is 1: lambda = -log(sigma).
"""

from collections.abc import Collection, Sequence
from itertools import pairwise
from math import expm1, log
from typing import Literal

import numpy as np
from torch import Tensor

from ..types import Sampler, Sigmas, denoise


def unipc(
    x: Tensor,
    sigmas: Sigmas,
    *,
    order: int = 2,
    variant: Literal["bh1", "bh2"] = "bh2",
    of_noise: bool = False,
    lower_order_final: bool = True,
    uncorrected: Collection[int] = (),
) -> Sampler:
    """Algorithms 1 and 2: each step's start is corrected by the estimate made there, then the next level is predicted.

    variant: B(h) = h or e^h - 1. of_noise: extrapolates the predicted noise instead of the denoised latent.
    lower_order_final: the last steps fall back to lower orders. uncorrected: numbers of the steps whose end stays uncorrected.
    Raises ValueError for another variant.
    """
    if variant not in ("bh1", "bh2"):
        raise ValueError(f"unipc: variant is {variant!r}; it must be 'bh1' or 'bh2'")
    past: list[tuple[Tensor, float]] = []  # estimates and their sigmas, newest first
    x_last, used = x, 0  # the state at past[0], and the order of the step from there
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield from denoise(x, sigma)
        if sigma_next == 0:
            return denoised
        estimate = (x - denoised) / sigma if of_noise else denoised
        if past and i - 1 not in uncorrected:
            x = _step(x_last, past[:used], sigma, variant, of_noise, corrected_by=estimate)
        past = [(estimate, sigma), *past[: order - 1]]
        x_last, used = x, min(order, i + 1, len(sigmas) - 1 - i if lower_order_final else order)
        x = _step(x, past[:used], sigma_next, variant, of_noise)
    return x


def _step(
    x: Tensor,
    past: Sequence[tuple[Tensor, float]],
    sigma_next: float,
    variant: str,
    of_noise: bool,
    corrected_by: Tensor | None = None,
) -> Tensor:
    """From x at the newest of `past` to sigma_next: of order len(past), with the estimate at the end (corrector) one more."""
    newest, sigma = past[0]
    if sigma_next >= sigma:  # levels that fall together, but for rounding
        return x
    h = log(sigma / sigma_next)
    nodes = [(estimate, log(sigma / s) / h) for estimate, s in past[1:]]  # with their places, in steps from the newest
    if corrected_by is not None:
        nodes.append((corrected_by, 1.0))
    z, scale = (h, sigma_next) if of_noise else (-h, 1.0)
    x = (1.0 if of_noise else sigma_next / sigma) * x - scale * expm1(z) * newest
    for (estimate, r), weight in zip(nodes, _weights([r for _, r in nodes], z, variant), strict=True):
        x = x + scale * weight / r * (estimate - newest)
    return x


def _weights(places: Sequence[float], z: float, variant: str) -> list[float]:
    """The paper's R a = b, times -B(z), z = h or -h; for a single place a is 1/2, which keeps the order, and B matters."""
    if len(places) <= 1:
        return [-(z if variant == "bh1" else expm1(z)) / 2 for _ in places]
    wanted: list[float] = []  # sums of weight * place ** n, n = 0, 1, ...
    term, factorial = expm1(z) / z - 1, 1
    for n in range(1, len(places) + 1):
        wanted.append(-term * factorial)
        factorial *= n + 1
        term = term / z - 1 / factorial
    return [float(w) for w in np.linalg.solve([[r**n for r in places] for n in range(len(places))], wanted)]
