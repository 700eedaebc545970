"""The timestep between two of a model's own, as the scripts' DPM-Solver reads it."""

import torch
from torch import Tensor

from ...denoiser import Denoiser


class LogAlphaDenoiser(Denoiser):
    """A denoiser whose t is linear in log alpha between the table's levels, not in log sigma; sigma^2 = 1 / alpha^2 - 1."""

    def timestep(self, sigma: Tensor) -> Tensor:
        """The network's t (n,) for each sigma (n,)."""
        table = torch.log1p((2 * self.log_sigmas).exp())  # T, rising: -2 log alpha
        place = torch.log1p(sigma.to(table.dtype) ** 2).clamp(table[0], table[-1])
        low = (torch.searchsorted(table, place, right=True) - 1).clamp(0, len(table) - 2)
        return low + (place - table[low]) / (table[low + 1] - table[low])
