"""The loop that pipelines have round a scheduler, with a toy for the network: once with diffusers' class, once with ours."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import diffusers
import numpy as np
import torch
from torch import Tensor

from kakusan.compat.diffusers import schedulers

diffusers.logging.set_verbosity_error()

NAMES = (
    *("DDIMScheduler", "DDPMScheduler", "PNDMScheduler", "LMSDiscreteScheduler", "EulerDiscreteScheduler"),
    *("EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler"),
    *("DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler", "DEISMultistepScheduler"),
)
STABLE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SHAPE = (2, 4, 5, 5)
KERNEL = 0.12 * torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
NOISE = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
PICTURE = 0.5 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@dataclass
class Loop:
    """How the loop goes.

    begin: steps left out, for a picture made from another. changed: every latent is tampered with between the steps.
    """

    steps: int = 20
    dtype: torch.dtype = torch.float64
    begin: int = 0
    changed: bool = False
    set_begin_index: bool = True
    options: dict[str, Any] = field(default_factory=dict)
    chosen: dict[str, Any] = field(default_factory=dict)


@dataclass
class Trace:
    """What a scheduler said."""

    latents: list[Tensor]
    estimates: list[Tensor | None]
    timesteps: Tensor
    init_noise_sigma: float
    sigmas: Tensor | None
    random_state: Tensor


def network(x: Tensor, t: Tensor) -> Tensor:
    """Neither noise nor v of anything, which schedulers cannot know."""
    h = torch.nn.functional.conv2d(x, KERNEL.to(x.dtype), padding=1) + 0.3 * float(torch.sin(t.double() / 300))
    return torch.tanh(h) + 0.5 * x


def trace(scheduler: Any, loop: Loop) -> Trace:
    scheduler.set_timesteps(**loop.chosen) if loop.chosen else scheduler.set_timesteps(loop.steps)
    timesteps = scheduler.timesteps[loop.begin * scheduler.order :]
    generator, options = torch.Generator().manual_seed(7), dict(loop.options)
    if "generator" in inspect.signature(scheduler.step).parameters and "variance_noise" not in options:
        options["generator"] = generator
    x = NOISE.to(loop.dtype) * scheduler.init_noise_sigma
    if loop.begin:
        if loop.set_begin_index and hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(loop.begin * scheduler.order)
        x = scheduler.add_noise(PICTURE.to(loop.dtype), NOISE.to(loop.dtype), timesteps[:1].repeat(len(NOISE)))
    latents, estimates = [], []
    for t in timesteps:
        out = scheduler.step(network(scheduler.scale_model_input(x, t), t), t, x, **options)
        latents.append(out.prev_sample)
        estimates.append(getattr(out, "pred_original_sample", None))
        x = 0.97 * out.prev_sample + 0.01 if loop.changed else out.prev_sample
    sigmas = scheduler.sigmas if hasattr(scheduler, "sigmas") else None
    return Trace(latents, estimates, scheduler.timesteps, float(scheduler.init_noise_sigma), sigmas, generator.get_state())


def compare(theirs: Any, ours: Any, loop: Loop, tolerance: float = 1e-5) -> None:
    """Every latent and estimate of both loops within the tolerance, of their spread; timesteps and levels to float32's last digits."""
    a, b = trace(theirs, loop), trace(ours, loop)
    assert len(a.latents) == len(b.latents)
    for step, (x, y) in enumerate(zip(a.latents, b.latents, strict=True)):
        assert x.dtype == y.dtype
        assert gap(x, y) < tolerance, f"step {step}: {gap(x, y):.1e}"
    for x0, y0 in zip(a.estimates, b.estimates, strict=True):
        assert (x0 is None) == (y0 is None)
        assert x0 is None or y0 is None or gap(x0, y0) < tolerance
    assert a.timesteps.dtype == b.timesteps.dtype
    torch.testing.assert_close(b.timesteps, a.timesteps, rtol=1e-6, atol=1e-4)
    assert abs(a.init_noise_sigma - b.init_noise_sigma) <= 1e-6 * a.init_noise_sigma
    assert (a.sigmas is None) == (b.sigmas is None)
    if a.sigmas is not None:
        torch.testing.assert_close(b.sigmas, a.sigmas, rtol=1e-6, atol=0)
    assert torch.equal(a.random_state, b.random_state), "another number of random numbers was drawn"


def pair(name: str, **settings: Any) -> tuple[Any, Any]:
    return getattr(diffusers, name)(**settings), getattr(schedulers, name)(**settings)


def gap(x: Tensor, y: Tensor) -> float:
    assert bool(x.isfinite().all()), "diffusers' own numbers are not finite: choose another case"
    return float((x - y).abs().max() / x.std())


@contextmanager
def in_float64() -> Iterator[None]:
    """diffusers' tables and weights without rounding, so that agreement can be tight."""
    with mock.patch.object(torch, "float32", torch.float64), mock.patch.object(np, "float32", np.float64):
        yield
