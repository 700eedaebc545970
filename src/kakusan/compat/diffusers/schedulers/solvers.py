"""DPM-Solver, UniPC and DEIS under diffusers' names: multistep solvers whose latents are kept scaled for the network."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ....errors import KakusanError
from ....samplers.adams import deis
from ....samplers.dpm_solver import dpm_solver
from ....samplers.unipc import unipc
from ....types import Sampler
from ..random import Generators
from . import tables
from .defaults import DPM, ENDS, FLOW, LINSPACE, RAMPS, SHIFT, SOLVER
from .facade import Stepped
from .indexed import Device, Indexed, Timestep


class Solver(Indexed):
    """Whole timesteps, and an end that is a level of its own."""

    strict = False
    estimates = False
    init_noise_sigma: ClassVar[float] = 1.0

    def __init__(self, *args: object, **settings: object):
        super().__init__(*args, **settings)
        self.alpha_t, self.sigma_t = self.alphas_cumprod.sqrt(), (1 - self.alphas_cumprod).sqrt()  # T each
        self.lambda_t = self.alpha_t.log() - self.sigma_t.log()  # T
        table = torch.from_numpy(tables.sigmas(self.alphas_cumprod))
        self._restart(table, torch.arange(len(self) - 1, -1, -1, dtype=torch.float32))

    def _spread(
        self, steps: int | None, timesteps: Sequence[int] | None, mu: float | None, repeat_last: bool = False
    ) -> tuple[tables.Array, tables.Array]:
        """Levels with the one at the end, and their timesteps, float where they are still to be cut off to whole ones.

        repeat_last: a ramp that is not to go on to 0 ends on its last level once more, not on the table's.
        """
        name = f"{type(self).__name__}.set_timesteps"
        if mu is not None or (steps is None) == (timesteps is None):
            raise KakusanError(
                f"{name}: give num_inference_steps or timesteps, one of them; mu is of flow models",
                f"{name}: num_inference_steps か timesteps のどちらか一方を指定してください。mu はフローモデル用です",
            )
        table = tables.sigmas(self.alphas_cumprod)
        count = tables.check_steps(name, steps if timesteps is None else len(timesteps), len(self))
        ramp = tables.ramped(self._settings, table[::-1], count)
        if timesteps is not None and ramp is not None:
            raise KakusanError(
                f"{name}: timesteps do not go with use_karras_sigmas and its like; switch those off",
                f"{name}: timesteps は use_karras_sigmas などと併用できません。そちらを切ってください",
            )
        to_zero = self._settings.get("final_sigmas_type", "sigma_min") == "zero"
        if ramp is not None:
            told = tables.timesteps_of(ramp, table)
            last = 0.0 if to_zero else ramp[-1] if repeat_last else table[0]
            return np.append(ramp, last), told.round() if self._rounds() else told
        told = self._whole_timesteps(count) if timesteps is None else np.array(timesteps, dtype=np.int64)
        levels = np.interp(told, np.arange(len(table)), table)
        return np.append(levels, 0.0 if to_zero else table[0]), told

    def _whole_timesteps(self, steps: int) -> tables.Array:
        known = self._settings
        clipped = int(torch.searchsorted(self.lambda_t.flip(0), known.get("lambda_min_clipped", -torch.inf)))
        spacing, offset = known.get("timestep_spacing", "linspace"), known.get("steps_offset", 0)
        return tables.spaced_before_end(spacing, len(self), steps, offset, len(self) - clipped)

    def _rounds(self) -> bool:
        """Whether the timesteps of a ramp are rounded before they are cut off to whole ones."""
        return bool(self.config.use_karras_sigmas)

    def _set(self, levels: tables.Array, told: tables.Array, device: Device) -> None:
        self.num_inference_steps = len(told)
        self._restart(torch.from_numpy(levels), torch.from_numpy(told.astype(np.int64)).to(device))


class DPMSolverMultistepScheduler(Solver):
    """`samplers.dpm_solver`."""

    defaults: ClassVar = {
        **DPM,
        "lower_order_final": True,
        "euler_at_final": False,
        **RAMPS,
        "use_lu_lambdas": False,
        **FLOW,
        **ENDS,
        **LINSPACE,
        "rescale_betas_zero_snr": False,
        **SHIFT,
    }
    choices: ClassVar = {
        "algorithm_type": ("dpmsolver++", "sde-dpmsolver++", "dpmsolver", "sde-dpmsolver"),
        "solver_type": ("midpoint", "heun"),
    }
    adopted: ClassVar = {"algorithm_type": {"deis": "dpmsolver++"}, "solver_type": dict.fromkeys(("logrho", "bh1", "bh2"), "midpoint")}

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: Device = None,
        mu: float | None = None,
        timesteps: Sequence[int] | None = None,
    ) -> None:
        """The levels for a number of steps, or for timesteps."""
        self._set(*self._spread(num_inference_steps, timesteps, mu), device)

    def step(
        self,
        model_output: Tensor,
        timestep: Timestep,
        sample: Tensor,
        generator: Generators = None,
        variance_noise: Tensor | None = None,
        return_dict: bool = True,
    ) -> Stepped:
        """The next latent; with the algorithms called "sde" with fresh noise, float32, or the noise given."""
        if self.config.algorithm_type.startswith("sde"):
            if variance_noise is None:
                self._draw(model_output, generator, torch.float32)
            else:
                self._set_noise(variance_noise)
        return self._result(self._walk(model_output, timestep, sample, self._start), return_dict)

    def _rounds(self) -> bool:
        rounded = self.config.use_karras_sigmas or self.config.use_lu_lambdas
        return bool(rounded and self.config.beta_schedule != "squaredcos_cap_v2")

    def _check(self) -> None:
        super()._check()
        _check_end(self)
        if self.config.algorithm_type == "sde-dpmsolver" and self.config.solver_order > 2:
            raise KakusanError(
                "DPMSolverMultistepScheduler: sde-dpmsolver has no order 3; set solver_order=2",
                "DPMSolverMultistepScheduler: sde-dpmsolver に 3 次はありません。solver_order=2 にしてください",
            )

    def _start(self, x: Tensor, levels: Sequence[float]) -> Sampler:
        steps, known = len(levels) - 1, self.config
        lowers = known.lower_order_final and len(self.timesteps) < 15
        orders = [min(known.solver_order, 3, done + 1) for done in range(steps)]
        if lowers and steps > 1:
            orders[-2] = min(orders[-2], 2)
        if lowers or known.euler_at_final or known.final_sigmas_type == "zero":
            orders[-1] = 1
        return dpm_solver(x, levels, self._noise, orders=orders, algorithm=known.algorithm_type, solver_type=known.solver_type)


class DPMSolverSinglestepScheduler(Solver):
    """`samplers.dpm_solver` with singlestep."""

    defaults: ClassVar = {
        **DPM,
        "lower_order_final": False,
        **RAMPS,
        **FLOW,
        **ENDS,
        **SHIFT,
    }
    choices: ClassVar = {
        "solver_order": (1, 2, 3),
        "algorithm_type": ("dpmsolver++", "sde-dpmsolver++", "dpmsolver"),
        "solver_type": ("midpoint", "heun"),
    }
    adopted: ClassVar = DPMSolverMultistepScheduler.adopted

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: Device = None,
        mu: float | None = None,
        timesteps: Sequence[int] | None = None,
    ) -> None:
        """The levels for a number of steps, or for timesteps. If the last of them do not fill a step, lower_order_final is set."""
        self._set(*self._spread(num_inference_steps, timesteps, mu), device)
        if len(self.timesteps) % self.config.solver_order or self.config.final_sigmas_type == "zero":
            self.register_to_config(lower_order_final=True)

    def step(
        self, model_output: Tensor, timestep: Timestep, sample: Tensor, generator: Generators = None, return_dict: bool = True
    ) -> Stepped:
        """What the network is to see next: the next latent, or one inside the step; with "sde" with fresh noise."""
        if self.config.algorithm_type.startswith("sde"):
            self._draw(model_output, generator)
        return self._result(self._walk(model_output, timestep, sample, self._start), return_dict)

    def _check(self) -> None:
        super()._check()
        _check_end(self)

    def get_order_list(self, num_inference_steps: int) -> list[int]:
        """The order of every evaluation's step: rising inside each step, which is a step of the last of them."""
        whole, rest = divmod(num_inference_steps, self.config.solver_order)
        rising = [*range(1, self.config.solver_order + 1)]
        if self.config.lower_order_final:
            orders = rising * whole + rising[:rest] if rest else rising * (whole - 1) + rising[:-1] + [1]
        else:
            orders = rising * whole
        return [*orders[:-1], 1] if self.config.final_sigmas_type == "zero" else orders

    def _start(self, x: Tensor, levels: Sequence[float]) -> Sampler:
        steps, known = len(levels) - 1, self.config
        listed = self.get_order_list(len(self.timesteps))[len(self.timesteps) - steps :]
        orders = [min(order, done + 1) for done, order in enumerate(listed)]
        return dpm_solver(
            x, levels, self._noise, orders=orders, algorithm=known.algorithm_type, solver_type=known.solver_type, singlestep=True
        )


class UniPCMultistepScheduler(Solver):
    """`samplers.unipc`."""

    defaults: ClassVar = {
        **SOLVER,
        "predict_x0": True,
        "solver_type": "bh2",
        "lower_order_final": True,
        "disable_corrector": [],
        "solver_p": None,
        **RAMPS,
        **FLOW,
        **LINSPACE,
        "final_sigmas_type": "zero",
        "rescale_betas_zero_snr": False,
        **SHIFT,
        "sigma_min": None,
        "sigma_max": None,
        "shift_terminal": None,
    }
    choices: ClassVar = {"solver_type": ("bh1", "bh2")}
    adopted: ClassVar = {"solver_type": dict.fromkeys(("midpoint", "heun", "logrho"), "bh2")}

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: Device = None,
        sigmas: Sequence[float] | None = None,
        mu: float | None = None,
    ) -> None:
        """The levels for a number of steps."""
        if sigmas is not None:
            raise KakusanError(
                "UniPCMultistepScheduler.set_timesteps: sigmas are of flow models; give num_inference_steps",
                "UniPCMultistepScheduler.set_timesteps: sigmas はフローモデル用です。num_inference_steps を指定してください",
            )
        self._set(*self._spread(num_inference_steps, None, mu, repeat_last=True), device)

    def step(self, model_output: Tensor, timestep: Timestep, sample: Tensor, return_dict: bool = True) -> Stepped:
        """The next latent."""
        return self._result(self._walk(model_output, timestep, sample, self._start), return_dict)

    def _start(self, x: Tensor, levels: Sequence[float]) -> Sampler:
        known, place = self.config, len(self.timesteps) + 1 - len(levels)
        return unipc(
            x,
            levels,
            order=known.solver_order,
            variant=known.solver_type,
            of_noise=not known.predict_x0,
            lower_order_final=known.lower_order_final,
            uncorrected=[step - place for step in known.disable_corrector],
        )


class DEISMultistepScheduler(Solver):
    """`samplers.deis`."""

    defaults: ClassVar = {
        **SOLVER,
        "algorithm_type": "deis",
        "solver_type": "logrho",
        "lower_order_final": True,
        **RAMPS,
        **FLOW,
        **LINSPACE,
        **SHIFT,
    }
    choices: ClassVar = {"algorithm_type": ("deis",), "solver_type": ("logrho",)}
    adopted: ClassVar = {
        "algorithm_type": dict.fromkeys(("dpmsolver", "dpmsolver++"), "deis"),
        "solver_type": dict.fromkeys(("midpoint", "heun", "bh1", "bh2"), "logrho"),
    }

    def set_timesteps(self, num_inference_steps: int, device: Device = None, mu: float | None = None) -> None:
        """The levels for a number of steps, of which the last is not 0."""
        self._set(*self._spread(num_inference_steps, None, mu, repeat_last=True), device)

    def step(self, model_output: Tensor, timestep: Timestep, sample: Tensor, return_dict: bool = True) -> Stepped:
        """The next latent."""
        return self._result(self._walk(model_output, timestep, sample, self._start), return_dict)

    def _start(self, x: Tensor, levels: Sequence[float]) -> Sampler:
        lowers = self.config.lower_order_final and len(self.timesteps) < 15
        return deis(x, levels, order=min(self.config.solver_order, 3), lower_order_final=lowers)


def _check_end(scheduler: Solver) -> None:
    name, algorithm = type(scheduler).__name__, scheduler.config.algorithm_type
    if not algorithm.endswith("++") and scheduler.config.final_sigmas_type == "zero":
        raise KakusanError(
            f"{name}: {algorithm} cannot end at noise 0; set final_sigmas_type='sigma_min' or algorithm_type='{algorithm}++'",
            f"{name}: {algorithm} はノイズ 0 で終われません。final_sigmas_type='sigma_min' か algorithm_type='{algorithm}++' に",
        )
