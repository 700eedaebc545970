"""A network small enough to run anywhere, a driver for one sampler, and noise: what tests of samplers need."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from kakusan.types import Evaluate, Prediction, Sampler

BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2  # Stable Diffusion's
ALPHA_BAR = (1 - BETAS).cumprod(0)
TABLE = ((1 - ALPHA_BAR) / ALPHA_BAR).sqrt().numpy()  # sigma of every timestep
KERNEL = torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.08


def to_t(sigma: Tensor) -> Tensor:
    """Timesteps of noise levels (n,), interpolated in log sigma."""
    return torch.from_numpy(np.interp(np.log(sigma.double().numpy()), np.log(TABLE), np.arange(1000.0)))


def eps_net(x: Tensor, t: Tensor) -> Tensor:
    """A stand-in for the U-Net: x / sqrt(1 + sigma^2) (n 4 h w) and timesteps (n,) to predicted noise (n 4 h w)."""
    sigma = torch.from_numpy(np.exp(np.interp(t.double().numpy(), np.arange(1000.0), np.log(TABLE)))).to(x.dtype)[:, None, None, None]
    h = torch.nn.functional.conv2d(x, KERNEL.to(x.dtype), padding=1) + 0.3 * torch.sin(t / 300).to(x.dtype)[:, None, None, None]
    return (x * (1 + sigma**2).sqrt() - torch.tanh(h)) / sigma


def predict(x: Tensor, sigma: Tensor) -> Tensor:
    """The same network as a denoiser of (x, sigma), x (n 4 h w), sigma (n,)."""
    s = sigma[:, None, None, None]
    return x - s * eps_net(x / (1 + s**2).sqrt(), to_t(sigma))


def run(
    sampler: Sampler, model: Callable[[Tensor, Tensor], Tensor] = predict, journal: list[tuple[Evaluate, Prediction]] | None = None
) -> Tensor:
    """Drives one sampler to its end; the journal, if given, receives every question and answer."""
    reply = None
    try:
        while True:
            asked = next(sampler) if reply is None else sampler.send(reply)
            reply = Prediction(model(asked.x, torch.full((len(asked.x),), asked.sigma, dtype=asked.x.dtype)))
            if journal is not None:
                journal.append((asked, reply))
    except StopIteration as stop:
        return stop.value


class ToyNoise:
    """Standard normal numbers, one stream for each image, in the dtype asked for."""

    def __init__(self, *seeds: int):
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, like: Tensor, sigma: float, sigma_next: float) -> Tensor:
        return torch.stack([torch.randn(like.shape[1:], generator=g, dtype=like.dtype) for g in self.generators])
