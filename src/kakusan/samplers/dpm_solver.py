"""The DPM-Solvers of orders 1 to 3, for the diffusion ODE and SDE, with their choices left open (Lu et al. 2022a, 2022b).

https://arxiv.org/abs/2206.00927 and https://arxiv.org/abs/2211.01095. Here alpha is 1: lambda is -log(sigma), h = log(sigma / sigma_next).
"""

from collections.abc import Sequence
from itertools import pairwise
from math import exp, expm1, log, sqrt
from typing import Literal, NamedTuple

from torch import Tensor

from ..types import Noise, Sampler, Sigmas, denoise
from .stochastic import no_noise

Algorithm = Literal["dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++"]
SolverType = Literal["midpoint", "heun"]


def dpm_solver(
    x: Tensor,
    sigmas: Sigmas,
    noise: Noise = no_noise,
    *,
    orders: Sequence[int],
    algorithm: Algorithm = "dpmsolver++",
    solver_type: SolverType = "midpoint",
    singlestep: bool = False,
) -> Sampler:
    """A polynomial through the last estimates, integrated against the equation's exponential; one evaluation a step.

    orders: of each step, for which there have to be as many estimates; a step to 0 is the estimate itself.
    algorithm: the polynomial is of the noise, or ("++") of the denoised latent; "sde" adds fresh noise.
    singlestep: a step of order 2 or 3 starts anew from where the one or two steps before it began; else from where they ended.
    """
    past: list[tuple[Tensor, float]] = []  # estimates and their sigmas, newest first
    begin = x
    for order, (sigma, sigma_next) in zip(orders, pairwise(sigmas), strict=True):
        denoised = yield from denoise(x, sigma)
        if sigma_next == 0:
            return denoised
        past = [(denoised if algorithm.endswith("++") else (x - denoised) / sigma, sigma), *past[:2]]
        if order == 1 or not singlestep:
            begin = x
        used = past[order - 1 :: -1] if singlestep else past[:order]
        sigma_begin = used[0][1]
        if sigma_next >= sigma_begin:  # levels that fall together, but for rounding
            continue
        weights = _weights(sigma_begin, sigma_next, algorithm, "heun" if order == 3 else solver_type)
        x = weights.x * begin
        for weight, derivative in zip(weights.estimates, _derivatives(used, sigma_next, not singlestep, solver_type), strict=False):
            x = x + weight * derivative
        if weights.noise > 0:
            x = x + weights.noise * noise(x, sigma_begin, sigma_next)
    return x


class Weights(NamedTuple):
    """What a step makes of x, of the estimate where it begins, its two derivatives by lambda (in units of h), and of noise."""

    x: float
    estimates: tuple[float, float, float]
    noise: float


def _weights(sigma: float, sigma_next: float, algorithm: Algorithm, solver_type: SolverType) -> Weights:
    """Of a step from sigma to sigma_next.

    Slopes: "heun" integrates them; "midpoint" gives them half the estimate's weight, which is as good to its order.
    With "sde-dpmsolver++" the last weight is diffusers': the integral has + 1/2 there.
    """
    h = log(sigma / sigma_next)
    sde = algorithm.startswith("sde")
    if algorithm.endswith("++"):
        z, scale, kept = (-2 * h, 1.0, sigma_next / sigma * exp(-h)) if sde else (-h, 1.0, sigma_next / sigma)
        fresh = sigma_next * sqrt(-expm1(-2 * h)) if sde else 0.0
    else:
        z, scale, kept = h, sigma_next * (2 if sde else 1), 1.0
        fresh = sqrt(sigma**2 - sigma_next**2) if sde else 0.0
    phi_1 = expm1(z)
    phi_2 = phi_1 / z - 1
    first = phi_1 / 2 if solver_type == "midpoint" else phi_2
    second = phi_2 / z + 0.5 if algorithm == "sde-dpmsolver++" else phi_2 / z - 0.5
    return Weights(kept, (-scale * phi_1, -scale * first, -scale * second), fresh)


def _derivatives(used: Sequence[tuple[Tensor, float]], sigma_next: float, multistep: bool, solver_type: SolverType) -> list[Tensor]:
    """The polynomial through the estimates and its derivatives at the first of them; a step to sigma_next has length 1.

    A multistep bend counts half, and a single step of type "midpoint" has none, only the slope to its newest estimate: so the authors.
    """
    (base, sigma), others = used[0], used[1:]
    h = log(sigma / sigma_next)
    places = [log(sigma / s) / h for _, s in others]
    slopes = [(estimate - base) / r for (estimate, _), r in zip(others, places, strict=True)]
    if len(others) < 2:
        return [base, *slopes]
    if solver_type == "midpoint" and not multistep:
        return [base, slopes[1]]
    (a, b), (slope_a, slope_b) = places, slopes
    bend = (slope_b - slope_a) / (b - a)
    return [base, slope_a - a * bend, bend if multistep else 2 * bend]
