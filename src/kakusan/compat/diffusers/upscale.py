"""diffusers' StableDiffusionUpscalePipeline: four times the size, by a network that sees the small picture with some noise on it.

n images, c channels, h w height and width of a latent and of the small picture.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...errors import KakusanError
from . import checks
from .config import Config
from .denoising import Denoising, Watch, denoise
from .images import Pictures, VaeImageProcessor, given
from .outputs import StableDiffusionPipelineOutput
from .random import Generators, check_generators, randn
from .text_guided import Text, TextGuidedPipeline

SCALE = 0.08333  # of the published autoencoder's latents, which its first folders did not say


class StableDiffusionUpscalePipeline(TextGuidedPipeline):
    """A small picture and text to a large picture, with the x4 upscaler."""

    outdated: ClassVar[Mapping[str, object]] = {}

    low_res_scheduler: Any
    watermarker: Any

    def __init__(
        self,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        unet: Any,
        low_res_scheduler: Any,
        scheduler: Any,
        safety_checker: Any = None,
        feature_extractor: Any = None,
        watermarker: Any = None,
        max_noise_level: int = 350,
    ):
        """low_res_scheduler: noises the small picture, at most to max_noise_level. watermarker: has `apply_watermark(images)`."""
        super().__init__(vae, text_encoder, tokenizer, unet, scheduler, safety_checker, feature_extractor)
        self._names = tuple(name for name in self._names if name != "image_encoder")
        self.register_modules(low_res_scheduler=low_res_scheduler, watermarker=watermarker)
        vae.register_to_config(scaling_factor=SCALE)
        self.image_processor = VaeImageProcessor(self.vae_scale_factor, resample="bicubic")
        self.config = Config(max_noise_level=max_noise_level)

    @torch.no_grad()
    def __call__(
        self,
        prompt: Text = None,
        image: Pictures | None = None,
        num_inference_steps: int = 75,
        guidance_scale: float = 9.0,
        noise_level: int = 20,
        negative_prompt: Text = None,
        num_images_per_prompt: int = 1,
        eta: float = 0.0,
        generator: Generators = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback: Callable[[int, Tensor, Tensor], None] | None = None,
        callback_steps: int = 1,
        cross_attention_kwargs: Mapping[str, Any] | None = None,
        clip_skip: int | None = None,
    ) -> StableDiffusionPipelineOutput | tuple[Any, list[bool] | None]:
        """Pictures four times as high and wide. noise_level: how much of the small picture is left open, 0 to max_noise_level.

        Raises KakusanError, in one line, on anything that cannot be done.
        """
        self.check_inputs(prompt, image, noise_level, callback_steps, negative_prompt, prompt_embeds, negative_prompt_embeds)
        self._begin(guidance_scale, 0.0, clip_skip, output_type, num_images_per_prompt, cross_attention_kwargs)
        embeds, negative = self._conditions(prompt, num_images_per_prompt, negative_prompt, prompt_embeds, negative_prompt_embeds)
        times = 2 if self.do_classifier_free_guidance else 1
        pictures = len(embeds) // times
        small = self.image_processor.preprocess(given("image", image)).to(self.device, embeds.dtype)  # n 3 h w
        checks.divides(len(small), pictures)
        timesteps, steps = self._schedule(num_inference_steps)
        level = torch.tensor([noise_level], device=self.device)
        small = self.low_res_scheduler.add_noise(small, randn(tuple(small.shape), generator, self.device, embeds.dtype), level)
        small = small.repeat_interleave(pictures // len(small), dim=0).repeat(times, 1, 1, 1)
        channels = self.vae.config.latent_channels
        height, width = small.shape[2:]
        start = self.prepare_latents(pictures, channels, height, width, embeds.dtype, self.device, generator, latents)
        labels = level.repeat(len(small))
        run = Denoising(start, timesteps, steps, embeds, negative, generator, eta, {"image": small}, class_labels=labels)
        watch = Watch(callback=callback, callback_steps=callback_steps)
        return self._finish(denoise(self, run, watch), output_type, return_dict)

    def check_inputs(
        self,
        prompt: Text,
        image: Pictures | None,
        noise_level: int,
        callback_steps: int,
        negative_prompt: Text = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
    ) -> None:
        """Raises KakusanError on what cannot be drawn."""
        checks.callbacks(callback_steps, None, ())
        checks.prompts(prompt, negative_prompt, prompt_embeds, negative_prompt_embeds)
        most = self.config.max_noise_level
        if isinstance(noise_level, bool) or not isinstance(noise_level, int) or not 0 <= noise_level <= most:
            raise KakusanError(
                f"noise_level is {noise_level!r}; it must be from 0 to {most}",
                f"noise_level が {noise_level!r} です。0 から {most} にしてください",
            )

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
        """Noise (n c h w) as large as the small picture and as strong as the scheduler begins with, drawn unless `latents` are given."""
        shape = (batch_size, num_channels_latents, height, width)
        check_generators(generator, batch_size)
        if latents is None:
            latents = randn(shape, generator, device, dtype)
        else:
            checks.shape("latents", latents, shape)
        noise: Tensor = latents.to(device) * self.scheduler.init_noise_sigma
        return noise

    def run_safety_checker(self, image: Tensor, device: torch.device | str, dtype: torch.dtype) -> tuple[Any, list[bool] | None]:
        """As elsewhere; a checker that also returns flags for watermarks may do so."""
        if self.safety_checker is None:
            return image, None
        pixels = self.feature_extractor(self.image_processor.postprocess(image), return_tensors="pt").pixel_values.to(device, dtype)
        image, flags, *_ = self.safety_checker(images=image, clip_input=pixels)
        return image, [bool(flag) for flag in flags]

    def _decode(self, latents: Tensor, generator: Generators = None) -> Tensor:
        """In full precision: in half this autoencoder overflows."""
        dtype = self.vae.dtype
        try:
            self.vae.to(torch.float32 if dtype == torch.float16 else dtype)
            return super()._decode(latents.to(self.vae.dtype), generator)
        finally:
            self.vae.to(dtype)

    def _finish(
        self, latents: Tensor, output_type: str, return_dict: bool, generator: Generators = None
    ) -> StableDiffusionPipelineOutput | tuple[Any, list[bool] | None]:
        result = super()._finish(latents, output_type, False, generator)
        images, flags = result[0], result[1]
        if output_type == "pil" and self.watermarker is not None:
            images = self.watermarker.apply_watermark(images)
        return StableDiffusionPipelineOutput(images, flags) if return_dict else (images, flags)
