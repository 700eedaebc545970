"""dpm_solver: its equals among the samplers written for one case each, and how fast its orders converge."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from kakusan.samplers.dpm_solver import dpm_solver
from kakusan.samplers.dpmpp import dpmpp_2m, dpmpp_2m_sde
from kakusan.types import Sampler
from toy import ToyNoise, run

SIGMAS = [14.0 * (1 - i / 12) ** 2 for i in range(13)]
X = 14.0 * torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_second_order_is_dpmpp_2m() -> None:
    torch.testing.assert_close(run(dpm_solver(X, SIGMAS, orders=[1] + [2] * 11)), run(dpmpp_2m(X, SIGMAS)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("solver_type", ["midpoint", "heun"])
def test_second_order_with_noise_is_dpmpp_2m_sde(solver_type: Any) -> None:
    mine = dpm_solver(X, SIGMAS, ToyNoise(1, 2), orders=[1] + [2] * 11, algorithm="sde-dpmsolver++", solver_type=solver_type)
    torch.testing.assert_close(run(mine), run(dpmpp_2m_sde(X, SIGMAS, ToyNoise(1, 2), solver_type=solver_type)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("algorithm", ["dpmsolver", "dpmsolver++"])
@pytest.mark.parametrize("solver_type", ["midpoint", "heun"])
@pytest.mark.parametrize(("order", "singlestep"), [(1, False), (2, False), (2, True), (3, True)])
def test_converges_at_its_order(algorithm: Any, solver_type: Any, order: int, singlestep: bool) -> None:
    """Of a Gaussian of variance 1/4 the ODE has a closed solution: x is scaled as sqrt(1/4 + sigma^2)."""

    def gaussian(x: Tensor, sigma: Tensor) -> Tensor:
        return x / (1 + 4 * sigma.view(-1, 1, 1, 1) ** 2)

    def error(steps: int) -> float:
        sigmas = [10.0 * (0.1 / 10.0) ** (i / steps) for i in range(steps + 1)]
        orders = [*range(1, order + 1)] * (steps // order) if singlestep else [min(order, i + 1) for i in range(steps)]
        sampler: Sampler = dpm_solver(X, sigmas, orders=orders, algorithm=algorithm, solver_type=solver_type, singlestep=singlestep)
        exact = X * math.sqrt((0.25 + 0.01) / (0.25 + 100))
        return float((run(sampler, gaussian) - exact).abs().max())

    assert math.log2(error(48) / error(96)) > order - 0.35
