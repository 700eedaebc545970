"""What diffusers' Stable Diffusion pipelines share: prompts, schedules, decoding, the safety checker.

n images, c channels, h w height and width of a latent, H W of a picture, l text tokens, d width of a text state.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor

from . import checks
from .checks import CALLBACK_TENSORS
from .components import AutoencoderKL, CLIPTextModel, UNet2DConditionModel
from .config import Config
from .image_processors import CLIPImageProcessor
from .images import Array, VaeImageProcessor, check_output_type
from .lora import LoraPipeline
from .outputs import StableDiffusionPipelineOutput
from .pipeline import DiffusionPipeline
from .random import Generators, check_generators
from .textual_inversion import LearntWords
from .tokenizer import CLIPTokenizer
from .truncation import say_what_is_cut

Text = str | Sequence[str] | None


class TextGuidedPipeline(LoraPipeline, LearntWords, DiffusionPipeline):
    """A text encoder, a U-Net, an autoencoder and a scheduler; a subclass says what is drawn with them."""

    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    unet: UNet2DConditionModel
    scheduler: Any
    safety_checker: Any
    feature_extractor: Any

    outdated: ClassVar[Mapping[str, object]] = {"steps_offset": 1, "clip_sample": False}
    """Settings of the scheduler that model folders got wrong at first, and what diffusers makes of them, on whose pictures it depends."""

    _callback_tensor_inputs: Sequence[str] = CALLBACK_TENSORS
    _guidance_scale, _guidance_rescale, _interrupt, _num_timesteps = 7.5, 0.0, False, 0
    _clip_skip: int | None = None

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        unet: UNet2DConditionModel,
        scheduler: Any,
        safety_checker: Any = None,
        feature_extractor: Any = None,
        image_encoder: Any = None,
        requires_safety_checker: bool = True,
    ):
        """safety_checker: called with `images` and `clip_input`, returns images and flags; a function will do.

        feature_extractor: makes `clip_input`; CLIP's published one unless given, so that a checker can be put in later.
        """
        if scheduler is not None:
            said = scheduler.config
            scheduler.register_to_config(**{name: value for name, value in self.outdated.items() if said.get(name, value) != value})
        self.register_modules(
            **{"vae": vae, "text_encoder": text_encoder, "tokenizer": tokenizer, "unet": unet, "scheduler": scheduler},
            **{"safety_checker": safety_checker, "feature_extractor": feature_extractor or CLIPImageProcessor()},
            image_encoder=image_encoder,
        )
        self.vae_scale_factor = 8 if vae is None else 2 ** (len(vae.config.block_out_channels) - 1)
        self.image_processor = VaeImageProcessor(self.vae_scale_factor)
        self.config = Config(requires_safety_checker=requires_safety_checker)

    def encode_prompt(
        self,
        prompt: Text,
        device: torch.device | str | None = None,
        num_images_per_prompt: int = 1,
        do_classifier_free_guidance: bool = True,
        negative_prompt: Text = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        lora_scale: None = None,
        clip_skip: int | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Text states (n l d) of prompts and, with guidance, of negative prompts, each as often as there are images of it.

        clip_skip: how many of the text encoder's last layers to leave out for the prompts.
        """
        if prompt_embeds is None:
            texts = [prompt] if isinstance(prompt, str) else list(prompt or ())
            prompt_embeds = self._states(texts, self.tokenizer.model_max_length, clip_skip)
        if do_classifier_free_guidance and negative_prompt_embeds is None:
            texts = checks.negatives(negative_prompt or "", len(prompt_embeds))
            negative_prompt_embeds = self._states(texts, prompt_embeds.shape[1])
        device, dtype = self.device if device is None else device, self.text_encoder.dtype
        states = prompt_embeds.to(device, dtype).repeat_interleave(num_images_per_prompt, dim=0)
        if not do_classifier_free_guidance or negative_prompt_embeds is None:
            return states, negative_prompt_embeds
        return states, negative_prompt_embeds.to(device, dtype).repeat_interleave(num_images_per_prompt, dim=0)

    def _encode_prompt(self, *args: Any, **options: Any) -> Tensor:
        """`encode_prompt` as it was in 2022: one tensor, with guidance the negative prompts' states first."""
        states, negative = self.encode_prompt(*args, **options)
        return states if negative is None else torch.cat([negative, states])

    def get_timesteps(self, num_inference_steps: int, strength: float, device: object = None) -> tuple[Tensor, int]:
        """The last strength * steps of the scheduler's timesteps, and how many steps they are. Raises KakusanError if none are left."""
        steps = min(int(num_inference_steps * strength), num_inference_steps)
        checks.some_steps(steps, num_inference_steps, strength)
        first = (num_inference_steps - steps) * self.scheduler.order
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(first)
        return self.scheduler.timesteps[first:], steps

    def prepare_extra_step_kwargs(self, generator: Generators, eta: float) -> dict[str, Any]:
        """What this scheduler's `step` takes of eta and generator."""
        taken = inspect.signature(self.scheduler.step).parameters
        return {name: value for name, value in (("eta", eta), ("generator", generator)) if name in taken}

    def run_safety_checker(self, image: Tensor, device: torch.device | str, dtype: torch.dtype) -> tuple[Any, list[bool] | None]:
        """Pictures (n 3 H W, -1 to 1), those objected to black, and a flag for each; no flags without a checker."""
        if self.safety_checker is None:
            return image, None
        pictures = self.image_processor.postprocess(image) if isinstance(image, Tensor) else self.numpy_to_pil(image)
        pixels = self.feature_extractor(pictures, return_tensors="pt").pixel_values.to(device, dtype)
        image, flags = self.safety_checker(images=image, clip_input=pixels)
        return image, [bool(flags)] * len(image) if isinstance(flags, bool) else [bool(flag) for flag in flags]

    def decode_latents(self, latents: Tensor) -> Array:
        """Pictures (n H W 3, 0 to 1) of latents (n c h w)."""
        return VaeImageProcessor.pt_to_numpy(VaeImageProcessor.denormalize(self._decode(latents)))

    @staticmethod
    def numpy_to_pil(images: Array) -> list[Image.Image]:
        """PIL images of an array (n H W 3, 0 to 1)."""
        return VaeImageProcessor.numpy_to_pil(images)

    @property
    def guidance_scale(self) -> float:
        """How far away from what the network sees without the prompt."""
        return self._guidance_scale

    @property
    def guidance_rescale(self) -> float:
        """How far the contrast of the prompted prediction is taken over."""
        return self._guidance_rescale

    @property
    def clip_skip(self) -> int | None:
        """How many of the text encoder's last layers are left out."""
        return self._clip_skip

    @property
    def do_classifier_free_guidance(self) -> bool:
        """Whether the U-Net is asked twice, without the prompt and with it."""
        return self._guidance_scale > 1

    @property
    def num_timesteps(self) -> int:
        """How many steps the last call made."""
        return self._num_timesteps

    @property
    def interrupt(self) -> bool:
        """Whether a callback has asked to stop."""
        return self._interrupt

    def _begin(
        self,
        scale: float,
        rescale: float,
        clip_skip: int | None,
        output_type: str,
        count: int,
        cross_attention_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        checks.number("guidance_scale", scale)
        checks.number("guidance_rescale", rescale, 0, 1)
        checks.count("num_images_per_prompt", count)
        if clip_skip is not None:
            checks.number("clip_skip", clip_skip, 0, self.text_encoder.config.num_hidden_layers)
        check_output_type(output_type)
        self._scale_loras(cross_attention_kwargs)
        self._guidance_scale, self._guidance_rescale, self._clip_skip, self._interrupt = scale, rescale, clip_skip, False

    def _size(self, height: int | None, width: int | None, latents: Tensor | None = None) -> tuple[int, int]:
        """What is asked for; else that of the latents given; else what the U-Net was trained on."""
        size: tuple[int, int] = (self.unet.config.sample_size,) * 2
        if latents is not None and latents.ndim == 4:
            size = (latents.shape[2], latents.shape[3])
        return height or size[0] * self.vae_scale_factor, width or size[1] * self.vae_scale_factor

    def _conditions(
        self, prompt: Text, count: int, negative_prompt: Text, embeds: Tensor | None, negative_embeds: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The text states for the U-Net, with guidance those without the prompt first; and these alone."""
        guided = self.do_classifier_free_guidance
        states, negative = self.encode_prompt(
            prompt, self.device, count, guided, negative_prompt, embeds, negative_embeds, clip_skip=self.clip_skip
        )
        return (torch.cat([negative, states]) if guided and negative is not None else states), negative

    def _states(self, texts: list[str], length: int, clip_skip: int | None = None) -> Tensor:
        ids = self.tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
        say_what_is_cut(self.tokenizer, texts, length)
        ids = ids.to(self.text_encoder.device)
        if clip_skip is None:
            states: Tensor = self.text_encoder(ids)[0]
        else:
            layers = self.text_encoder(ids, output_hidden_states=True).hidden_states
            states = self.text_encoder.text_model.final_layer_norm(layers[-(clip_skip + 1)])
        return states

    def _schedule(self, steps: int, timesteps: Sequence[int] | None = None, sigmas: Sequence[float] | None = None) -> tuple[Tensor, int]:
        """The scheduler's timesteps, its own or those given, and the number of steps."""
        custom = {name: value for name, value in (("timesteps", timesteps), ("sigmas", sigmas)) if value is not None}
        checks.custom_steps(custom, self.scheduler)
        if not custom:
            checks.count("num_inference_steps", steps)
            self.scheduler.set_timesteps(steps, device=self.device)
            return self.scheduler.timesteps, steps
        self.scheduler.set_timesteps(device=self.device, **custom)
        return self.scheduler.timesteps, len(self.scheduler.timesteps)

    def _latents_of(self, image: Tensor, pictures: int, generator: Generators) -> Tensor:
        """Latents (n c h w) for so many pictures of the pictures given (m 3 H W), in turn; latents stay what they are."""
        checks.divides(len(image), pictures)
        check_generators(generator, pictures)
        if image.shape[1] == self.vae.config.latent_channels:
            return image.repeat(pictures // len(image), 1, 1, 1)
        if isinstance(generator, Sequence):  # then each of the pictures is drawn from by its own
            image = image.repeat(pictures // len(image), 1, 1, 1)
        latents: Tensor = self.vae.encode(image)[0].sample(generator) * self.vae.config.scaling_factor
        return latents.repeat(pictures // len(latents), 1, 1, 1)

    def _decode(self, latents: Tensor, generator: Generators = None) -> Tensor:
        image: Tensor = self.vae.decode(latents / self.vae.config.scaling_factor, return_dict=False, generator=generator)[0]
        return image

    def _finish(
        self, latents: Tensor, output_type: str, return_dict: bool, generator: Generators = None
    ) -> StableDiffusionPipelineOutput | tuple[Any, list[bool] | None]:
        """Pictures in the kind asked for. A checker's black ones are 0 already and stay so."""
        self._scale_loras(None)
        image, flags = latents, None
        if output_type != "latent":
            image, flags = self.run_safety_checker(self._decode(latents, generator), self.device, self.unet.dtype)
        moved = [not (flags and flags[i] and not one.any()) for i, one in enumerate(image)]
        images = self.image_processor.postprocess(image, output_type, moved)
        return StableDiffusionPipelineOutput(images, flags) if return_dict else (images, flags)
