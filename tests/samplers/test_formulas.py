"""Samplers against their published formulas, written out in lambda = -log(sigma) and in float64, where diffusers has no equal.

The loops here call the model directly and share nothing with the package but the noise they are given.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from scipy import integrate
from torch import Tensor

from kakusan.samplers import SAMPLERS
from kakusan.samplers.dpm import StepControl
from kakusan.samplers.heun import Restart
from kakusan.types import Evaluate, Prediction
from toy import ToyNoise, predict, run

STEPS = (1, 2, 5, 20, 50)
X = 14.0 * torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
Draw = Callable[[], Tensor]


def karras_levels(steps: int, low: float = 0.03, high: float = 14.0) -> list[float]:
    return [(high ** (1 / 7) + i / max(steps - 1, 1) * (low ** (1 / 7) - high ** (1 / 7))) ** 7 for i in range(steps)]


def denoised(x: Tensor, sigma: float) -> Tensor:
    return predict(x, torch.full((len(x),), sigma, dtype=x.dtype))


def eps(x: Tensor, sigma: float) -> Tensor:
    return (x - denoised(x, sigma)) / sigma


def ancestral(a: float, b: float, eta: float) -> tuple[float, float]:
    """Down and up, from the variance eta^2 b^2 (1 - b^2 / a^2) of the noise."""
    up = min(b, eta * math.sqrt(b * b * (a * a - b * b) / (a * a)))
    return math.sqrt(b * b - up * up), up


def exponential_euler(x: Tensor, d: Tensor, a: float, b: float) -> Tensor:
    """Exact for a constant estimate d: in lambda, dx/dlambda = -x + d."""
    h = math.log(a) - math.log(b)
    return math.exp(-h) * x + (1 - math.exp(-h)) * d


def check(
    name: str, expected: Callable[[Tensor, list[float], Draw], Tensor], sigmas: list[float], tolerance: float = 1e-9, **options: Any
) -> None:
    mine, theirs = ToyNoise(1, 2), ToyNoise(1, 2)
    sampler = SAMPLERS[name]
    x = run(sampler(X, sigmas, mine, **options))
    wanted = expected(X, sigmas, lambda: theirs(X, 0, 0))
    error = float((x - wanted).abs().max() / wanted.std())
    assert error < tolerance, f"{name} at {len(sigmas) - 1} steps: {error:.1e}"


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("ends", [(), (0.0,)])
@pytest.mark.parametrize("name", ["euler", "heun", "dpm_2"])
def test_churn(name: str, steps: int, ends: tuple[float, ...]) -> None:
    sigmas = [*karras_levels(steps + 1 - len(ends)), *ends]

    def expected(x: Tensor, sigmas: list[float], draw: Draw) -> Tensor:
        for a, b in pairwise(sigmas):
            gamma = min(8 / steps, 2**0.5 - 1) if 0.05 <= a <= 10 else 0.0
            hat = a + gamma * a
            if gamma:
                x = x + (hat**2 - a**2) ** 0.5 * 1.007 * draw()
            d = eps(x, hat)
            if name == "heun" and b > 0:
                d = d / 2 + eps(x + (b - hat) * d, b) / 2
            elif name == "dpm_2" and b > 0:
                middle = math.exp((math.log(hat) + math.log(b)) / 2)
                d = eps(x + (middle - hat) * d, middle)
            x = x + (b - hat) * d
        return x

    check(name, expected, sigmas, s_churn=8.0, s_tmin=0.05, s_tmax=10.0, s_noise=1.007)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("name", ["euler_ancestral", "dpm_2_ancestral", "dpmpp_2s_ancestral"])
def test_ancestral(name: str, steps: int, eta: float) -> None:
    def expected(x: Tensor, sigmas: list[float], draw: Draw) -> Tensor:
        for a, b in pairwise(sigmas):
            down, up = ancestral(a, b, eta)
            middle = math.sqrt(a * down)
            if name == "euler_ancestral" or down == 0:
                x = x + (down - a) * eps(x, a)
            elif name == "dpm_2_ancestral":
                x = x + (down - a) * eps(x + (middle - a) * eps(x, a), middle)
            else:
                x = exponential_euler(x, denoised(exponential_euler(x, denoised(x, a), a, middle), middle), a, down)
            x = x + 0.9 * up * draw() if up else x
        return x

    check(name, expected, [*karras_levels(steps), 0.0], eta=eta, s_noise=0.9)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(("eta", "r"), [(1.0, 0.5), (0.5, 0.3), (0.0, 0.5)])
def test_dpmpp_sde(steps: int, eta: float, r: float) -> None:
    def expected(x: Tensor, sigmas: list[float], draw: Draw) -> Tensor:
        for a, b in pairwise(sigmas):
            d = denoised(x, a)
            if b == 0:
                return d
            middle = math.exp((1 - r) * math.log(a) + r * math.log(b))
            down, up = ancestral(a, middle, eta)
            u = exponential_euler(x, d, a, down) + (0.9 * up * draw() if up else 0)
            down, up = ancestral(a, b, eta)
            d = (1 - 1 / (2 * r)) * d + 1 / (2 * r) * denoised(u, middle)
            x = exponential_euler(x, d, a, down) + (0.9 * up * draw() if up else 0)
        return x

    check("dpmpp_sde", expected, [*karras_levels(steps), 0.0], eta=eta, r=r, s_noise=0.9)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("name", ["dpmpp_2m_sde", "dpmpp_3m_sde"])
def test_multistep_sde(name: str, steps: int, eta: float) -> None:
    """The estimate as a polynomial in lambda under the kernel of the SDE, integrated numerically."""

    def expected(x: Tensor, sigmas: list[float], draw: Draw) -> Tensor:
        past: list[tuple[float, Tensor]] = []
        for a, b in pairwise(sigmas):
            d = denoised(x, a)
            if b == 0:
                return d
            h, k = math.log(a / b), 1 + eta
            first = integrate.quad(lambda s: k * math.exp(-k * (h - s)) * s, 0, h, epsabs=1e-14)[0]  # noqa: B023
            second = integrate.quad(lambda s: k * math.exp(-k * (h - s)) * s * s / 2, 0, h, epsabs=1e-14)[0]  # noqa: B023
            x = math.exp(-k * h) * x + (1 - math.exp(-k * h)) * d
            if len(past) >= 1:
                gap = math.log(past[-1][0] / a)
                slope = (d - past[-1][1]) / gap
                if len(past) >= 2 and name == "dpmpp_3m_sde":
                    gap_before = math.log(past[-2][0] / past[-1][0])
                    bend = (slope - (past[-1][1] - past[-2][1]) / gap_before) / (gap + gap_before)
                    slope = slope + gap * bend
                    x = x + second * bend  # as published: the exact integral has twice this weight
                x = x + first * slope
            x = x + 0.9 * b * math.sqrt(1 - math.exp(-2 * eta * h)) * draw() if eta else x
            past.append((a, d))
        return x

    options = {"solver_type": "heun"} if name == "dpmpp_2m_sde" else {}
    check(name, expected, [*karras_levels(steps), 0.0], eta=eta, s_noise=0.9, **options)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["lms", "deis"])
def test_adams_weights_are_integrals(name: str, steps: int, order: int) -> None:
    """Lagrange's polynomial through the slopes, in sigma or in log(sigma), integrated numerically."""
    f = math.log if name == "deis" else float

    def expected(x: Tensor, sigmas: list[float], draw: Draw) -> Tensor:
        history: list[Tensor] = []
        for i, (a, b) in enumerate(pairwise(sigmas)):
            history.append(eps(x, a))
            used = min(order, i + 1, steps - i if name == "deis" and steps < 15 else order)
            for j in range(used):
                others = [sigmas[i - k] for k in range(used) if k != j]

                def basis(s: float, node: float = sigmas[i - j], others: list[float] = others) -> float:
                    return math.prod((f(s) - f(other)) / (f(node) - f(other)) for other in others)

                x = x + integrate.quad(basis, a, b, epsabs=1e-14)[0] * history[i - j]
        return x

    check_plain(name, expected, karras_levels(steps + 1), order=order)


@pytest.mark.parametrize("evaluations", [1, 2, 3, 4, 6, 20])
def test_dpm_fast(evaluations: int) -> None:
    """Lu et al. 2022, algorithms 1 and 2 in lambda, steps even in lambda, orders 3, 3, ..., then what is left."""

    def expected(x: Tensor, sigmas: list[float], draw: Draw) -> Tensor:
        orders = {1: [1], 2: [2], 3: [2, 1], 4: [3, 1], 6: [3, 2, 1], 20: [3] * 6 + [2]}[evaluations]
        start, stop = -math.log(sigmas[0]), -math.log(sigmas[-1])
        h = (stop - start) / len(orders)
        at: Callable[[float], float] = lambda lam: math.exp(-lam)  # noqa: E731
        for i, order in enumerate(orders):
            lam = start + i * h
            e = eps(x, at(lam))
            if order == 1:
                x = x - at(lam + h) * math.expm1(h) * e
            elif order == 2:
                u = x - at(lam + h / 2) * math.expm1(h / 2) * e
                x = x - at(lam + h) * math.expm1(h) * eps(u, at(lam + h / 2))
            else:
                r1, r2 = 1 / 3, 2 / 3
                u1 = x - at(lam + r1 * h) * math.expm1(r1 * h) * e
                d1 = eps(u1, at(lam + r1 * h)) - e
                u2 = x - at(lam + r2 * h) * (math.expm1(r2 * h) * e + r2 / r1 * (math.expm1(r2 * h) / (r2 * h) - 1) * d1)
                d2 = eps(u2, at(lam + r2 * h)) - e
                x = x - at(lam + h) * (math.expm1(h) * e + 1 / r2 * (math.expm1(h) / h - 1) * d2)
        return x

    sigmas = karras_levels(evaluations + 1)
    check_plain("dpm_fast", expected, sigmas)
    ended = run(SAMPLERS["dpm_fast"](X, [*sigmas, 0.0]))
    torch.testing.assert_close(ended, denoised(run(SAMPLERS["dpm_fast"](X, sigmas)), sigmas[-1]))


@pytest.mark.parametrize(("order", "rtol", "eta"), [(3, 0.05, 0.0), (2, 0.02, 0.0), (3, 0.05, 0.5)])
@pytest.mark.parametrize("control", [StepControl(), StepControl(h_init=0.4, pcoeff=0.2, icoeff=0.8, dcoeff=0.1)])
def test_dpm_adaptive(order: int, rtol: float, eta: float, control: StepControl) -> None:
    """Embedded pairs of orders 1-2 and 2-3 in lambda; every try evaluates afresh, refused or not."""

    def expected(x: Tensor, sigmas: list[float], draw: Draw) -> Tensor:
        lam, stop, h, previous, errors = -math.log(sigmas[0]), -math.log(sigmas[-1]), control.h_init, x, []
        divisor = 1.5 if eta else order
        while stop - lam > 1e-5:
            to = min(stop, lam + h)
            a, b = math.exp(-lam), math.exp(-to)
            down = max(sigmas[-1], ancestral(a, b, eta)[0]) if eta else b
            g, e = math.log(a / down), eps(x, a)
            r = 1 / 2 if order == 2 else 1 / 3
            s1, s2 = a * math.exp(-r * g), a * math.exp(-2 / 3 * g)
            d1 = eps(x - s1 * math.expm1(r * g) * e, s1) - e
            low = x - down * math.expm1(g) * e
            second = low - down / (2 * r) * math.expm1(g) * d1
            if order == 2:
                high = second
            else:
                u2 = x - s2 * math.expm1(2 / 3 * g) * e - s2 * 2 * (math.expm1(2 / 3 * g) / (2 / 3 * g) - 1) * d1
                high, low = low - down * 1.5 * (math.expm1(g) / g - 1) * (eps(u2, s2) - e), second
            allowed = torch.maximum(torch.full_like(x, 0.0078), rtol * torch.maximum(low.abs(), previous.abs()))
            now = 1 / (float((((low - high) / allowed) ** 2).mean() ** 0.5) + 1e-8)
            errors = errors or [now, now]
            p, i, d = control.pcoeff, control.icoeff, control.dcoeff
            factor = now ** ((p + i + d) / divisor) * errors[-1] ** (-(p + 2 * d) / divisor) * errors[-2] ** (d / divisor)
            factor = 1 + math.atan(factor - 1)
            h *= factor
            if factor >= 0.81:
                errors, previous, lam = [*errors, now], low, to
                x = high + math.sqrt(max(0.0, b * b - down * down)) * draw() if eta else high
        return x

    check("dpm_adaptive", expected, [14.0, 0.1], tolerance=1e-7, order=order, rtol=rtol, eta=eta, control=control)


@pytest.mark.parametrize("steps", [5, 20, 36, 50])
def test_restart(steps: int) -> None:
    """AUTOMATIC1111's rule: how often, from where, how far back."""

    def expected(x: Tensor, sigmas: list[float], draw: Draw) -> Tensor:
        extra, times = (0, 0) if steps < 20 else (9, 1) if steps < 36 else (steps // 4, 2)
        if times:
            sigmas = [*karras_levels(steps - extra * times, sigmas[-2], sigmas[0]), 0.0]
        low = min(range(len(sigmas)), key=lambda i: abs(sigmas[i] - 0.1))
        high = min(range(len(sigmas)), key=lambda i: abs(sigmas[i] - 2))
        for i, (a, b) in enumerate(pairwise(sigmas)):
            x = heun_step(x, a, b)
            if i + 1 == low:
                for _ in range(times):
                    x = x + math.sqrt(sigmas[high] ** 2 - sigmas[low] ** 2) * draw()
                    for c, d in pairwise(karras_levels(extra + 1, sigmas[low], sigmas[high])):
                        x = heun_step(x, c, d)
        return x

    check("restart", expected, [*(14.0 * (0.03 / 14.0) ** (i / (steps - 1)) for i in range(steps)), 0.0])


def test_restart_intervals_of_ones_own() -> None:
    def expected(x: Tensor, sigmas: list[float], draw: Draw) -> Tensor:
        for a, b in [(14.0, 5.0), (5.0, 1.0)]:
            x = heun_step(x, a, b)
        for _ in range(3):
            x = x + math.sqrt(24) * draw()
            for a, b in pairwise(karras_levels(4, 1.0, 5.0)):
                x = heun_step(x, a, b)
        return heun_step(x, 1.0, 0.0)

    check("restart", expected, [14.0, 5.0, 1.0, 0.0], restarts=[Restart(low=0.9, high=6.0, steps=4, times=3)])


def test_euler_cfg_pp() -> None:
    """Chung et al. 2024: the guided estimate plus noise along the unguided direction."""
    sampler, x, sigmas = SAMPLERS["euler_cfg_pp"](X, [14.0, 2.0, 0.5, 0.0]), X, [14.0, 2.0, 0.5, 0.0]
    asked: Evaluate = next(sampler)
    for a, b in pairwise(sigmas):
        torch.testing.assert_close(asked.x, x)
        plain = denoised(x, a)
        guided = plain + 0.6 * torch.tanh(x)
        x = guided + b * (x - plain) / a
        try:
            asked = sampler.send(Prediction(guided, plain))
        except StopIteration as stop:
            torch.testing.assert_close(stop.value, x)
    torch.testing.assert_close(run(SAMPLERS["euler_cfg_pp"](X, sigmas)), run(SAMPLERS["euler"](X, sigmas)))  # unguided: Euler


def heun_step(x: Tensor, a: float, b: float) -> Tensor:
    d = eps(x, a)
    return x + (b - a) * (d if b == 0 else (d + eps(x + (b - a) * d, b)) / 2)


def check_plain(name: str, expected: Callable[[Tensor, list[float], Draw], Tensor], sigmas: list[float], **options: Any) -> None:
    x, wanted = run(SAMPLERS[name](X, sigmas, **options)), expected(X, sigmas, lambda: X)
    error = float((x - wanted).abs().max() / wanted.std())
    assert error < 1e-9, f"{name} at {len(sigmas) - 1} steps: {error:.1e}"
