"""diffusers' StableDiffusionImg2ImgPipeline: a picture is noised part of the way and drawn again from there (SDEdit).

Meng et al. 2021, https://arxiv.org/abs/2108.01073. n images, c channels, h w height and width of a latent, H W of a picture.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from . import checks
from .denoising import Denoising, Watch, denoise
from .images import Pictures, given
from .outputs import StableDiffusionPipelineOutput
from .random import Generators, randn
from .text_guided import Text, TextGuidedPipeline


class StableDiffusionImg2ImgPipeline(TextGuidedPipeline):
    """Image and text to image."""

    @torch.no_grad()
    def __call__(
        self,
        prompt: Text = None,
        image: Pictures | None = None,
        strength: float = 0.8,
        num_inference_steps: int = 50,
        timesteps: Sequence[int] | None = None,
        sigmas: Sequence[float] | None = None,
        guidance_scale: float = 7.5,
        negative_prompt: Text = None,
        num_images_per_prompt: int = 1,
        eta: float = 0.0,
        generator: Generators = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        cross_attention_kwargs: Mapping[str, Any] | None = None,
        clip_skip: int | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        callback: Callable[[int, Tensor, Tensor], None] | None = None,
        callback_steps: int = 1,
    ) -> StableDiffusionPipelineOutput | tuple[Any, list[bool] | None]:
        """Pictures after a prompt and a picture, or after each of several.

        strength: 0 to 1, how much of the way is noised and drawn again: of num_inference_steps, the last strength * steps.
        Raises KakusanError, in one line, on anything that cannot be done.
        """
        watch = Watch(callback_on_step_end, callback_on_step_end_tensor_inputs, callback, callback_steps)
        checks.callbacks(callback_steps, callback_on_step_end_tensor_inputs, self._callback_tensor_inputs)
        self.check_inputs(prompt, strength, callback_steps, negative_prompt, prompt_embeds, negative_prompt_embeds)
        picture = given("image", image)
        self._begin(guidance_scale, 0.0, clip_skip, output_type, num_images_per_prompt, cross_attention_kwargs)
        embeds, negative = self._conditions(prompt, num_images_per_prompt, negative_prompt, prompt_embeds, negative_prompt_embeds)
        pictures = len(embeds) // (2 if self.do_classifier_free_guidance else 1)
        pixels = self.image_processor.preprocess(picture)
        _, steps = self._schedule(num_inference_steps, timesteps, sigmas)
        times, steps = self.get_timesteps(steps, strength)
        start = self.prepare_latents(pixels, times[:1].repeat(pictures), pictures, 1, embeds.dtype, self.device, generator)
        run = Denoising(start, times, steps, embeds, negative, generator, eta)
        return self._finish(denoise(self, run, watch), output_type, return_dict, generator)

    def check_inputs(
        self,
        prompt: Text,
        strength: float,
        callback_steps: int | None = None,
        negative_prompt: Text = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
    ) -> None:
        """Raises KakusanError on what cannot be drawn."""
        checks.number("strength", strength, 0, 1)
        checks.prompts(prompt, negative_prompt, prompt_embeds, negative_prompt_embeds)

    def prepare_latents(
        self,
        image: Tensor,
        timestep: Tensor,
        batch_size: int,
        num_images_per_prompt: int,
        dtype: torch.dtype,
        device: torch.device | str,
        generator: Generators = None,
    ) -> Tensor:
        """The latents (n c h w) of pictures (n 3 H W), or latents as given, noised to the first timestep; one serves for several."""
        clean = self._latents_of(image.to(device, dtype), batch_size * num_images_per_prompt, generator)
        noise = randn(tuple(clean.shape), generator, device, dtype)
        noisy: Tensor = self.scheduler.add_noise(clean, noise, timestep)
        return noisy
