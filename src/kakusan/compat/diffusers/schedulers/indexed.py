"""Schedulers that count their steps along a list of noise levels; only a run's first timestep is looked up."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ....errors import KakusanError
from .facade import Scheduler, Start, as_column

Timestep = int | float | Tensor
Device = str | torch.device | None


class Indexed(Scheduler):
    """With `sigmas`, and timesteps to tell the network.

    stages: evaluations of the network in a step; with 2, all levels but the first stand twice in `sigmas`.
    """

    stages: ClassVar[int] = 1
    strict: ClassVar[bool] = True  # a timestep that is not in the list is refused; else it stands for the last

    sigmas: Tensor

    _step_index: int | None = None
    _begin_index: int | None = None
    _expected: int | None = None  # where the sampler under way stands

    def __init__(self, *args: object, **settings: object):
        super().__init__(*args, **settings)
        if self._settings.get("rescale_betas_zero_snr"):
            self.alphas_cumprod[-1] = 2.0**-24

    @property
    def step_index(self) -> int | None:
        """The number of the next step, None before a run."""
        return self._step_index

    @property
    def begin_index(self) -> int | None:
        """Where the next run starts, None if its first timestep is to tell."""
        return self._begin_index

    def set_begin_index(self, begin_index: int = 0) -> None:
        """The next run starts at this step, for pictures made from others."""
        self._begin_index = begin_index

    def index_for_timestep(self, timestep: Timestep, schedule_timesteps: Tensor | None = None) -> int:
        """Where a timestep stands in the list; if twice, the second time, where its step begins. Raises KakusanError if it does not."""
        among = self.timesteps if schedule_timesteps is None else schedule_timesteps
        found = (among == (timestep.to(among.device) if isinstance(timestep, Tensor) else timestep)).nonzero().flatten()
        if len(found) == 0:
            if not self.strict:
                return len(self.timesteps) - 1
            t = float(timestep)
            raise KakusanError(
                f"{type(self).__name__}: timestep {t:g} is none of scheduler.timesteps; give those, not their numbers",
                f"{type(self).__name__}: タイムステップ {t:g} は scheduler.timesteps にありません。番号ではなくその値を渡してください",
            )
        return int(found[min(1, len(found) - 1)])

    def scale_model_input(self, sample: Tensor, timestep: Timestep | None = None) -> Tensor:
        """The latent (n c h w) as the network is to see it."""
        if not self.exploding:
            return sample
        self._look_up(timestep)
        return sample / math.sqrt(self._sigma_here() ** 2 + 1)

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Latents (n c h w) with noise for timesteps (n,), or for where the run stands or begins, if that is set."""
        if self._begin_index is None:
            places = [self.index_for_timestep(t) for t in timesteps]
        else:
            places = [self._begin_index if self._step_index is None else self._step_index] * len(timesteps)
        sigma = as_column(self.sigmas[places], original_samples)  # n 1 1 1
        noisy = original_samples + noise * sigma
        return noisy if self.exploding else noisy / (1 + sigma**2) ** 0.5

    def _walk(self, output: Tensor, timestep: Timestep, sample: Tensor, start: Start, limit: float = torch.inf) -> tuple[Tensor, Tensor]:
        """One step of the run, which starts here if none is under way or if `_step_index` was set to another place."""
        place = self._look_up(timestep)
        if place != self._expected:
            self._run = None
        results = self._take(output, sample, self._levels(place) if self._run is None else (), start, limit)
        self._step_index = self._expected = place + 1
        return results

    def _look_up(self, timestep: Timestep | None) -> int:
        if self._step_index is None or self._step_index >= len(self.timesteps):
            if self._begin_index is None and timestep is None:
                raise KakusanError(f"{type(self).__name__}: no timestep given", f"{type(self).__name__}: timestep がありません")
            self._step_index = self.index_for_timestep(timestep) if self._begin_index is None else self._begin_index  # type: ignore[arg-type]
            self._run = None
        return self._step_index

    def _sigma_here(self) -> float:
        if self._run is not None and self._expected == self._step_index:
            return self._run.sigma
        return self._levels(self._step_index or 0)[0]

    def _levels(self, place: int) -> Sequence[float]:
        """Noise levels from step number `place` on."""
        if self.stages == 1:
            levels: list[float] = self.sigmas[place : len(self.timesteps) + 1].tolist()
            return levels
        if place % 2:
            raise KakusanError(
                f"{type(self).__name__} cannot start at {place}, between the two evaluations of a step; start at an even number",
                f"{type(self).__name__} は {place} (1 ステップの 2 回の評価の間) から始められません。偶数から始めてください",
            )
        steps = len(self.timesteps) // 2 + 1
        return [*self.sigmas[place : 2 * steps : 2].tolist(), float(self.sigmas[-1])]

    def _restart(self, sigmas: Tensor, timesteps: Tensor) -> None:
        """A new list of levels; whatever run was under way is over."""
        self.sigmas, self.timesteps = sigmas.to("cpu", torch.float32), timesteps
        self._step_index = self._begin_index = self._expected = self._run = None
