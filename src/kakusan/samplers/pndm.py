"""Pseudo numerical methods: classical multistep formulas on the predicted noise (Liu et al. 2022, https://arxiv.org/abs/2202.09778).

The paper's transfer from one level to another is, in these coordinates, a straight line: x + (sigma_next - sigma) * eps.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from ..types import Sampler, Sigmas, slope

ADAMS_BASHFORTH = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


def plms(x: Tensor, sigmas: Sigmas) -> Sampler:
    """Adams-Bashforth up to order 4; the first step averages the slopes at its ends (improved Euler)."""
    history: list[Tensor] = []
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        history = [*history[-3:], (yield from slope(x, sigma))]
        eps = _adams_bashforth(history)
        if i == 0 and sigma_next > 0 and len(sigmas) > 2:
            eps = (eps + (yield from slope(x + (sigma_next - sigma) * eps, sigma_next))) / 2
        x = x + (sigma_next - sigma) * eps
    return x


def pndm(x: Tensor, sigmas: Sigmas, *, midpoints: Sigmas | None = None) -> Sampler:
    """The same with Runge-Kutta steps at the start, four evaluations each (the paper's F-PNDM).

    midpoints: a level inside each of the first steps, one for every step that is to be a Runge-Kutta step; without it, the
    means of the ends of the first three. `schedules.midpoints` gives those half-way in the network's time, as in the paper.
    """
    history: list[Tensor] = []
    inside = [(a + b) / 2 for a, b in pairwise(sigmas[:4])] if midpoints is None else midpoints
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        eps = yield from slope(x, sigma)
        history = [*history[-3:], eps]
        if i < len(inside) and sigma_next > 0:
            eps2 = yield from slope(x + (inside[i] - sigma) * eps, inside[i])
            eps3 = yield from slope(x + (inside[i] - sigma) * eps2, inside[i])
            eps4 = yield from slope(x + (sigma_next - sigma) * eps3, sigma_next)
            eps = (eps + 2 * eps2 + 2 * eps3 + eps4) / 6
        else:
            eps = _adams_bashforth(history)
        x = x + (sigma_next - sigma) * eps
    return x


def _adams_bashforth(history: Sequence[Tensor]) -> Tensor:
    """The slopes so far, newest last, extrapolated to the mean over a next step of equal length."""
    weights = ADAMS_BASHFORTH[len(history) - 1]
    mean = weights[0] * history[-1]
    for weight, eps in zip(weights[1:], history[-2::-1], strict=True):
        mean = mean + weight * eps
    return mean
