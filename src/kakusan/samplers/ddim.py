"""The samplers of the first diffusion papers, in coordinates where x = clean + sigma * noise.

Their x is ours times sqrt(alpha_bar), and sigma^2 = (1 - alpha_bar) / alpha_bar; with that the formulas lose every alpha.
"""

from itertools import pairwise
from math import inf, sqrt
from typing import Literal

from torch import Tensor

from ..types import Noise, Sampler, Sigmas, denoise
from .stochastic import no_noise


def ddpm(x: Tensor, sigmas: Sigmas, noise: Noise, *, variance: Literal["small", "large"] = "small") -> Sampler:
    """Draws from the posterior q(x_next | x, denoised) (Ho et al. 2020, equations 6 and 7).

    variance: the posterior's, or ("large") the variance added by the step, beta; both are bounds (section 3.2). The large one
    noises the end too, unless `noise` gives zeros there.
    """
    for sigma, sigma_next in pairwise(sigmas):
        kept = (sigma_next / sigma) ** 2  # the share of the noise's variance that survives the step
        denoised = yield from denoise(x, sigma)
        x = denoised + kept * (x - denoised)
        spread = sigma_next if variance == "small" else sigma * sqrt((1 + sigma_next**2) / (1 + sigma**2))
        if spread > 0:
            x = x + spread * sqrt(1 - kept) * noise(x, sigma, sigma_next)
    return x


def ddim(x: Tensor, sigmas: Sigmas, noise: Noise = no_noise, *, eta: float = 0.0, clip: float = inf) -> Sampler:
    """Keeps part of the predicted noise and draws the rest: `eta` 0 none, 1 as `ddpm` (Song et al. 2021, equations 12 and 16).

    clip: the estimate is cut off at -clip and clip, though not the noise that it was found by; for networks of pixels.
    """
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield from denoise(x, sigma)
        eps = (x - denoised) / sigma
        fresh = min(sigma_next, eta * sigma_next * sqrt(1 - (sigma_next / sigma) ** 2))
        x = (denoised if clip == inf else denoised.clamp(-clip, clip)) + sqrt(sigma_next**2 - fresh**2) * eps
        if fresh > 0:
            x = x + fresh * noise(x, sigma, sigma_next)
    return x


def lcm(x: Tensor, sigmas: Sigmas, noise: Noise) -> Sampler:
    """For consistency models: each estimate is noised again to the next level (Song et al. 2023, algorithm 1)."""
    for sigma, sigma_next in pairwise(sigmas):
        x = yield from denoise(x, sigma)
        if sigma_next > 0:
            x = x + sigma_next * noise(x, sigma, sigma_next)
    return x
