"""Adams-Bashforth methods on unequal steps: the slope is a polynomial through past slopes, integrated exactly over the step."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from math import log

from numpy.polynomial import Polynomial
from torch import Tensor

from ..types import Sampler, Sigmas, slope


def lms(x: Tensor, sigmas: Sigmas, *, order: int = 4) -> Sampler:
    """Linear multistep: a polynomial in sigma (Karras et al. 2022's ODE, equation 3; method as in k-diffusion's `lms`)."""
    history: list[Tensor] = []
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        history = [*history, (yield from slope(x, sigma))][-order:]
        nodes = list(sigmas[i + 1 - len(history) : i + 1])
        x = _advance(x, history, nodes, partial(_area, a=sigma, b=sigma_next))
    return x


def deis(x: Tensor, sigmas: Sigmas, *, order: int = 3, lower_order_final: bool | None = None) -> Sampler:
    """The polynomial is in log sigma (Zhang & Chen 2022: log-rho Adams-Bashforth, https://arxiv.org/abs/2204.13902).

    lower_order_final: ends on lower orders; without it, a run of fewer than 15 steps does. A step to 0, where log sigma has no
    end, is of order 1.
    """
    history: list[Tensor] = []
    steps = len(sigmas) - 1
    lowers = steps < 15 if lower_order_final is None else lower_order_final
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        history = [*history, (yield from slope(x, sigma))][-order:]
        left = 1 if sigma_next == 0 else steps - i if lowers else order
        used = history[-left:]
        nodes = [log(s) for s in sigmas[i + 1 - len(used) : i + 1]]
        x = _advance(x, used, nodes, partial(_area_of_log, a=sigma, b=sigma_next))
    return x


def _advance(x: Tensor, slopes: Sequence[Tensor], nodes: Sequence[float], integral: Callable[[Polynomial], float]) -> Tensor:
    """x plus the integral of the polynomial that takes the value slopes[k] at nodes[k]."""
    for k, eps in enumerate(slopes):
        basis = Polynomial([1.0])
        for other in (*nodes[:k], *nodes[k + 1 :]):
            basis = basis * Polynomial([-other, 1.0]) / (nodes[k] - other)
        x = x + integral(basis) * eps
    return x


def _area(p: Polynomial, a: float, b: float) -> float:
    primitive = p.integ()
    return float(primitive(b) - primitive(a))


def _area_of_log(p: Polynomial, a: float, b: float) -> float:
    """Integral of p(log s) ds from a to b: with q = p - p' + p'' - ..., its primitive is s q(log s), which ends at 0 in 0."""
    q = p
    for k in range(1, p.degree() + 1):
        q = q + (-1) ** k * p.deriv(k)
    return float((b * q(log(b)) if b > 0 else 0.0) - a * q(log(a)))
