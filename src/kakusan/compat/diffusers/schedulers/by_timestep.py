"""DDIM, DDPM and PNDM under diffusers' names: at home on the model's own timesteps, wherever `step` is told that it is."""

import math
import sys
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from ....errors import KakusanError
from ....samplers.ddim import ddim, ddpm
from ....samplers.pndm import IMPROVED_EULER, RUNGE_KUTTA, linear_multistep
from ....types import Sampler
from ..random import Generators
from . import tables
from .defaults import BETAS, EPSILON, LEADING, THRESHOLDS
from .facade import LOWEST_ALPHA, Scheduler, Stepped, as_column
from .indexed import Device, Timestep


class ByTimestep(Scheduler):
    """Levels are the table's; latents come as sqrt(alpha) * clean + sqrt(1 - alpha) * noise, alpha from the table."""

    init_noise_sigma: ClassVar[float] = 1.0

    def __init__(self, *args: object, **settings: object):
        super().__init__(*args, **settings)
        last = torch.tensor(1.0) if self._settings.get("set_alpha_to_one", True) else self.alphas_cumprod[0]
        self.final_alpha_cumprod = last
        self.timesteps = torch.arange(len(self) - 1, -1, -1)

    def scale_model_input(self, sample: Tensor, timestep: Timestep | None = None) -> Tensor:
        """The latent as it is: it is scaled already."""
        return sample

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Latents (n c h w) with the noise of timesteps (n,)."""
        share = self._share(timesteps, original_samples)
        return share**0.5 * original_samples + (1 - share) ** 0.5 * noise

    def _share(self, timesteps: Tensor, like: Tensor) -> Tensor:
        return as_column(self.alphas_cumprod.to(like)[timesteps.to(like.device)], like)  # n 1 1 1

    def _sigma(self, t: int) -> float:
        """The level of a timestep; before the first, that at the end of a run."""
        if t >= len(self):
            raise KakusanError(
                f"{type(self).__name__}: timestep {t} is beyond the last, {len(self) - 1}",
                f"{type(self).__name__}: タイムステップ {t} は最後の {len(self) - 1} を超えています",
            )
        alpha = max(float(self.alphas_cumprod[t] if t >= 0 else self.final_alpha_cumprod), LOWEST_ALPHA)
        return math.sqrt((1 - alpha) / alpha)

    def _spaced(self, steps: int | None) -> Tensor:
        name = f"{type(self).__name__}.set_timesteps"
        self.num_inference_steps = count = tables.check_steps(name, steps, len(self))
        spaced = tables.spaced(self.config.timestep_spacing, len(self), count, self.config.steps_offset)
        return torch.from_numpy(spaced.round().astype(np.int64))

    def _stride(self) -> int:
        if self.num_inference_steps is None:
            raise KakusanError(
                f"{type(self).__name__}: call set_timesteps before step",
                f"{type(self).__name__}: step の前に set_timesteps を呼んでください",
            )
        return len(self) // self.num_inference_steps

    def get_velocity(self, sample: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """v (n c h w) of latents and their noise at timesteps (n,): Salimans and Ho 2022, appendix D."""
        share = self._share(timesteps, sample)
        return share**0.5 * noise - (1 - share) ** 0.5 * sample


class DDIMScheduler(ByTimestep):
    """`samplers.ddim`, from a timestep to the one a stride before it."""

    defaults: ClassVar = {
        **BETAS,
        "clip_sample": True,
        "set_alpha_to_one": True,
        "steps_offset": 0,
        **EPSILON,
        **THRESHOLDS,
        "timestep_spacing": "leading",
        "rescale_betas_zero_snr": False,
    }

    def set_timesteps(self, num_inference_steps: int, device: Device = None) -> None:
        """The timesteps of a number of steps."""
        self.timesteps = self._spaced(num_inference_steps).to(device)

    def step(
        self,
        model_output: Tensor,
        timestep: Timestep,
        sample: Tensor,
        eta: float = 0.0,
        use_clipped_model_output: bool = False,
        generator: Generators = None,
        variance_noise: Tensor | None = None,
        return_dict: bool = True,
    ) -> Stepped:
        """The next latent. Noise is drawn if eta > 0, unless it is given.

        use_clipped_model_output: where clip_sample cuts off the estimate, the predicted noise follows it.
        """
        limit = self.config.clip_sample_range if self.config.clip_sample else math.inf
        if eta > 0 and variance_noise is not None and generator is not None:
            raise KakusanError(
                "DDIMScheduler.step: give generator or variance_noise, not both",
                "DDIMScheduler.step: generator と variance_noise はどちらか一方にしてください",
            )
        if eta > 0:
            self._draw(model_output, generator) if variance_noise is None else self._set_noise(variance_noise)
        before, after = (limit, math.inf) if use_clipped_model_output else (math.inf, limit)
        levels = self._sigma(int(timestep)), self._sigma(int(timestep) - self._stride())
        start = partial(ddim, noise=self._noise, eta=eta, clip=after)
        x, estimate = self._take(model_output, sample, levels, start, before)
        return self._result((x, estimate.clamp(-limit, limit)), return_dict)


class DDPMScheduler(ByTimestep):
    """`samplers.ddpm`, from a timestep to the next in the list; before set_timesteps to the next of all."""

    defaults: ClassVar = {
        **BETAS,
        "variance_type": "fixed_small",
        "clip_sample": True,
        **EPSILON,
        **THRESHOLDS,
        **LEADING,
        "rescale_betas_zero_snr": False,
    }
    choices: ClassVar = {"variance_type": ("fixed_small", "fixed_small_log", "fixed_large")}

    custom_timesteps = False

    def set_timesteps(self, num_inference_steps: int | None = None, device: Device = None, timesteps: Sequence[int] | None = None) -> None:
        """The timesteps of a number of steps, or falling ones of one's own."""
        self.custom_timesteps = timesteps is not None
        if timesteps is None:
            self.timesteps = self._spaced(num_inference_steps).to(device)
            return
        if num_inference_steps is not None or [*timesteps] != sorted({*timesteps}, reverse=True) or timesteps[0] >= len(self):
            raise KakusanError(
                f"DDPMScheduler.set_timesteps: give num_inference_steps, or falling timesteps below {len(self)}",
                f"DDPMScheduler.set_timesteps: num_inference_steps か、{len(self)} 未満で減少する timesteps を指定してください",
            )
        self.timesteps = torch.tensor(timesteps, dtype=torch.int64, device=device)

    def step(
        self, model_output: Tensor, timestep: Timestep, sample: Tensor, generator: Generators = None, return_dict: bool = True
    ) -> Stepped:
        """The next latent, with fresh noise except at timestep 0."""
        t = int(timestep)
        if t > 0:
            self._draw(model_output, generator)
        else:
            self._set_noise(torch.zeros_like(model_output))
        variance: Literal["small", "large"] = "large" if self.config.variance_type == "fixed_large" else "small"
        limit = self.config.clip_sample_range if self.config.clip_sample else math.inf
        start = partial(ddpm, noise=self._noise, variance=variance)
        return self._result(
            self._take(model_output, sample, (self._sigma(t), self._sigma(self.previous_timestep(t))), start, limit), return_dict
        )

    def previous_timestep(self, timestep: Timestep) -> int:
        """The timestep after this one in the list, less noisy; -1 after the last. Raises KakusanError if it is not in the list."""
        if not (self.custom_timesteps or self.num_inference_steps):
            return int(timestep) - 1
        listed: list[int] = self.timesteps.tolist()
        if timestep not in listed:
            raise KakusanError(
                f"DDPMScheduler: timestep {int(timestep)} is none of scheduler.timesteps",
                f"DDPMScheduler: タイムステップ {int(timestep)} は scheduler.timesteps にありません",
            )
        return [*listed, -1][listed.index(int(timestep)) + 1]


class PNDMScheduler(ByTimestep):
    """`samplers.pndm`, or `samplers.plms` with skip_prk_steps."""

    estimates = False
    defaults: ClassVar = {
        **BETAS,
        "skip_prk_steps": False,
        "set_alpha_to_one": False,
        **EPSILON,
        **LEADING,
    }
    choices: ClassVar = {"prediction_type": ("epsilon", "v_prediction")}

    _asked = 0  # evaluations in this run so far
    _step = (0.0, 0.0)  # levels from and to which the one under way leads

    def set_timesteps(self, num_inference_steps: int, device: Device = None) -> None:
        """The timesteps of every evaluation: 9 more than steps with Runge-Kutta steps at the start, else 1 more."""
        told = self._spaced(num_inference_steps)
        if self.config.skip_prk_steps:
            told = torch.cat([told[:2], told[1:2], told[2:]])
        elif num_inference_steps < 4:
            raise KakusanError(
                f"PNDMScheduler: {num_inference_steps} steps are too few for its Runge-Kutta steps; take 4 or more, or skip_prk_steps=True",
                f"PNDMScheduler: {num_inference_steps} ステップではルンゲ=クッタ法に足りません。4 以上か skip_prk_steps=True に",
            )
        else:
            half = self._stride() // 2
            told = torch.cat([*(torch.stack([a, b + half, b + half, b]) for a, b in pairwise(told[:4])), told[3:]])
        self.timesteps = told.to(device)
        self._run, self._asked = None, 0

    def step(self, model_output: Tensor, timestep: Timestep, sample: Tensor, return_dict: bool = True) -> Stepped:
        """What the network is to see next: the next latent, or in the first steps a trial."""
        if self._run is None:
            self._asked = 0
        t = int(timestep)
        self._step = self._leads(t)
        results = self._take(model_output, sample, [self._sigma(t)], self._start)
        self._asked += 1
        if t == int(self.timesteps[-1]) and self._asked > self._start_evaluations:
            self._run = None
        return self._result(results, return_dict)

    def _start(self, x: Tensor, levels: Sequence[float]) -> Sampler:
        start = IMPROVED_EULER if self.config.skip_prk_steps else RUNGE_KUTTA * 3
        velocity = self.config.prediction_type == "v_prediction"
        return linear_multistep(x, levels[0], lambda _: self._step, sys.maxsize, start, velocity=velocity)

    def _leads(self, t: int) -> tuple[float, float]:
        """From which level to which, as in diffusers: strides count, even where the timesteps are not a stride apart."""
        stride = self._stride()
        if not self.config.skip_prk_steps and self._asked < 12:
            return self._sigma(int(self.timesteps[self._asked // 4 * 4])), self._sigma(t - (0 if self._asked % 2 else stride // 2))
        if self._asked == 1:
            return self._sigma(min(t + stride, len(self) - 1)), self._sigma(t)
        return self._sigma(t), self._sigma(t - stride)

    @property
    def _start_evaluations(self) -> int:
        """How many there are before the last timestep means the end."""
        if not self.config.skip_prk_steps:
            return 12
        return 2 if len(self.timesteps) > 1 and self.timesteps[-2] == self.timesteps[-1] else 0
