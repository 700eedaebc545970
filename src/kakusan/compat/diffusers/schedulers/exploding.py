"""What the schedulers in k-diffusion's form share: latents that hold all their noise, at levels between the table's."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ....errors import KakusanError
from . import tables
from .indexed import Indexed


class Exploding(Indexed):
    """A first latent has the first level's standard deviation; the last level is 0 unless a class says otherwise."""

    exploding = True

    def __init__(self, *args: object, **settings: object):
        super().__init__(*args, **settings)
        levels = torch.from_numpy(tables.sigmas(self.alphas_cumprod)).flip(0)
        self._restart(torch.cat([levels, torch.zeros(1)]), torch.arange(len(self) - 1, -1, -1, dtype=torch.float32))

    @property
    def init_noise_sigma(self) -> Tensor:
        """What to multiply standard normal numbers by for the first latent."""
        highest = self.sigmas.max()
        return highest if self.config.timestep_spacing in ("linspace", "trailing") else (highest**2 + 1) ** 0.5

    def _spread(self, steps: int, timesteps: Sequence[float] | None = None, total: int | None = None) -> tuple[tables.Array, tables.Array]:
        """The levels (steps,) without the one at the end, and their timesteps (steps,), unless those are given."""
        spaced = tables.spaced(self.config.timestep_spacing, total or len(self), steps, self.config.steps_offset)
        t, table = np.array(spaced if timesteps is None else timesteps, dtype=np.float32), tables.sigmas(self.alphas_cumprod)
        levels = np.interp(t, np.arange(len(table)), table)
        if self._settings.get("interpolation_type") == "log_linear":
            levels = torch.linspace(float(np.log(table[-1])), float(np.log(table[0])), steps + 1).exp().numpy()
        if (ramp := tables.ramped(self._settings, levels, steps)) is not None:
            return ramp, tables.timesteps_of(ramp, table)
        return levels, t

    def _count(self, steps: int | None, timesteps: Sequence[float] | None = None, sigmas: Sequence[float] | None = None) -> int:
        """The number of steps, of which exactly one thing has to tell. Timesteps go only with levels that follow from them."""
        name = f"{type(self).__name__}.set_timesteps"
        if sum(given is not None for given in (steps, timesteps, sigmas)) != 1:
            raise KakusanError(
                f"{name}: give one of num_inference_steps, timesteps and sigmas",
                f"{name}: num_inference_steps、timesteps、sigmas のどれか一つを指定してください",
            )
        if timesteps is not None and any(self._settings.get(ramp) for ramp in tables.RAMPS):
            raise KakusanError(
                f"{name}: timesteps do not go with use_karras_sigmas and its like; switch those off",
                f"{name}: timesteps は use_karras_sigmas などと併用できません。そちらを切ってください",
            )
        counted = steps if timesteps is None else len(timesteps)
        self.num_inference_steps = tables.check_steps(name, counted if sigmas is None else len(sigmas) - 1, len(self))
        return self.num_inference_steps
