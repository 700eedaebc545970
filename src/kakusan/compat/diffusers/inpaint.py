"""diffusers' StableDiffusionInpaintPipeline: what is white in the mask is drawn anew.

By a network that sees the mask and what is left of the picture (9 channels), or by any text-to-image network (4 channels): then what is
black is put back after every step, noised as far as the rest. n images, c channels, h w height and width of a latent, H W of a picture.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import KakusanError
from . import checks, crop
from .denoising import Denoising, Watch, denoise
from .images import Pictures, VaeImageProcessor, given
from .outputs import StableDiffusionPipelineOutput
from .random import Generators, check_generators, randn
from .text_guided import Text, TextGuidedPipeline


class StableDiffusionInpaintPipeline(TextGuidedPipeline):
    """Image, mask and text to image."""

    outdated: ClassVar[Mapping[str, object]] = {"steps_offset": 1, "skip_prk_steps": True}

    _callback_tensor_inputs = (*checks.CALLBACK_TENSORS, "mask", "masked_image_latents")

    @torch.no_grad()
    def __call__(
        self,
        prompt: Text = None,
        image: Pictures | None = None,
        mask_image: Pictures | None = None,
        masked_image_latents: Tensor | None = None,
        height: int | None = None,
        width: int | None = None,
        padding_mask_crop: int | None = None,
        strength: float = 1.0,
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
        clip_skip: int | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        callback: Callable[[int, Tensor, Tensor], None] | None = None,
        callback_steps: int = 1,
    ) -> StableDiffusionPipelineOutput | tuple[Any, list[bool] | None]:
        """Pictures with what is white in the mask drawn anew after a prompt.

        strength: below 1 the picture's own noised latents are where drawing begins, instead of noise. padding_mask_crop: draw only
        the part round the white, so many pixels larger, and put it back. Raises KakusanError on anything that cannot be done.
        """
        if padding_mask_crop is not None and output_type != "pil":
            raise KakusanError(
                f"padding_mask_crop makes PIL images; output_type is {output_type!r}",
                f'padding_mask_crop を使うときは output_type を "pil" にしてください (今は {output_type!r})',
            )
        watch = Watch(callback_on_step_end, callback_on_step_end_tensor_inputs, callback, callback_steps)
        height, width = self._size(height, width, latents)
        self.check_inputs(prompt, height, width, strength, callback_steps, negative_prompt, prompt_embeds, negative_prompt_embeds)
        checks.callbacks(callback_steps, callback_on_step_end_tensor_inputs, self._callback_tensor_inputs)
        picture, masked = given("image", image), given("mask_image", mask_image)
        self._begin(guidance_scale, 0.0, clip_skip, output_type, num_images_per_prompt, cross_attention_kwargs)
        embeds, negative = self._conditions(prompt, num_images_per_prompt, negative_prompt, prompt_embeds, negative_prompt_embeds)
        pictures = len(embeds) // (2 if self.do_classifier_free_guidance else 1)
        _, steps = self._schedule(num_inference_steps, timesteps, sigmas)
        times, steps = self.get_timesteps(steps, strength)
        box = None if padding_mask_crop is None else crop.region(picture, masked, width, height, padding_mask_crop)
        pixels = self.image_processor.preprocess(picture, height, width, box).to(self.device, torch.float32)
        white = self._masks().preprocess(masked, height, width, box).to(self.device)  # n 1 H W
        first = times[:1].repeat(pictures) if strength < 1 else None
        clean = self._clean(pixels, pictures, embeds.dtype, generator, needed=first is not None and latents is None)
        start, noise = self._start(clean, (pictures, height, width), first, latents, embeds.dtype, generator)
        mask, rest = self.prepare_mask_latents(white, pixels, masked_image_latents, pictures, embeds.dtype, generator)
        run = Denoising(start, times, steps, embeds, negative, generator, eta)
        seen = {"mask": mask, "masked_image_latents": rest}
        if self._sees_mask():
            run.beside = seen
        elif clean is not None:
            run.aside, run.settle = seen, self._putting_back(run, clean, noise)
        result = self._finish(denoise(self, run, watch), output_type, return_dict, generator)
        return result if box is None else _laid_on(result, picture, masked, box)

    def check_inputs(
        self,
        prompt: Text,
        height: int,
        width: int,
        strength: float,
        callback_steps: int | None = None,
        negative_prompt: Text = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
    ) -> None:
        """Raises KakusanError on what cannot be drawn."""
        checks.size(height, width)
        checks.number("strength", strength, 0, 1)
        checks.prompts(prompt, negative_prompt, prompt_embeds, negative_prompt_embeds)
        channels, own = self.unet.config.in_channels, self.vae.config.latent_channels
        if channels not in (own, 2 * own + 1):
            raise KakusanError(
                f"the U-Net takes {channels} channels; inpainting needs {own}, or {2 * own + 1} with mask and masked picture",
                f"U-Net の入力は {channels} チャンネルです。修復には {own}、またはマスクと元画像を含む {2 * own + 1} が必要です",
            )

    def prepare_mask_latents(
        self, white: Tensor, pixels: Tensor, rest: Tensor | None, pictures: int, dtype: torch.dtype, generator: Generators
    ) -> tuple[Tensor, Tensor]:
        """The mask (n 1 h w) and the latents (n c h w) of what is left of the picture, twice the rows with guidance.

        white: masks (m 1 H W); pixels: pictures (m 3 H W); rest: pictures or latents given for what is left.
        """
        size = (white.shape[2] // self.vae_scale_factor, white.shape[3] // self.vae_scale_factor)
        mask = F.interpolate(white, size=size).to(dtype)
        left = pixels * (white < 0.5) if rest is None else rest.to(self.device)
        latents = self._encoded(left.to(dtype), generator)
        times = 2 if self.do_classifier_free_guidance else 1
        for one in (mask, latents):
            checks.divides(len(one), pictures)
        return mask.repeat(pictures // len(mask) * times, 1, 1, 1), latents.repeat(pictures // len(latents) * times, 1, 1, 1)

    def _clean(self, pixels: Tensor, pictures: int, dtype: torch.dtype, generator: Generators, needed: bool) -> Tensor | None:
        """The picture's own latents (n c h w), drawn before anything else is, if they are needed."""
        check_generators(generator, pictures)
        checks.divides(len(pixels), pictures)
        if self._sees_mask() and not needed:
            return None
        latents = self._encoded(pixels.to(dtype), generator)
        return latents.repeat(pictures // len(latents), 1, 1, 1)

    def _start(
        self,
        clean: Tensor | None,
        size: tuple[int, int, int],
        first: Tensor | None,
        latents: Tensor | None,
        dtype: torch.dtype,
        generator: Generators,
    ) -> tuple[Tensor, Tensor]:
        """Where drawing begins (n c h w): at noise, or with `first` at the picture noised to those timesteps; and the noise itself."""
        pictures, height, width = size
        shape = (pictures, self.vae.config.latent_channels, height // self.vae_scale_factor, width // self.vae_scale_factor)
        if latents is not None:
            checks.shape("latents", latents, shape)
            noise = latents.to(self.device)
        else:
            noise = randn(shape, generator, self.device, dtype)
            if first is not None:
                return self.scheduler.add_noise(clean, noise, first), noise
        return noise * self.scheduler.init_noise_sigma, noise

    def _putting_back(self, run: Denoising, clean: Tensor, noise: Tensor) -> Callable[[int, Tensor], Tensor]:
        """After every step: what is black in the mask is the picture again, noised as far as the next step expects."""

        def settle(i: int, latents: Tensor) -> Tensor:
            kept = clean
            if i + 1 < len(run.timesteps):
                kept = self.scheduler.add_noise(clean, noise, run.timesteps[i + 1 : i + 2])
            mask = run.aside["mask"][: len(latents)]
            mended: Tensor = (1 - mask) * kept + mask * latents
            return mended

        return settle

    def _encoded(self, image: Tensor, generator: Generators) -> Tensor:
        """Latents of pictures, each drawn by its own generator where there are several; latents stay what they are."""
        if image.shape[1] == self.vae.config.latent_channels:
            return image
        own = generator[: len(image)] if isinstance(generator, Sequence) else generator
        latents: Tensor = self.vae.encode(image)[0].sample(own) * self.vae.config.scaling_factor
        return latents

    def _sees_mask(self) -> bool:
        return bool(self.unet.config.in_channels != self.vae.config.latent_channels)

    def _masks(self) -> VaeImageProcessor:
        return VaeImageProcessor(self.vae_scale_factor, do_normalize=False, do_binarize=True, do_convert_grayscale=True)


def _laid_on(result: Any, picture: Any, mask: Any, box: crop.Box) -> Any:
    """The result with every drawn part laid back on the picture."""
    whole = [crop.laid_on(one, picture, mask, box) for one in result[0]]
    if isinstance(result, StableDiffusionPipelineOutput):
        return StableDiffusionPipelineOutput(whole, result.nsfw_content_detected)
    return (whole, *result[1:])
