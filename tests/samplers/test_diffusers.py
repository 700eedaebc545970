"""Samplers against the diffusers schedulers of the same algorithms, on a toy network.

diffusers computes its tables and some steps in float32; here "float32" means float64 to it, so that agreement can be tight.
Its DDIM, DDPM, PNDM, DPM-Solver, UniPC, DEIS and LCM keep x / sqrt(1 + sigma^2); the tests scale their ends.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import diffusers
import numpy as np
import pytest
import torch
from torch import Tensor

from kakusan.samplers import SAMPLERS
from kakusan.types import Sampler
from toy import TABLE, ToyNoise, eps_net, run

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # theirs

SPACED = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "timestep_spacing": "leading", "steps_offset": 1}
STEPS = (1, 2, 5, 20, 50)
NOISE = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
SEEDS = (7, 8)


@contextmanager
def in_float64() -> Iterator[None]:
    with mock.patch.object(torch, "float32", torch.float64), mock.patch.object(np, "float32", np.float64):
        yield


def make(kind: str, steps: int, **config: Any) -> Any:
    with in_float64():
        scheduler = getattr(diffusers, kind)(**{**SPACED, **config})
        scheduler.set_timesteps(steps)
    return scheduler


def theirs(scheduler: Any, x: Tensor, *, seeded: bool = False, **step: Any) -> Tensor:
    """The loop every diffusers pipeline has; its schedulers that scale x keep theirs in our coordinates."""
    if seeded:
        step["generator"] = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    with in_float64():
        for t in scheduler.timesteps:
            eps = eps_net(scheduler.scale_model_input(x, t), torch.as_tensor(t).double().expand(len(x)))
            x = scheduler.step(eps, t, x, **step).prev_sample
    return x


def ours(name: str, sigmas: list[float], *, seeded: bool = False, **options: Any) -> Tensor:
    sampler: Callable[..., Sampler] = SAMPLERS[name]
    x = NOISE * math.sqrt(1 + sigmas[0] ** 2)
    return run(sampler(x, sigmas, ToyNoise(*SEEDS), **options) if seeded else sampler(x, sigmas, **options))


def agree(a: Tensor, b: Tensor, tolerance: float = 1e-9) -> None:
    assert b.dtype == torch.float64
    assert b.isfinite().all()
    error = float((a - b).abs().max() / b.std())
    assert error < tolerance, f"largest difference is {error:.1e} of the standard deviation"


def start(sigmas: list[float]) -> Tensor:
    return NOISE * math.sqrt(1 + sigmas[0] ** 2)


def distinct(sigmas: Tensor) -> list[float]:
    """Schedulers of two evaluations a step hold their levels twice."""
    return list(dict.fromkeys(sigmas.tolist()))


def levels(timesteps: list[int], last: float) -> list[float]:
    return [*(float(TABLE[t]) for t in timesteps), last]


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("to_one", [True, False])
def test_ddim(steps: int, eta: float, to_one: bool) -> None:
    scheduler = make("DDIMScheduler", steps, clip_sample=False, set_alpha_to_one=to_one)
    sigmas = levels(scheduler.timesteps.tolist(), 0.0 if to_one else float(TABLE[0]))
    x = ours("ddim", sigmas, seeded=True, eta=eta) / math.sqrt(1 + sigmas[-1] ** 2)
    agree(x, theirs(scheduler, NOISE, seeded=True, eta=eta))


@pytest.mark.parametrize("steps", STEPS)
def test_ddpm(steps: int) -> None:
    scheduler = make("DDPMScheduler", steps, clip_sample=False)
    # where the variance is 0, diffusers adds noise of 1e-10, before a picture of standard deviation 0.03
    agree(ours("ddpm", levels(scheduler.timesteps.tolist(), 0.0), seeded=True), theirs(scheduler, NOISE, seeded=True), 3e-8)


@pytest.mark.parametrize("steps", STEPS)
def test_plms(steps: int) -> None:
    scheduler = make("PNDMScheduler", steps, skip_prk_steps=True)
    sigmas = levels(scheduler._timesteps[::-1].tolist(), float(TABLE[0]))
    agree(ours("plms", sigmas) / math.sqrt(1 + sigmas[-1] ** 2), theirs(scheduler, NOISE))


@pytest.mark.parametrize("steps", [4, 5, 20, 50])  # diffusers cannot do fewer
def test_pndm(steps: int) -> None:
    scheduler = make("PNDMScheduler", steps)
    timesteps = scheduler._timesteps[::-1].tolist()
    sigmas = levels(timesteps, float(TABLE[0]))
    midpoints = [float(TABLE[t - 1000 // steps // 2]) for t in timesteps[:3]]
    agree(ours("pndm", sigmas, midpoints=midpoints) / math.sqrt(1 + sigmas[-1] ** 2), theirs(scheduler, NOISE))


@pytest.mark.parametrize("steps", STEPS)
def test_lms(steps: int) -> None:
    scheduler = make("LMSDiscreteScheduler", steps)
    sigmas = scheduler.sigmas.tolist()
    agree(ours("lms", sigmas), theirs(scheduler, start(sigmas)))


@pytest.mark.parametrize("steps", STEPS)
def test_euler(steps: int) -> None:
    scheduler = make("EulerDiscreteScheduler", steps)
    sigmas = scheduler.sigmas.tolist()
    agree(ours("euler", sigmas), theirs(scheduler, start(sigmas)))


@pytest.mark.parametrize("steps", STEPS)
def test_euler_ancestral(steps: int) -> None:
    scheduler = make("EulerAncestralDiscreteScheduler", steps)
    sigmas = scheduler.sigmas.tolist()
    agree(ours("euler_ancestral", sigmas, seeded=True), theirs(scheduler, start(sigmas), seeded=True))


@pytest.mark.parametrize("steps", STEPS)
def test_heun(steps: int) -> None:
    scheduler = make("HeunDiscreteScheduler", steps)
    sigmas = distinct(scheduler.sigmas)
    agree(ours("heun", sigmas), theirs(scheduler, start(sigmas)))


@pytest.mark.parametrize("steps", STEPS)
def test_dpm_2(steps: int) -> None:
    scheduler = make("KDPM2DiscreteScheduler", steps)
    sigmas = distinct(scheduler.sigmas)
    agree(ours("dpm_2", sigmas), theirs(scheduler, start(sigmas)))


@pytest.mark.parametrize("steps", STEPS)
def test_dpm_2_ancestral(steps: int) -> None:
    scheduler = make("KDPM2AncestralDiscreteScheduler", steps)
    sigmas = distinct(scheduler.sigmas)
    agree(ours("dpm_2_ancestral", sigmas, seeded=True), theirs(scheduler, start(sigmas), seeded=True))


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("end", ["zero", "sigma_min"])
def test_dpmpp_2m(steps: int, end: str) -> None:
    scheduler = make("DPMSolverMultistepScheduler", steps, final_sigmas_type=end, lower_order_final=False)
    sigmas = scheduler.sigmas.tolist()
    agree(ours("dpmpp_2m", sigmas) / math.sqrt(1 + sigmas[-1] ** 2), theirs(scheduler, NOISE))


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("solver_type", ["midpoint", "heun"])
def test_dpmpp_2m_sde(steps: int, solver_type: str) -> None:
    scheduler = make("DPMSolverMultistepScheduler", steps, algorithm_type="sde-dpmsolver++", solver_type=solver_type)
    agree(ours("dpmpp_2m_sde", scheduler.sigmas.tolist(), seeded=True, solver_type=solver_type), theirs(scheduler, NOISE, seeded=True))


@pytest.mark.parametrize("steps", STEPS)
def test_dpmpp_3m_sde_without_noise(steps: int) -> None:
    # with noise, diffusers 0.42 has the last term of order 3 wrong (-1/2 for +1/2): see test_formulas for that
    scheduler = make("DPMSolverMultistepScheduler", steps, solver_order=3, solver_type="heun", lower_order_final=False, euler_at_final=True)
    agree(ours("dpmpp_3m_sde", scheduler.sigmas.tolist(), seeded=True, eta=0.0), theirs(scheduler, NOISE))


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(("variant", "end"), [("bh2", "zero"), ("bh2", "sigma_min"), ("bh1", "sigma_min")])  # their bh1 cannot end in 0
def test_unipc(steps: int, order: int, variant: str, end: str) -> None:
    scheduler = make("UniPCMultistepScheduler", steps, solver_order=order, solver_type=variant, final_sigmas_type=end)
    sigmas = scheduler.sigmas.tolist()
    agree(ours("unipc", sigmas, order=order, variant=variant) / math.sqrt(1 + sigmas[-1] ** 2), theirs(scheduler, NOISE))


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_deis(steps: int, order: int) -> None:
    scheduler = make("DEISMultistepScheduler", steps, solver_order=order)
    sigmas = scheduler.sigmas.tolist()
    agree(ours("deis", sigmas, order=order) / math.sqrt(1 + sigmas[-1] ** 2), theirs(scheduler, NOISE))


@pytest.mark.parametrize("steps", STEPS)
def test_lcm(steps: int) -> None:
    # its scaling of the estimate at the boundary, part of a consistency model rather than of the sampler, is switched off
    scheduler = make("LCMScheduler", steps, clip_sample=False, timestep_scaling=1e12)
    agree(ours("lcm", levels(scheduler.timesteps.tolist(), 0.0), seeded=True), theirs(scheduler, NOISE, seeded=True))
