"""DPM-Solver++: exponential integrators for the denoised latent, of the diffusion ODE and SDE (Lu et al. 2022b).

https://arxiv.org/abs/2211.01095. Here alpha is 1, so their lambda is -log(sigma) and h = log(sigma / sigma_next).
The variants that k-diffusion added (`dpmpp_sde`, `dpmpp_3m_sde`, `eta`) are as there.
"""

from itertools import pairwise
from math import exp, expm1, log, sqrt
from typing import Literal

from torch import Tensor

from ..types import Noise, Sampler, Sigmas, denoise
from .stochastic import ancestral


def dpmpp_2m(x: Tensor, sigmas: Sigmas, *, last_order: int = 2) -> Sampler:
    """A line through the last two estimates: one evaluation a step, order 2 (algorithm 2).

    last_order: 1 takes the last step from one estimate alone, which is steadier where there are fewer than 15 steps.
    """
    last, h_last = None, 0.0
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas), 1):
        denoised = yield from denoise(x, sigma)
        if sigma_next == 0:
            return denoised
        h = log(sigma / sigma_next)
        if last is None or (last_order == 1 and i == len(sigmas) - 1):
            last, h_last = denoised, h  # no line yet, or no more
        middle = denoised + h / (2 * h_last) * (denoised - last)
        x = exp(-h) * x - expm1(-h) * middle
        last, h_last = denoised, h
    return x


def dpmpp_2s_ancestral(x: Tensor, sigmas: Sigmas, noise: Noise, *, eta: float = 1.0, s_noise: float = 1.0) -> Sampler:
    """A second evaluation half-way in log sigma, order 2 (algorithm 1, r = 1/2), then fresh noise; `eta` 0 is the ODE."""
    for sigma, sigma_next in pairwise(sigmas):
        down, up = ancestral(sigma, sigma_next, eta)
        denoised = yield from denoise(x, sigma)
        if down > 0:
            middle = sqrt(sigma * down)
            denoised = yield from denoise(_towards(denoised, x, sigma, middle), middle)
        x = _towards(denoised, x, sigma, down)
        if up > 0:
            x = x + s_noise * up * noise(x, sigma, sigma_next)
    return x


def dpmpp_sde(x: Tensor, sigmas: Sigmas, noise: Noise, *, eta: float = 1.0, s_noise: float = 1.0, r: float = 1 / 2) -> Sampler:
    """The two evaluations of algorithm 1 with fresh noise after both; r: where the second one is, in log sigma."""
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield from denoise(x, sigma)
        if sigma_next == 0:
            return denoised
        middle = sigma ** (1 - r) * sigma_next**r
        down, up = ancestral(sigma, middle, eta)
        x_middle = _towards(denoised, x, sigma, down)
        if up > 0:
            x_middle = x_middle + s_noise * up * noise(x, sigma, middle)
        denoised_middle = yield from denoise(x_middle, middle)
        down, up = ancestral(sigma, sigma_next, eta)
        x = _towards(denoised + (denoised_middle - denoised) / (2 * r), x, sigma, down)
        if up > 0:
            x = x + s_noise * up * noise(x, sigma, sigma_next)
    return x


def dpmpp_2m_sde(
    x: Tensor,
    sigmas: Sigmas,
    noise: Noise,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver_type: Literal["midpoint", "heun"] = "midpoint",
) -> Sampler:
    """`dpmpp_2m` on the reverse SDE (section 5, appendix B); `eta` 0 with "midpoint" is `dpmpp_2m`.

    Raises ValueError for another solver_type.
    """
    if solver_type not in ("midpoint", "heun"):
        raise ValueError(f"dpmpp_2m_sde: solver_type is {solver_type!r}; it must be 'midpoint' or 'heun'")
    last, h_last = None, 0.0
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield from denoise(x, sigma)
        if sigma_next == 0:
            return denoised
        h = log(sigma / sigma_next)
        h_eta = h * (1 + eta)
        x = exp(-h_eta) * x - expm1(-h_eta) * denoised
        if last is not None:
            weight = -expm1(-h_eta) / 2 if solver_type == "midpoint" else _phi_2(h_eta)
            x = x + weight * h / h_last * (denoised - last)
        if eta > 0:
            x = x + s_noise * sigma_next * sqrt(-expm1(-2 * eta * h)) * noise(x, sigma, sigma_next)
        last, h_last = denoised, h
    return x


def dpmpp_3m_sde(x: Tensor, sigmas: Sigmas, noise: Noise, *, eta: float = 1.0, s_noise: float = 1.0) -> Sampler:
    """The SDE solver with a parabola through the last three estimates; its first steps are of orders 1 and 2.

    The parabola's bend has half the weight of its exact integral, as in k-diffusion and the authors' own code.
    """
    past: list[tuple[Tensor, float]] = []  # the last estimates, newest first, and the step h that followed each
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield from denoise(x, sigma)
        if sigma_next == 0:
            return denoised
        h = log(sigma / sigma_next)
        h_eta = h * (1 + eta)
        x = exp(-h_eta) * x - expm1(-h_eta) * denoised
        if past:
            first = slope_now = (denoised - past[0][0]) * (h / past[0][1])  # d denoised / d lambda, times h
            if len(past) == 2:
                r0, r1 = past[0][1] / h, past[1][1] / h
                curve = (first - (past[0][0] - past[1][0]) / r1) / (r0 + r1)
                slope_now = first + r0 * curve
                x = x - (_phi_2(h_eta) / h_eta - 0.5) * curve
            x = x + _phi_2(h_eta) * slope_now
        if eta > 0:
            x = x + s_noise * sigma_next * sqrt(-expm1(-2 * eta * h)) * noise(x, sigma, sigma_next)
        past = [(denoised, h), *past[:1]]
    return x


def _towards(denoised: Tensor, x: Tensor, sigma: float, sigma_next: float) -> Tensor:
    """The ODE solved from sigma to sigma_next as if the estimate stayed the same."""
    return denoised + sigma_next / sigma * (x - denoised)


def _phi_2(h: float) -> float:
    return expm1(-h) / h + 1
