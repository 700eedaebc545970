"""Heun's method, and Restart sampling built from its steps."""

from collections.abc import Sequence
from itertools import pairwise
from math import inf
from typing import NamedTuple

from torch import Tensor

from ..schedules import karras
from ..types import Noise, Sampler, Sigmas, slope
from .stochastic import churned, no_noise, raise_noise


def heun(
    x: Tensor,
    sigmas: Sigmas,
    noise: Noise = no_noise,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = inf,
    s_noise: float = 1.0,
) -> Sampler:
    """The mean of the slopes at both ends of a step, two evaluations, order 2 (Karras et al. 2022, algorithm 2)."""
    for sigma, sigma_next in pairwise(sigmas):
        sigma_hat = churned(sigma, s_churn / (len(sigmas) - 1), s_tmin, s_tmax)
        x = raise_noise(x, sigma, sigma_hat, noise, s_noise)
        x = yield from _heun_step(x, sigma_hat, sigma_next)
    return x


class Restart(NamedTuple):
    """On reaching the level nearest `low`: `times` times, back up to the level nearest `high` and down in `steps` levels."""

    low: float
    high: float
    steps: int
    times: int


def restart(x: Tensor, sigmas: Sigmas, noise: Noise, *, s_noise: float = 1.0, restarts: Sequence[Restart] | None = None) -> Sampler:
    """Heun's method that goes back to more noise now and then, which contracts earlier errors (Xu et al. 2023).

    restarts: without it, AUTOMATIC1111's rule, under which the number of steps stays about the same: from 20 steps on the
    levels are replaced by fewer, of Karras et al., and the interval from 0.1 to 2 is walked once more (twice from 36 on).
    """
    if restarts is None:
        sigmas, restarts = _usual_restarts(sigmas)
    reached = sigmas[0]
    for sigma, sigma_next in _walk(sigmas, restarts):
        x = raise_noise(x, reached, sigma, noise, s_noise)
        x = yield from _heun_step(x, sigma, sigma_next)
        reached = sigma_next
    return x


def _heun_step(x: Tensor, sigma: float, sigma_next: float) -> Sampler:
    d = yield from slope(x, sigma)
    if sigma_next > 0:
        d = (d + (yield from slope(x + (sigma_next - sigma) * d, sigma_next))) / 2
    return x + (sigma_next - sigma) * d


def _usual_restarts(sigmas: Sigmas) -> tuple[Sigmas, list[Restart]]:
    steps = len(sigmas) - 1
    if steps < 20:
        return sigmas, []
    extra, times = (steps // 4, 2) if steps >= 36 else (9, 1)
    left = steps - extra * times
    levels = karras(left, sigmas[-2], sigmas[0]) if sigmas[-1] == 0 else karras(left + 1, sigmas[-1], sigmas[0])[:-1]
    return levels, [Restart(0.1, 2.0, extra + 1, times)]


def _walk(sigmas: Sigmas, restarts: Sequence[Restart]) -> list[tuple[float, float]]:
    """All steps (from, to), those of the restarts included; where a step starts above the last one's end, noise is due."""
    walk: list[tuple[float, float]] = []
    due = {_nearest(sigmas, r.low): r for r in restarts}
    for step in pairwise(sigmas):
        walk.append(step)
        r = due.get(step[1])
        if r is not None and (high := _nearest(sigmas, r.high)) > step[1]:
            between = karras(r.steps, step[1], high)[1:-2]
            walk += list(pairwise((high, *between, step[1]))) * r.times  # its ends exact: rounding must not draw noise
    return walk


def _nearest(sigmas: Sigmas, level: float) -> float:
    return min((sigma for sigma in sigmas if sigma > 0), key=lambda sigma: abs(sigma - level))
