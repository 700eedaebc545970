"""Pseudo numerical methods: classical multistep formulas on the predicted noise (Liu et al. 2022, https://arxiv.org/abs/2202.09778).

The paper's transfer from one level to another is, in these coordinates, a straight line: x + (sigma_next - sigma) * eps.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import sqrt

from torch import Tensor

from ..types import Sampler, Sigmas, slope

ADAMS_BASHFORTH = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
IMPROVED_EULER = ((1.0,), (1 / 2, 1 / 2))  # weights of a step's slopes so far, for each of its evaluations
RUNGE_KUTTA = ((1.0,), (0.0, 1.0), (0.0, 0.0, 1.0), (1 / 6, 1 / 3, 1 / 3, 1 / 6))

Step = tuple[float, float]
"""Noise levels that an evaluation's step leads from and to."""


def plms(x: Tensor, sigmas: Sigmas) -> Sampler:
    """Adams-Bashforth up to order 4; the first step averages the slopes at its ends (improved Euler)."""
    steps = list(pairwise(sigmas))
    if len(steps) > 1:
        steps = [steps[0], *steps]
    return (yield from linear_multistep(x, sigmas[0], steps.__getitem__, len(steps), IMPROVED_EULER))


def pndm(x: Tensor, sigmas: Sigmas, *, midpoints: Sigmas | None = None) -> Sampler:
    """The same with Runge-Kutta steps at the start, four evaluations each (the paper's F-PNDM).

    midpoints: a level inside each of the first steps, one for every step that is to be a Runge-Kutta step; without it, the
    means of the ends of the first three. `schedules.midpoints` gives those half-way in the network's time, as in the paper.
    """
    inside = [(a + b) / 2 for a, b in pairwise(sigmas[:4])] if midpoints is None else midpoints
    steps: list[Step] = []
    start: list[Sequence[float]] = []
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        if i < len(inside) and sigma_next > 0:
            steps += [(sigma, inside[i])] * 2 + [(sigma, sigma_next)] * 2
            start += RUNGE_KUTTA
        else:
            steps.append((sigma, sigma_next))
    return (yield from linear_multistep(x, sigmas[0], steps.__getitem__, len(steps), start))


def linear_multistep(
    x: Tensor,
    sigma: float,
    steps: Callable[[int], Step],
    evaluations: int,
    start: Sequence[Sequence[float]],
    *,
    velocity: bool = False,
) -> Sampler:
    """The walk of both samplers from level `sigma`: what `start` says for its first evaluations, then Adams-Bashforth.

    steps: from which level and to which evaluation number k leads; asked for once that evaluation is made. Where a step starts
    at another level than the last one reached, x is taken for what it is there: x / sqrt(1 + sigma^2) stays.
    start: for each evaluation, how it weighs the slopes of its step; a single weight begins a step, others try it again.
    velocity: the averages are of v, not of the noise; for a network that predicts v diffusers does that, the paper does not.
    """
    begin, begin_sigma, history, slopes = x, sigma, list[Tensor](), list[Tensor]()
    for k in range(evaluations):
        weights = start[k] if k < len(start) else None
        d = yield from slope(x, sigma)
        if velocity:
            d = d * sqrt(1 + sigma**2) - x * (sigma / sqrt(1 + sigma**2))
        if weights is None or len(weights) == 1:
            begin, begin_sigma, history, slopes = x, sigma, [*history[-3:], d], []
        slopes.append(d)
        mean = _mean(ADAMS_BASHFORTH[len(history) - 1], history[::-1]) if weights is None else _mean(weights, slopes)
        step_from, sigma = steps(k)
        x = begin if step_from == begin_sigma else begin * sqrt((1 + step_from**2) / (1 + begin_sigma**2))
        if velocity:
            mean = mean / sqrt(1 + step_from**2) + x * (step_from / (1 + step_from**2))
        x = x + (sigma - step_from) * mean
    return x


def _mean(weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    mean = weights[0] * slopes[0]
    for weight, d in zip(weights[1:], slopes[1:], strict=True):
        mean = mean + weight * d
    return mean
