"""Euler's method on the probability-flow ODE, dx / dsigma = (x - denoised) / sigma, and two relatives."""

from itertools import pairwise
from math import inf

from torch import Tensor

from ..types import Evaluate, Noise, Sampler, Sigmas, slope
from .stochastic import ancestral, churned, no_noise, raise_noise


def euler(
    x: Tensor,
    sigmas: Sigmas,
    noise: Noise = no_noise,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = inf,
    s_noise: float = 1.0,
) -> Sampler:
    """Straight lines along the slope, one evaluation a step (Karras et al. 2022, algorithm 2 without its correction)."""
    for sigma, sigma_next in pairwise(sigmas):
        sigma_hat = churned(sigma, s_churn / (len(sigmas) - 1), s_tmin, s_tmax)
        x = raise_noise(x, sigma, sigma_hat, noise, s_noise)
        x = x + (sigma_next - sigma_hat) * (yield from slope(x, sigma_hat))
    return x


def euler_ancestral(x: Tensor, sigmas: Sigmas, noise: Noise, *, eta: float = 1.0, s_noise: float = 1.0) -> Sampler:
    """Each step overshoots, then adds fresh noise; `eta` 0 is `euler`, `eta` 1 samples DDPM's posterior (Ho et al. 2020)."""
    for sigma, sigma_next in pairwise(sigmas):
        down, up = ancestral(sigma, sigma_next, eta)
        x = x + (down - sigma) * (yield from slope(x, sigma))
        if up > 0:
            x = x + s_noise * up * noise(x, sigma, sigma_next)
    return x


def euler_cfg_pp(x: Tensor, sigmas: Sigmas) -> Sampler:
    """CFG++: move to the guided estimate, then back out along the unguided noise (Chung et al. 2024, algorithm 2).

    Where the driver sends no unguided estimate, guidance is off and this is `euler`.
    """
    for sigma, sigma_next in pairwise(sigmas):
        denoised, uncond = yield Evaluate(x, sigma)
        x = denoised + sigma_next / sigma * (x - (denoised if uncond is None else uncond))
    return x
