"""diffusers' noise tables and timesteps, to the last digit: float32 where it has that, so that rounding agrees.

T training timesteps; arrays of a schedule fall from the noisiest to the least noisy.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ....errors import KakusanError
from ....schedules import beta_sigma, exponential, karras

Array = NDArray[Any]


def betas(settings: Mapping[str, Any]) -> Tensor:
    """Variance added at each training step (T,), float32."""
    total, first, last = settings["num_train_timesteps"], settings["beta_start"], settings["beta_end"]
    if settings["trained_betas"] is not None:
        values = torch.tensor(settings["trained_betas"], dtype=torch.float32)
    elif settings["beta_schedule"] == "linear":
        values = torch.linspace(first, last, total, dtype=torch.float32)
    elif settings["beta_schedule"] == "scaled_linear":
        values = torch.linspace(first**0.5, last**0.5, total, dtype=torch.float32) ** 2
    else:
        values = torch.tensor([min(1 - _cosine((i + 1) / total) / _cosine(i / total), 0.999) for i in range(total)], dtype=torch.float32)
    return _to_noise_alone(values) if settings.get("rescale_betas_zero_snr") else values


def _cosine(t: float) -> float:
    """Share of the clean picture's variance left at t of 0 to 1: Nichol and Dhariwal 2021, equation 17."""
    return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2


def _to_noise_alone(values: Tensor) -> Tensor:
    """The last step becomes noise alone: Lin et al. 2023, algorithm 1, https://arxiv.org/abs/2305.08891."""
    root = (1.0 - values).cumprod(0).sqrt()
    first, last = root[0].clone(), root[-1].clone()
    left = ((root - last) * (first / (first - last))) ** 2
    return 1 - torch.cat([left[:1], left[1:] / left[:-1]])


def sigmas(alphas_cumprod: Tensor) -> Array:
    """Noise level of each timestep (T,), rising, float32."""
    return np.array(((1 - alphas_cumprod) / alphas_cumprod) ** 0.5)


def spaced(spacing: str, total: int, steps: int, offset: int = 0) -> Array:
    """Timesteps in one of the spacings of Lin et al. 2023, table 2; those of linspace are not whole. float64."""
    if spacing == "linspace":
        return np.linspace(0, total - 1, steps)[::-1]
    if spacing == "leading":
        return np.arange(steps, dtype=np.float64)[::-1] * (total // steps) + offset
    return np.arange(total, 0, -total / steps).round() - 1


def spaced_before_end(spacing: str, total: int, steps: int, offset: int = 0, reachable: int | None = None) -> Array:
    """The same for solvers that count the end as a level of its own: whole timesteps of one step more, without the last. int64.

    reachable: the number of timesteps below the noisiest one in use, if not all.
    """
    last = total if reachable is None else reachable
    if spacing == "linspace":
        return np.linspace(0, last - 1, steps + 1).round()[:0:-1].astype(np.int64)
    if spacing == "leading":
        return (np.arange(steps + 1)[:0:-1] * (last // (steps + 1)) + offset).astype(np.int64)
    return (np.arange(last, 0, -total / steps).round() - 1).astype(np.int64)


def ramped(settings: Mapping[str, Any], levels: Array, steps: int) -> Array | None:
    """`steps` levels over the range of `levels` as use_karras_sigmas and its like say; None if none of them is set."""
    given = settings.get("sigma_min"), settings.get("sigma_max")
    low = float(levels[-1] if given[0] is None else given[0])
    high = float(levels[0] if given[1] is None else given[1])
    for name, ramp in RAMPS.items():
        if settings.get(name):
            return np.array(ramp(steps, low, high)[:-1] if low < high else [high] * steps)
    return None


def even_in_lambda(steps: int, sigma_min: float, sigma_max: float) -> tuple[float, ...]:
    """`schedules.exponential` between levels whose logarithms are float32, so that the ends' timesteps are cut off as in diffusers."""
    high, low = float(np.log(np.float32(sigma_max))), float(np.log(np.float32(sigma_min)))
    return (*np.exp(high + np.linspace(0, 1, steps) * (low - high)).tolist(), 0.0)


RAMPS = {
    "use_karras_sigmas": karras,
    "use_lu_lambdas": even_in_lambda,
    "use_exponential_sigmas": exponential,
    "use_beta_sigmas": beta_sigma,
}


def timesteps_of(levels: Array, table: Array) -> Array:
    """Timesteps, not whole, of noise levels: linear in log sigma between the table's; beyond the ends, the ends'."""
    logs, wanted = np.log(table), np.log(np.maximum(levels, 1e-10))
    low = (np.searchsorted(logs, wanted, side="right") - 1).clip(0, len(logs) - 2)
    part = ((logs[low] - wanted) / (logs[low] - logs[low + 1])).clip(0, 1)
    found: Array = (1 - part) * low + part * (low + 1)
    return found


def check_steps(name: str, steps: object, total: int) -> int:
    """The number of steps, if it is a whole number from 1 to T; name: who asks. Raises KakusanError."""
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or not 1 <= steps <= total:
        raise KakusanError(
            f"{name}: num_inference_steps is {steps!r}; it must be a whole number from 1 to {total}",
            f"{name}: num_inference_steps が {steps!r} です。1 から {total} の整数にしてください",
        )
    return int(steps)
