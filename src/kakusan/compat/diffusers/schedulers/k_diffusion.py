"""Euler, LMS, Heun and DPM-2 under diffusers' names, after Karras et al. 2022 and k-diffusion."""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ....errors import KakusanError
from ....samplers.adams import lms
from ....samplers.dpm import dpm_2, dpm_2_ancestral
from ....samplers.euler import euler, euler_ancestral
from ....samplers.heun import heun
from ....types import Prediction, Sampler
from ..random import Generators, randn
from . import tables
from .defaults import BETAS, EPSILON, LINSPACE, RAMPS, STABLE_BETAS
from .exploding import Exploding
from .facade import Stepped, as_column
from .indexed import Device, Timestep


class EulerDiscreteScheduler(Exploding):
    """`samplers.euler`."""

    defaults: ClassVar = {
        **BETAS,
        **EPSILON,
        "interpolation_type": "linear",
        **RAMPS,
        "sigma_min": None,
        "sigma_max": None,
        "timestep_spacing": "linspace",
        "timestep_type": "discrete",
        "steps_offset": 0,
        "rescale_betas_zero_snr": False,
        "final_sigmas_type": "zero",
    }

    def __init__(self, *args: object, **settings: object):
        super().__init__(*args, **settings)
        if self._continuous:
            self.timesteps = 0.25 * self.sigmas[:-1].log()

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: Device = None,
        timesteps: Sequence[float] | None = None,
        sigmas: Sequence[float] | None = None,
    ) -> None:
        """The levels for a number of steps; or for timesteps; or the levels themselves, the one at the end included."""
        steps = self._count(num_inference_steps, timesteps, sigmas)
        table = tables.sigmas(self.alphas_cumprod)
        if sigmas is None:
            levels, t = self._spread(steps, timesteps)
            levels = np.append(levels, table[0] if self.config.final_sigmas_type == "sigma_min" else 0)
        else:
            levels = np.array(sigmas, dtype=np.float32)
            t = tables.timesteps_of(levels[:-1], table)
        falling = torch.from_numpy(levels.astype(np.float32))
        told = 0.25 * falling[:-1].log() if self._continuous else torch.from_numpy(t.astype(np.float32))
        self._restart(falling, told.to(device))

    def step(
        self,
        model_output: Tensor,
        timestep: Timestep,
        sample: Tensor,
        s_churn: float = 0.0,
        s_tmin: float = 0.0,
        s_tmax: float = math.inf,
        s_noise: float = 1.0,
        generator: Generators = None,
        return_dict: bool = True,
    ) -> Stepped:
        """The next latent. s_churn is spread over the steps; what it adds is drawn only at levels from s_tmin to s_tmax."""
        churn = s_churn / (len(self.sigmas) - 1)

        def start(x: Tensor, levels: Sequence[float]) -> Sampler:
            return euler(x, levels[:2], self._noise, s_churn=churn, s_tmin=s_tmin, s_tmax=s_tmax, s_noise=s_noise)

        self._fresh = lambda: randn(model_output.shape, generator, model_output.device, model_output.dtype)
        return self._result(self._walk(model_output, timestep, sample, start), return_dict)

    def get_velocity(self, sample: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """v (n c h w) of a latent and its noise. As in diffusers, which looks up the place in `timesteps`, not the timestep."""
        share = as_column(self.alphas_cumprod[[self.index_for_timestep(t) for t in timesteps]], sample)  # n 1 1 1
        return share**0.5 * noise - (1 - share) ** 0.5 * sample

    @property
    def _continuous(self) -> bool:
        return bool(self.config.timestep_type == "continuous" and self.config.prediction_type == "v_prediction")

    def _denoised(self, output: Tensor, x: Tensor, sigma: float) -> Tensor:
        if self.config.prediction_type == "v_prediction":  # diffusers leaves what churn adds out of this
            sigma = float(self.sigmas[self._step_index])
        return super()._denoised(output, x, sigma)


class EulerAncestralDiscreteScheduler(Exploding):
    """`samplers.euler_ancestral`."""

    defaults: ClassVar = {**BETAS, **EPSILON, **LINSPACE, "rescale_betas_zero_snr": False}

    def set_timesteps(self, num_inference_steps: int, device: Device = None) -> None:
        """The levels for a number of steps."""
        levels, t = self._spread(self._count(num_inference_steps))
        self._restart(torch.from_numpy(np.append(levels, 0)), torch.from_numpy(t).to(device))

    def step(
        self, model_output: Tensor, timestep: Timestep, sample: Tensor, generator: Generators = None, return_dict: bool = True
    ) -> Stepped:
        """The next latent, with fresh noise."""
        self._draw(model_output, generator)
        return self._result(
            self._walk(model_output, timestep, sample, lambda x, levels: euler_ancestral(x, levels[:2], self._noise)), return_dict
        )


class LMSDiscreteScheduler(Exploding):
    """`samplers.lms`."""

    defaults: ClassVar = {**BETAS, **RAMPS, **EPSILON, **LINSPACE}

    def __init__(self, *args: object, **settings: object):
        super().__init__(*args, **settings)
        self._order = 4
        self.set_timesteps(len(self))

    def set_timesteps(self, num_inference_steps: int, device: Device = None) -> None:
        """The levels for a number of steps."""
        levels, t = self._spread(self._count(num_inference_steps))
        self._restart(torch.from_numpy(np.append(levels, 0)), torch.from_numpy(t.astype(np.float32)).to(device))

    def step(self, model_output: Tensor, timestep: Timestep, sample: Tensor, order: int = 4, return_dict: bool = True) -> Stepped:
        """The next latent. Raises KakusanError if `order` changes in the middle of a run."""
        if self._run is not None and order != self._order:
            raise KakusanError(
                f"LMSDiscreteScheduler: order changed from {self._order} to {order} in mid-run; keep it till set_timesteps",
                f"LMSDiscreteScheduler: 実行中に order が {self._order} から {order} に変わりました。set_timesteps まで変えないでください",
            )
        self._order = order
        return self._result(self._walk(model_output, timestep, sample, self._from_here), return_dict)

    def _from_here(self, x: Tensor, levels: Sequence[float]) -> Sampler:
        """As in diffusers a run from the middle counts the levels before, with slopes of zero there."""
        place = self._step_index or 0
        before = self._levels(max(0, place - self._order + 1))
        return _from_question(lms(x, before, order=self._order), len(before) - len(levels))


class HeunDiscreteScheduler(Exploding):
    """`samplers.heun`."""

    order = 2
    stages = 2
    defaults: ClassVar = {**STABLE_BETAS, **EPSILON, **RAMPS, "clip_sample": False, "clip_sample_range": 1.0, **LINSPACE}

    def __init__(self, *args: object, **settings: object):
        super().__init__(*args, **settings)
        self.set_timesteps(len(self))

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: Device = None,
        num_train_timesteps: int | None = None,
        timesteps: Sequence[float] | None = None,
    ) -> None:
        """The levels for a number of steps, or for timesteps."""
        levels, t = self._spread(self._count(num_inference_steps, timesteps), timesteps, num_train_timesteps)
        sigmas, told = torch.from_numpy(levels), torch.from_numpy(t.astype(np.float32))
        twice = torch.cat([sigmas[:1], sigmas[1:].repeat_interleave(2), torch.zeros(1)])
        self._restart(twice, torch.cat([told[:1], told[1:].repeat_interleave(2)]).to(device))

    def step(self, model_output: Tensor, timestep: Timestep, sample: Tensor, return_dict: bool = True) -> Stepped:
        """What the network is to see for the step's second slope, and after that the next latent."""
        limit = self.config.clip_sample_range if self.config.clip_sample else math.inf
        return self._result(self._walk(model_output, timestep, sample, heun, limit), return_dict)


class KDPM2DiscreteScheduler(Exploding):
    """`samplers.dpm_2`."""

    order = 2
    stages = 2
    defaults: ClassVar = {**STABLE_BETAS, **RAMPS, **EPSILON, **LINSPACE}

    def __init__(self, *args: object, **settings: object):
        super().__init__(*args, **settings)
        self.set_timesteps(len(self))

    def set_timesteps(self, num_inference_steps: int, device: Device = None, num_train_timesteps: int | None = None) -> None:
        """The levels for a number of steps, and the timesteps in the middle of each."""
        levels, t = self._spread(self._count(num_inference_steps), total=num_train_timesteps)
        sigmas = torch.from_numpy(levels.astype(np.float32))
        inside = self._reached(sigmas).log().lerp(sigmas[:-1].log(), 0.5).exp().numpy()
        between = tables.timesteps_of(inside, tables.sigmas(self.alphas_cumprod)).astype(t.dtype)
        told = torch.from_numpy(t.round() if self.config.use_karras_sigmas else t)
        self._restart(
            torch.cat([sigmas[:1], sigmas[1:].repeat_interleave(2), torch.zeros(3)]),
            torch.cat([told[:1], torch.stack([torch.from_numpy(between), told[1:]], dim=1).flatten()]).to(device),
        )

    def step(self, model_output: Tensor, timestep: Timestep, sample: Tensor, return_dict: bool = True) -> Stepped:
        """What the network is to see for the slope in the middle of the step, and after that the next latent."""
        return self._result(self._walk(model_output, timestep, sample, dpm_2), return_dict)

    def _reached(self, sigmas: Tensor) -> Tensor:
        """Where the steps (n - 1,) between levels (n,) end, before any noise is added."""
        return sigmas[1:]


class KDPM2AncestralDiscreteScheduler(KDPM2DiscreteScheduler):
    """`samplers.dpm_2_ancestral`."""

    def step(  # type: ignore[override]
        self, model_output: Tensor, timestep: Timestep, sample: Tensor, generator: Generators = None, return_dict: bool = True
    ) -> Stepped:
        """What the network is to see for the slope in the middle of the step, and after that the next latent, with fresh noise."""
        self._fresh = lambda: randn(model_output.shape, generator, model_output.device, model_output.dtype)
        return self._result(
            self._walk(model_output, timestep, sample, lambda x, levels: dpm_2_ancestral(x, levels, self._noise)), return_dict
        )

    def _reached(self, sigmas: Tensor) -> Tensor:
        start, end = sigmas[:-1], sigmas[1:]
        up = (end**2 * (start**2 - end**2) / start**2) ** 0.5  # float32 and in this order, for the same rounding as diffusers
        return (end**2 - up**2) ** 0.5


def _from_question(sampler: Sampler, count: int) -> Sampler:
    """The sampler from its question number `count` on; those before are answered as if x had no noise in it."""
    asked = next(sampler)
    for _ in range(count):
        asked = sampler.send(Prediction(asked.x))
    try:
        while True:
            asked = sampler.send((yield asked))
    except StopIteration as stop:
        x: Tensor = stop.value
        return x
