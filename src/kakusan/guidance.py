"""Guidance: a sampler's questions become questions under several conditions, whose answers become one.

A guided sampler is a generator round a generator: it yields `Rows`, is sent one denoised latent for each condition, and returns
what the sampler returns. n images, c channels, h w height and width of a latent, k conditions.
"""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .errors import KakusanError
from .types import Cond, Guided, Prediction, Rows, Sampler, Task, Work


def guided(
    sampler: Sampler,
    cond: Cond,
    uncond: Cond,
    scale: float,
    rescale: float = 0.0,
    interval: tuple[float, float] = (0.0, math.inf),
    prediction: str = "epsilon",
) -> Guided:
    """Classifier-free guidance: away from what the network sees without the prompt, by `scale`.

    Ho and Salimans 2022, equation 6, https://arxiv.org/abs/2207.12598, in the convention where scale 1 is no guidance.
    rescale: 0 to 1, how far the result takes over the contrast of the prompted prediction (`rescaled`).
    interval: guidance only for interval[0] < sigma <= interval[1]; Kynkaanniemi et al. 2024, https://arxiv.org/abs/2404.07724.
    prediction: what the network predicts, of which the contrast is measured.
    Where there is no guidance it asks for one row, not two, and `Prediction.uncond` is None; samplers of the CFG++ kind (Chung et
    al. 2024, https://arxiv.org/abs/2406.08070), which step along the unguided prediction, then step along the only one.
    Raises KakusanError if rescale is not from 0 to 1 or the interval is empty.
    """
    return composed(sampler, lambda evaluation: Composed((cond,), (1.0,), uncond), scale, rescale, interval, prediction)


class Composed(NamedTuple):
    """What the network is told at one evaluation: prompts with their weights, and what to lead away from."""

    conds: tuple[Cond, ...]
    weights: tuple[float, ...]
    uncond: Cond


def composed(
    sampler: Sampler,
    told: Callable[[int], Composed],
    scale: float,
    rescale: float = 0.0,
    interval: tuple[float, float] = (0.0, math.inf),
    prediction: str = "epsilon",
) -> Guided:
    """`guided` by several prompts at once, which may change while the picture is drawn: uncond + sum of w scale (cond - uncond).

    Liu et al. 2022, "Compositional Visual Generation with Composable Diffusion Models", equation 11, https://arxiv.org/abs/2206.01714.
    told: what holds at an evaluation, by its number from 0. Where there is no guidance the scale is 1; the unguided row is then asked
    for only if the weights do not sum to 1. The contrast that `rescale` goes back to is that at scale 1.
    """
    _check(scale, rescale, interval)
    try:
        x, sigma = next(sampler)
        evaluation = 0
        while True:
            conds, weights, uncond = told(evaluation)
            here = scale if interval[0] < sigma <= interval[1] else 1.0
            if here == 1 and sum(weights) == 1:
                rows = yield Rows(x, sigma, conds)
                answer = Prediction(rows[0] if weights == (1.0,) else _sum(weights, rows))
            else:
                *rows, u = yield Rows(x, sigma, (*conds, uncond))
                c = rows[0] if weights == (1.0,) else u + _sum(weights, [c - u for c in rows])  # n c h w
                denoised = u + here * (c - u)
                answer = Prediction(rescaled(denoised, c, x, sigma, rescale, prediction) if rescale and here != 1 else denoised, u)
            x, sigma = sampler.send(answer)
            evaluation += 1
    except StopIteration as stop:
        result: Tensor = stop.value
        return result


def rescaled(denoised: Tensor, cond: Tensor, x: Tensor, sigma: float, rescale: float, prediction: str = "epsilon") -> Tensor:
    """Guided `denoised` (n c h w), its standard deviation drawn back towards that of the prompted one, for each image.

    Lin et al. 2023, section 3.4, equations 15 and 16, https://arxiv.org/abs/2305.08891. The deviations are those of what the network
    predicts, as there and in diffusers, not of the clean latent; noise and v are proportional to origin - denoised.
    """
    origin = {"epsilon": x, "v_prediction": x / (1 + sigma**2), "sample": torch.zeros_like(x)}[prediction]  # n c h w, where p = 0
    p = denoised - origin
    ratio = _deviation(cond - origin) / _deviation(p).clamp_min(1e-12)  # n 1 1 1
    return origin + p * (rescale * ratio + 1 - rescale)


def of_unet(sampler: Guided, ahead: "Mapping[int, Callable[[], Generator[Work, list[Tensor], None]]] | None" = None) -> Task:
    """A guided sampler as a task: each question is one Work for the U-Net, one row (x (c h w), sigma, cond) an image and condition.

    ahead: other work, to be done once the U-Net has answered so many times, before the sampler hears of it.
    """
    try:
        x, sigma, conds = next(sampler)
        answered = 0
        while True:
            reply = yield Work("unet", [(image, sigma, cond) for cond in conds for image in x])  # k n rows of c h w
            n, answered = len(x), answered + 1
            if ahead and answered in ahead:
                yield from ahead[answered]()
            x, sigma, conds = sampler.send([torch.stack(reply[i : i + n]) for i in range(0, len(reply), n)])
    except StopIteration as stop:
        result: Tensor = stop.value
        return result


def _sum(weights: Sequence[float], parts: Sequence[Tensor]) -> Tensor:
    return torch.stack([weight * part for weight, part in zip(weights, parts, strict=True)]).sum(0)


def _deviation(p: Tensor) -> Tensor:
    return p.std(dim=(1, 2, 3), keepdim=True)


def _check(scale: float, rescale: float, interval: tuple[float, float]) -> None:
    if not math.isfinite(scale):
        raise KakusanError(
            f"guidance scale is {scale}; it must be a finite number", f"ガイダンスの強さが {scale} です。有限の数にしてください"
        )
    if not 0 <= rescale <= 1:
        raise KakusanError(
            f"guidance rescale is {rescale}; it must be from 0 to 1",
            f"ガイダンスの rescale が {rescale} です。0 から 1 の間にしてください",
        )
    low, high = interval
    if not 0 <= low < high:
        raise KakusanError(
            f"guidance interval is {low} to {high}; it must be two noise levels, the lower first",
            f"ガイダンスの区間が {low} から {high} です。小さいノイズ量を先に、2 つ指定してください",
        )
