"""Small but whole picture tasks: a text network, a convolutional denoiser with guidance, a decoder."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from kakusan.types import Cond, Prediction, Sampler, Sigmas, Task, Work, denoise, slope


def euler(x: Tensor, sigmas: Sigmas, noise: Callable[[Tensor], Tensor]) -> Sampler:
    for sigma, after in pairwise(sigmas):
        x = x + (after - sigma) * (yield from slope(x, sigma))
    return x


def ancestral(x: Tensor, sigmas: Sigmas, noise: Callable[[Tensor], Tensor]) -> Sampler:
    for sigma, after in pairwise(sigmas):
        up = after * math.sqrt(1 - after**2 / sigma**2)
        x = x + (math.sqrt(after**2 - up**2) - sigma) * (yield from slope(x, sigma)) + up * noise(x)
    return x


def heun(x: Tensor, sigmas: Sigmas, noise: Callable[[Tensor], Tensor]) -> Sampler:
    for sigma, after in pairwise(sigmas):
        d = yield from slope(x, sigma)
        if after > 0:
            d = (d + (yield from slope(x + (after - sigma) * d, after))) / 2
        x = x + (after - sigma) * d
    return x


def multistep(x: Tensor, sigmas: Sigmas, noise: Callable[[Tensor], Tensor]) -> Sampler:
    """Second-order Adams-Bashforth; remembers the last slope, and changes what it was sent in place."""
    last: Tensor | None = None
    for sigma, after in pairwise(sigmas):
        denoised = yield from denoise(x, sigma)
        d = denoised.sub_(x).neg_().div_(sigma)
        x = x + (after - sigma) * (d if last is None else 1.5 * d - 0.5 * last)
        last = d
    return x


SAMPLERS = (euler, ancestral, heun, multistep)


def sigmas(steps: int) -> list[float]:
    return [10.0 * (1 - i / steps) ** 2 for i in range(steps)] + [0.0]


def picture(prompt: str, steps: int, seed: int = 0, scale: float = 3.0, size: int = 8, sampler: int = 0) -> Task:
    """Text, then guided sampling (one row at scale 1, two otherwise), then a picture (3 2*size 2*size)."""
    ids = [torch.tensor([float(b) for b in text.encode().ljust(6)[:6]]) for text in (prompt, "")]
    cond, uncond = yield Work("text", [(i,) for i in ids])
    generator = torch.Generator().manual_seed(seed)
    x = 10.0 * torch.randn(4, size, size, generator=generator)
    steps_of = SAMPLERS[sampler](x, sigmas(steps), lambda like: torch.randn(like.shape, generator=generator))
    latent = yield from guided(steps_of, [Cond(cond), Cond(uncond)][: 1 if scale == 1 else 2], scale)
    (image,) = yield Work("decode", [(latent,)])
    return image


def guided(sampler: Sampler, conds: Sequence[Cond], scale: float) -> Task:
    try:
        x, sigma = next(sampler)
        while True:
            out = yield Work("unet", [(x, sigma, cond) for cond in conds])
            x, sigma = sampler.send(Prediction(out[-1] + scale * (out[0] - out[-1]) if len(out) == 2 else out[0]))
    except StopIteration as stop:
        latent: Tensor = stop.value
        return latent


class Networks(dict[str, Callable[..., Tensor]]):
    """Three small networks with fixed random weights, and a list of the calls they had: (name, rows)."""

    def __init__(self) -> None:
        state = torch.random.get_rng_state()
        torch.manual_seed(0)
        self.calls: list[tuple[str, int]] = []
        self.embed, self.into, self.out, self.decode = (
            nn.Linear(6, 8),
            nn.Conv2d(4, 8, 3, padding=1),
            nn.Conv2d(8, 4, 3, padding=1),
            nn.Conv2d(4, 3, 3, padding=1),
        )
        torch.random.set_rng_state(state)
        super().__init__(text=self._text, unet=self._unet, decode=self._decode)

    def _text(self, ids: Tensor) -> Tensor:
        self.calls.append(("text", len(ids)))
        return torch.tanh(self.embed(ids / 100))[:, None]  # n 1 8

    def _unet(self, x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        self.calls.append(("unet", len(x)))
        assert sigma.shape == (len(x),)
        assert sigma.dtype == torch.float32
        assert cond.context.shape == (len(x), 1, 8)
        level = sigma[:, None, None, None]
        h = self.into(x / (1 + level**2).sqrt()) + cond.context.mean(1)[:, :, None, None]
        return torch.tanh(self.out(torch.nn.functional.silu(h)))

    def _decode(self, latent: Tensor) -> Tensor:
        self.calls.append(("decode", len(latent)))
        return torch.tanh(self.decode(latent.repeat_interleave(2, 2).repeat_interleave(2, 3)))


def mean_task(steps: int, value: float = 1.0, width: int = 3, rows: int = 1, model: str = "add") -> Task:
    """Asks `steps` times for `rows` rows of a vector, and returns the last first row."""
    x = torch.full((width,), value)
    for _ in range(steps):
        x = (yield Work(model, [(x,)] * rows))[0]
    return x
