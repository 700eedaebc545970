"""The loop that every pipeline runs: predict, guide, step, tell whoever watches.

n images, c channels, h w height and width of a latent, l text tokens, d width of a text state.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .random import Generators

if TYPE_CHECKING:
    from .text_guided import TextGuidedPipeline


@dataclass
class Denoising:
    """What the steps of one call work on; a callback may replace the tensors by their names.

    With guidance everything but the latents has twice as many rows, those without the prompt first.
    beside: channels that the U-Net sees beside the latents, under the names that callbacks use; aside: other tensors with such names.
    settle: what is done to the latents after step i.
    """

    latents: Tensor  # n c h w
    timesteps: Tensor
    steps: int
    prompt_embeds: Tensor  # n l d, or 2n with guidance
    negative_prompt_embeds: Tensor | None = None
    generator: Generators = None
    eta: float = 0.0
    beside: dict[str, Tensor] = field(default_factory=dict)
    class_labels: Tensor | None = None
    aside: dict[str, Tensor] = field(default_factory=dict)
    settle: Callable[[int, Tensor], Tensor] | None = None

    def take(self, name: str) -> Any:
        """The tensor that callbacks call by that name."""
        return {**self.beside, **self.aside}[name] if name in (*self.beside, *self.aside) else getattr(self, name)

    def put(self, name: str, tensor: Tensor) -> None:
        """Replace the tensor that callbacks call by that name."""
        for named in (self.beside, self.aside):
            if name in named:
                named[name] = tensor
                return
        if hasattr(self, name):
            setattr(self, name, tensor)


@dataclass(frozen=True)
class Watch:
    """Who is told of every step: today's callback, which may change tensors, and the old one, which may look at the latents."""

    on_step_end: Callable[..., dict[str, Any]] | None = None
    tensor_inputs: Sequence[str] = ("latents",)
    callback: Callable[[int, Tensor, Tensor], None] | None = None
    callback_steps: int = 1


def denoise(pipe: "TextGuidedPipeline", run: Denoising, watch: Watch) -> Tensor:
    """The latents after all timesteps; a callback that sets `pipe._interrupt` ends it early."""
    options = pipe.prepare_extra_step_kwargs(run.generator, run.eta)
    order = getattr(pipe.scheduler, "order", 1)
    pipe._num_timesteps = last = len(run.timesteps)
    with pipe.progress_bar(total=run.steps) as bar:
        for i, t in enumerate(run.timesteps):
            if pipe.interrupt:
                break
            prediction = predict(pipe, run, t)
            run.latents = pipe.scheduler.step(prediction, t, run.latents, **options, return_dict=False)[0]
            if run.settle is not None:
                run.latents = run.settle(i, run.latents)
            if watch.on_step_end is not None:
                changed = watch.on_step_end(pipe, i, t, {name: run.take(name) for name in watch.tensor_inputs})
                for name, tensor in (changed or {}).items():
                    run.put(name, tensor)
            if i == last - 1 or (i + 1 > last - run.steps * order and (i + 1) % order == 0):
                bar.update()
                if watch.callback is not None and i % watch.callback_steps == 0:
                    watch.callback(i // order, t, run.latents)
    return run.latents


def predict(pipe: "TextGuidedPipeline", run: Denoising, t: Tensor) -> Tensor:
    """What the U-Net predicts (n c h w), guided: Ho and Salimans 2022, equation 6, in the convention where scale 1 is no guidance."""
    guided = pipe.do_classifier_free_guidance
    x = torch.cat([run.latents] * 2) if guided else run.latents
    x = pipe.scheduler.scale_model_input(x, t)
    x = torch.cat([x, *run.beside.values()], dim=1)
    labels = {} if run.class_labels is None else {"class_labels": run.class_labels}
    prediction: Tensor = pipe.unet(x, t, encoder_hidden_states=run.prompt_embeds, **labels, return_dict=False)[0]
    if not guided:
        return prediction
    uncond, cond = prediction.chunk(2)
    prediction = uncond + pipe.guidance_scale * (cond - uncond)
    return rescaled(prediction, cond, pipe.guidance_rescale) if pipe.guidance_rescale > 0 else prediction


def rescaled(prediction: Tensor, cond: Tensor, rescale: float) -> Tensor:
    """The guided prediction (n c h w), its contrast drawn back towards the prompted one's: Lin et al. 2023, equations 15 and 16."""
    ratio = _deviation(cond) / _deviation(prediction)
    return rescale * (prediction * ratio) + (1 - rescale) * prediction


def _deviation(x: Tensor) -> Tensor:
    return x.std(dim=(1, 2, 3), keepdim=True)
