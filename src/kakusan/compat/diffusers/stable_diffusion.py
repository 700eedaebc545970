"""diffusers' StableDiffusionPipeline over our components: `pipe("a red apple", generator=...).images[0]`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from . import checks
from .denoising import Denoising, Watch, denoise
from .outputs import StableDiffusionPipelineOutput
from .random import Generators, check_generators, randn
from .text_guided import Text, TextGuidedPipeline


class StableDiffusionPipeline(TextGuidedPipeline):
    """Text to image with Stable Diffusion 1 or 2."""

    @torch.no_grad()
    def __call__(
        self,
        prompt: Text = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 50,
        timesteps: Sequence[int] | None = None,
        sigmas: Sequence[float] | None = None,
        guidance_scale: float = 7.5,
        negative_prompt: Text = None,
        num_images_per_prompt: int = 1,
        eta: float = 0.0,
        generator: Generators = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        cross_attention_kwargs: Mapping[str, Any] | None = None,
        guidance_rescale: float = 0.0,
        clip_skip: int | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        callback: Callable[[int, Tensor, Tensor], None] | None = None,
        callback_steps: int = 1,
    ) -> StableDiffusionPipelineOutput | tuple[Any, list[bool] | None]:
        """Pictures of a prompt, or of each of several; every argument means what it means in diffusers.

        Raises KakusanError, in one line, on anything that cannot be done.
        """
        height, width = self._size(height, width, latents)
        self.check_inputs(
            prompt,
            height,
            width,
            callback_steps,
            negative_prompt,
            prompt_embeds,
            negative_prompt_embeds,
            callback_on_step_end_tensor_inputs,
        )
        self._begin(guidance_scale, guidance_rescale, clip_skip, output_type, num_images_per_prompt, cross_attention_kwargs)
        embeds, negative = self._conditions(prompt, num_images_per_prompt, negative_prompt, prompt_embeds, negative_prompt_embeds)
        pictures = len(embeds) // (2 if self.do_classifier_free_guidance else 1)
        times, steps = self._schedule(num_inference_steps, timesteps, sigmas)
        channels = self.unet.config.in_channels
        start = self.prepare_latents(pictures, channels, height, width, embeds.dtype, self.device, generator, latents)
        run = Denoising(start, times, steps, embeds, negative, generator, eta)
        watch = Watch(callback_on_step_end, callback_on_step_end_tensor_inputs, callback, callback_steps)
        return self._finish(denoise(self, run, watch), output_type, return_dict, generator)

    def check_inputs(
        self,
        prompt: Text,
        height: int,
        width: int,
        callback_steps: int | None,
        negative_prompt: Text = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] | None = None,
    ) -> None:
        """Raises KakusanError on what cannot be drawn."""
        checks.size(height, width)
        checks.callbacks(callback_steps, callback_on_step_end_tensor_inputs, self._callback_tensor_inputs)
        checks.prompts(prompt, negative_prompt, prompt_embeds, negative_prompt_embeds)

    def prepare_latents(
        self,
        batch_size: int,
        num_channels_latents: int,
        height: int,
        width: int,
        dtype: torch.dtype,
        device: torch.device | str,
        generator: Generators,
        latents: Tensor | None = None,
    ) -> Tensor:
        """Noise (n c h w) as strong as the scheduler begins with, drawn unless `latents` are given."""
        shape = (batch_size, num_channels_latents, height // self.vae_scale_factor, width // self.vae_scale_factor)
        check_generators(generator, batch_size)
        if latents is None:
            latents = randn(shape, generator, device, dtype)
        else:
            checks.shape("latents", latents, shape)
        noise: Tensor = latents.to(device) * self.scheduler.init_noise_sigma
        return noise
