"""DPM-Solver: the exponential integrators behind `dpm_2`, `dpm_fast` and `dpm_adaptive` (Lu et al. 2022a).

https://arxiv.org/abs/2206.00927. Here alpha is 1, so their lambda is -log(sigma) and h = log(sigma / sigma_next).
"""

from collections.abc import Generator
from itertools import pairwise
from math import atan, exp, expm1, inf, isfinite, log, sqrt
from typing import NamedTuple

from torch import Tensor

from ..types import Evaluate, Noise, Prediction, Sampler, Sigmas, denoise, slope
from .stochastic import ancestral, churned, no_noise, raise_noise


def dpm_2(
    x: Tensor,
    sigmas: Sigmas,
    noise: Noise = no_noise,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = inf,
    s_noise: float = 1.0,
) -> Sampler:
    """The slope at the middle in log sigma, two evaluations, order 2 (DPM-Solver-2 with the churn of Karras et al. 2022)."""
    for sigma, sigma_next in pairwise(sigmas):
        sigma_hat = churned(sigma, s_churn / (len(sigmas) - 1), s_tmin, s_tmax)
        x = raise_noise(x, sigma, sigma_hat, noise, s_noise)
        x = yield from _midpoint_step(x, sigma_hat, sigma_next)
    return x


def dpm_2_ancestral(x: Tensor, sigmas: Sigmas, noise: Noise, *, eta: float = 1.0, s_noise: float = 1.0) -> Sampler:
    """`dpm_2` that overshoots, then adds fresh noise; `eta` 0 is `dpm_2`."""
    for sigma, sigma_next in pairwise(sigmas):
        down, up = ancestral(sigma, sigma_next, eta)
        x = yield from _midpoint_step(x, sigma, down)
        if up > 0:
            x = x + s_noise * up * noise(x, sigma, sigma_next)
    return x


def dpm_fast(x: Tensor, sigmas: Sigmas, noise: Noise = no_noise, *, eta: float = 0.0, s_noise: float = 1.0) -> Sampler:
    """DPM-Solver-fast: steps of order 3, ending on lower ones, as many evaluations as there are steps.

    Walks its own levels, even in log sigma, from the first to the last positive one; a schedule that goes on to 0 is ended by
    one plain estimate, for which k-diffusion leaves the last level's noise in the picture.
    """
    levels = [sigma for sigma in sigmas if sigma > 0]
    orders = _orders(len(levels) - 1)
    ratio = levels[-1] / levels[0]
    for i, order in enumerate(orders):
        sigma, sigma_next = levels[0] * ratio ** (i / len(orders)), levels[0] * ratio ** ((i + 1) / len(orders))
        down, up = _ancestral_above(levels[-1], sigma, sigma_next, eta)
        x = yield from _step(x, sigma, down, (yield from slope(x, sigma)), order)
        if up > 0:
            x = x + s_noise * up * noise(x, sigma, sigma_next)
    return (yield from denoise(x, levels[-1])) if sigmas[-1] == 0 else x


class StepControl(NamedTuple):
    """PID control of the step's length in log sigma, as in k-diffusion: first length, gains, and when a step is accepted."""

    h_init: float = 0.05
    pcoeff: float = 0.0
    icoeff: float = 1.0
    dcoeff: float = 0.0
    accept_safety: float = 0.81


USUAL_CONTROL = StepControl()


def dpm_adaptive(
    x: Tensor,
    sigmas: Sigmas,
    noise: Noise = no_noise,
    *,
    order: int = 3,
    rtol: float = 0.05,
    atol: float = 0.0078,
    eta: float = 0.0,
    s_noise: float = 1.0,
    control: StepControl = USUAL_CONTROL,
) -> Sampler:
    """DPM-Solver-12 or -23: an embedded lower order measures the error, which sets the length of the steps.

    Of `sigmas` only the first, the last positive, and whether they end in 0 matter. The images of a batch share their steps.
    Raises ValueError if order is not 2 or 3, or if the model's answers are not finite.
    """
    if order not in (2, 3):
        raise ValueError(f"dpm_adaptive: order is {order}; it must be 2 or 3")
    sigma, sigma_min = sigmas[0], [s for s in sigmas if s > 0][-1]
    steps, x_low_last = _StepLength(control, 1.5 if eta > 0 else order), x
    while log(sigma / sigma_min) > 1e-5:
        eps = yield from slope(x, sigma)
        while True:  # a refused step starts again from the same x and slope
            sigma_next = max(sigma_min, sigma * exp(-steps.h))
            down, up = _ancestral_above(sigma_min, sigma, sigma_next, eta)
            x_low, x_high = yield from (_embedded_12 if order == 2 else _embedded_23)(x, sigma, down, eps)
            allowed = (rtol * x_low.abs().maximum(x_low_last.abs())).clamp(min=atol)
            if steps.accepts(float(((x_low - x_high) / allowed).square().mean().sqrt())):
                break
        x, x_low_last = x_high, x_low
        if up > 0:
            x = x + s_noise * up * noise(x, sigma, sigma_next)
        sigma = sigma_next
    return (yield from denoise(x, sigma_min)) if sigmas[-1] == 0 else x


class _StepLength:
    """Length h of the next step in log sigma, driven by the last three errors (Hairer & Wanner 1996, section IV.2)."""

    def __init__(self, control: StepControl, order: float):
        p, i, d = control.pcoeff, control.icoeff, control.dcoeff
        self.h, self.accept_safety = control.h_init, control.accept_safety
        self.powers = ((p + i + d) / order, -(p + 2 * d) / order, d / order)
        self.last: tuple[float, float] | None = None  # of the two latest accepted steps, 1 / error

    def accepts(self, error: float) -> bool:
        """Whether a step with this error (1 is what is allowed) stands; sets `h` for the next try."""
        if not isfinite(error):
            raise ValueError(f"dpm_adaptive: the error of a step is {error}: the model's answers are not finite numbers")
        now = 1 / (error + 1e-8)
        inverse = (now, *(self.last or (now, now)))
        factor = 1.0
        for value, power in zip(inverse, self.powers, strict=True):
            factor *= value**power
        factor = 1 + atan(factor - 1)
        self.h *= factor
        accepted = factor >= self.accept_safety
        if accepted or self.last is None:
            self.last = inverse[:2]
        return accepted


def _orders(evaluations: int) -> list[int]:
    """Orders of the steps that together take this many evaluations."""
    if evaluations % 3:
        return [3] * (evaluations // 3) + [evaluations % 3]
    return [3] * (evaluations // 3 - 1) + [2, 1] if evaluations else []


def _ancestral_above(sigma_min: float, sigma: float, sigma_next: float, eta: float) -> tuple[float, float]:
    """`ancestral`, but never solving further down than sigma_min."""
    if eta == 0:
        return sigma_next, 0.0
    down = max(sigma_min, ancestral(sigma, sigma_next, eta)[0])
    return down, sqrt(max(0.0, sigma_next**2 - down**2))


def _midpoint_step(x: Tensor, sigma: float, sigma_next: float) -> Sampler:
    d = yield from slope(x, sigma)
    if sigma_next > 0:
        middle = sqrt(sigma * sigma_next)
        d = yield from slope(x + (middle - sigma) * d, middle)
    return x + (sigma_next - sigma) * d


def _step(x: Tensor, sigma: float, sigma_next: float, eps: Tensor, order: int) -> Sampler:
    """One step of order 1, 2 or 3; eps is the slope at its start."""
    if order == 1:
        return x + (sigma_next - sigma) * eps
    return (yield from (_embedded_12 if order == 2 else _embedded_23)(x, sigma, sigma_next, eps))[1]


Embedded = Generator[Evaluate, Prediction, tuple[Tensor, Tensor]]


def _embedded_12(x: Tensor, sigma: float, sigma_next: float, eps: Tensor) -> Embedded:
    """Orders 1 and 2 from one more evaluation, at r = 1/2 (algorithm 1)."""
    middle = sqrt(sigma * sigma_next)
    eps_middle = yield from slope(x + (middle - sigma) * eps, middle)
    return x + (sigma_next - sigma) * eps, x + (sigma_next - sigma) * eps_middle


def _embedded_23(x: Tensor, sigma: float, sigma_next: float, eps: Tensor) -> Embedded:
    """Orders 2 and 3 from two more evaluations, at r = 1/3 and 2/3 (algorithm 2)."""
    h = log(sigma / sigma_next)
    third, two_thirds = sigma * exp(-h / 3), sigma * exp(-h * 2 / 3)
    d1 = (yield from slope(x + (third - sigma) * eps, third)) - eps
    u = x + (two_thirds - sigma) * eps - 2 * two_thirds * (expm1(h * 2 / 3) / (h * 2 / 3) - 1) * d1
    d2 = (yield from slope(u, two_thirds)) - eps
    first = x + (sigma_next - sigma) * eps
    return first + 1.5 * (sigma_next - sigma) * d1, first - 1.5 * sigma_next * (expm1(h) / h - 1) * d2
