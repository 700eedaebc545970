"""`scheduler.step()` made once for every sampler: the sampler asks in its own order, here it is told the answers from outside.

A sampler (a generator) yields its x and a noise level and goes on once the estimate is sent. `step` brings the estimate, as what
the network said, and the latent that it was said of, and takes the next x away. n images, c channels, h w size of a latent.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ....errors import KakusanError
from ....types import Evaluate, Prediction, Sampler
from ..outputs import Output
from ..random import Generators, randn
from . import tables
from .configured import Configured

LOWEST_ALPHA = 2.0**-96  # stands for 0, whose noise level would be infinite; 2^48 is far enough above the next one

Start = Callable[[Tensor, Sequence[float]], Sampler]
"""A sampler from x at the first of some noise levels to the last."""


@dataclass
class SchedulerOutput(Output):
    """The latent (n c h w) for the next call of the network."""

    prev_sample: Tensor


@dataclass
class SchedulerOutputWithEstimate(SchedulerOutput):
    """With the picture's latent as it looks from here (n c h w)."""

    pred_original_sample: Tensor | None = None


Stepped = SchedulerOutput | tuple[Tensor, ...]
"""What `step` gives, with return_dict and without."""


class Scheduler(Configured):
    """What all have: the model's noise table, the sampler under way, and the two forms in which latents come.

    exploding: latents hold all their noise, x = clean + sigma * noise, and are scaled for the network; else they are kept scaled.
    estimates: whether `step` also tells the estimate.
    """

    order: ClassVar[int] = 1
    exploding: ClassVar[bool] = False
    estimates: ClassVar[bool] = True

    timesteps: Tensor
    num_inference_steps: int | None = None

    def __init__(self, *args: object, **settings: object):
        super().__init__(*args, **settings)
        self.betas = tables.betas(self._settings)  # T
        self.alphas = 1.0 - self.betas  # T
        self.alphas_cumprod = self.alphas.cumprod(0)  # T
        self._run: _Run | None = None
        self._fresh: Callable[[], Tensor] | None = None

    def __len__(self) -> int:
        return int(self.config.num_train_timesteps)

    def __getstate__(self) -> dict[str, object]:
        if self._run is not None:
            raise KakusanError(
                f"{type(self).__name__} cannot be copied in the middle of a run; copy it before, or call set_timesteps first",
                f"{type(self).__name__} は実行の途中では複製できません。実行前に複製するか、先に set_timesteps を呼んでください",
            )
        return {**self.__dict__, "_fresh": None}

    @property
    def _settings(self) -> dict[str, Any]:
        """The settings that this class knows. Of others a range of levels counts, because it does in diffusers."""
        return {name: value for name, value in self.config.items() if name in (*self.defaults, "sigma_min", "sigma_max")}

    def _take(
        self, output: Tensor, sample: Tensor, levels: Sequence[float], start: Start, limit: float = math.inf
    ) -> tuple[Tensor, Tensor]:
        """The next latent, and the estimate, from what the network said of this one. Without a run, one is started at levels[0].

        limit: the estimate is cut off there.
        """
        if output.shape != sample.shape:
            shapes = f"{list(output.shape)}, {list(sample.shape)}"
            raise KakusanError(
                f"{type(self).__name__}.step: model_output and sample have different shapes: {shapes}",
                f"{type(self).__name__}.step: model_output と sample の形が違います: {shapes}",
            )
        wide = torch.float64 if torch.float64 in (output.dtype, sample.dtype) else torch.float32
        if self._run is None:
            self._run = _Run(start(sample.to(wide) * self._noised(levels[0]), levels), levels[-1])
        else:
            self._run.replace(sample.to(wide) * self._noised(self._run.sigma))
        run, self._run = self._run, None  # if the sampler raises, its run is over
        denoised = self._denoised(output.to(wide), run.x, run.sigma)
        denoised = denoised if limit == math.inf else denoised.clamp(-limit, limit)
        run.answer(denoised)
        if not run.ended:
            self._run = run
        dtype = torch.promote_types(output.dtype, sample.dtype)
        return (run.x / self._noised(run.sigma)).to(dtype), denoised.to(dtype)

    def _denoised(self, output: Tensor, x: Tensor, sigma: float) -> Tensor:
        """The clean latent in x (n c h w), which holds all its noise, by what the network said; as in `denoiser.Denoiser`."""
        prediction = self.config.prediction_type
        if prediction == "epsilon":
            return x - sigma * output
        if prediction == "v_prediction":
            return x / (1 + sigma**2) - output * (sigma / math.sqrt(1 + sigma**2))
        return output

    def _noised(self, sigma: float) -> float:
        """What a latent is multiplied by to hold all its noise."""
        return 1.0 if self.exploding else math.sqrt(1 + sigma**2)

    def _noise(self, like: Tensor, sigma_from: float, sigma_to: float) -> Tensor:
        """The noise that this call of `step` has set, for the sampler."""
        if self._fresh is None:
            raise KakusanError("no noise was drawn for this step", "このステップのノイズがありません")
        return self._fresh().to(like)

    def _draw(self, like: Tensor, generator: Generators, dtype: torch.dtype | None = None) -> None:
        """Draws this step's noise, of the shape and dtype of the network's answer, whether or not the sampler will use it."""
        self._set_noise(randn(like.shape, generator, like.device, dtype or like.dtype))

    def _set_noise(self, noise: Tensor) -> None:
        self._fresh = lambda: noise

    def _result(self, results: tuple[Tensor, Tensor], return_dict: bool) -> Stepped:
        prev_sample, estimate = results
        if not return_dict:
            return results if self.estimates else (prev_sample,)
        return SchedulerOutputWithEstimate(prev_sample, estimate) if self.estimates else SchedulerOutput(prev_sample)


class _Run:
    """A sampler under way: where it stands, x at noise level sigma. Another x may be put in place of its own at any time."""

    def __init__(self, sampler: Sampler, sigma_last: float):
        self.sampler, self.sigma_last, self.ended = sampler, sigma_last, False
        self._stand(next(sampler))

    def replace(self, x: Tensor) -> None:
        """In place: the sampler goes on from the very tensor that it asked about. Raises KakusanError for one of another shape."""
        if x.shape != self.x.shape:
            shapes = f"{list(x.shape)}, {list(self.x.shape)}"
            raise KakusanError(
                f"scheduler.step: latents of another shape in the middle of a run: {shapes}; call set_timesteps before a new run",
                f"scheduler.step: 実行の途中で潜在変数の形が変わりました: {shapes}。新しい実行の前に set_timesteps を呼んでください",
            )
        if self.x.is_inference() and not torch.is_inference_mode_enabled():  # left mid-run: such tensors change nowhere else
            with torch.inference_mode():
                self.x.copy_(x)
        else:
            self.x.copy_(x)

    def answer(self, denoised: Tensor) -> None:
        """On to the next question, or to the end."""
        try:
            self._stand(self.sampler.send(Prediction(denoised)))
        except StopIteration as stop:
            self.x, self.sigma, self.ended = stop.value, self.sigma_last, True

    def _stand(self, asked: Evaluate) -> None:
        self.x, self.sigma = asked


def as_column(values: Tensor, like: Tensor) -> Tensor:
    """Numbers (n,) as (n 1 1 1), on the device and in the dtype of a latent (n c h w)."""
    return values.to(like).flatten().reshape(-1, *[1] * (like.ndim - 1))
