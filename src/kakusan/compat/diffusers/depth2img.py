"""diffusers' StableDiffusionDepth2ImgPipeline: image to image by a network that also sees how near things are.

n images, h w height and width of a latent, H W of a picture.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import KakusanError
from . import checks
from .denoising import Denoising, Watch, denoise
from .images import Pictures, given
from .img2img import StableDiffusionImg2ImgPipeline
from .outputs import ImagePipelineOutput
from .random import Generators
from .text_guided import Text


class StableDiffusionDepth2ImgPipeline(StableDiffusionImg2ImgPipeline):
    """Image, its depth, and text to image, with Stable Diffusion 2 depth."""

    outdated: ClassVar[Mapping[str, object]] = {}

    depth_estimator: Any

    _callback_tensor_inputs = (*checks.CALLBACK_TENSORS, "depth_mask")

    def __init__(
        self,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        unet: Any,
        scheduler: Any,
        depth_estimator: Any = None,
        feature_extractor: Any = None,
    ):
        """depth_estimator: `estimator(pixels).predicted_depth`; without one each call needs a depth_map."""
        super().__init__(vae, text_encoder, tokenizer, unet, scheduler, feature_extractor=feature_extractor, requires_safety_checker=False)
        self._names = tuple(name for name in self._names if name not in ("safety_checker", "image_encoder"))
        self.register_modules(depth_estimator=depth_estimator)

    @torch.no_grad()
    def __call__(  # type: ignore[override]
        self,
        prompt: Text = None,
        image: Pictures | None = None,
        depth_map: Tensor | None = None,
        strength: float = 0.8,
        num_inference_steps: int = 50,
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
    ) -> ImagePipelineOutput | tuple[Any]:
        """Pictures after a prompt, a picture and its depth (n H W, larger is nearer, of any scale), estimated unless given.

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
        depth = self.prepare_depth_map(picture, depth_map, pictures, self.do_classifier_free_guidance, embeds.dtype, self.device)
        self._schedule(num_inference_steps)
        times, steps = self.get_timesteps(num_inference_steps, strength)
        start = self.prepare_latents(pixels, times[:1].repeat(pictures), pictures, 1, embeds.dtype, self.device, generator)
        run = Denoising(start, times, steps, embeds, negative, generator, eta, beside={"depth_mask": depth})
        images = self._finish(denoise(self, run, watch), output_type, False)[0]
        return ImagePipelineOutput(images) if return_dict else (images,)

    def prepare_depth_map(
        self, image: Pictures, depth_map: Tensor | None, batch_size: int, guided: bool, dtype: torch.dtype, device: torch.device | str
    ) -> Tensor:
        """Depth (n 1 h w) as the U-Net sees it: as large as the latents, from -1, farthest, to 1; twice the rows with guidance."""
        if depth_map is None:
            depth_map = self._estimated(image, dtype, device)
        height, width = self.image_processor.preprocess(image).shape[2:]
        size = (height // self.vae_scale_factor, width // self.vae_scale_factor)
        depth = F.interpolate(depth_map.to(device, dtype)[:, None], size=size, mode="bicubic", align_corners=False)  # n 1 h w
        near, far = depth.amax(dim=(1, 2, 3), keepdim=True), depth.amin(dim=(1, 2, 3), keepdim=True)
        depth = (2.0 * (depth - far) / (near - far) - 1.0).to(dtype)
        checks.divides(len(depth), batch_size)
        return depth.repeat(batch_size // len(depth) * (2 if guided else 1), 1, 1, 1)

    def _estimated(self, image: Pictures, dtype: torch.dtype, device: torch.device | str) -> Tensor:
        if self.depth_estimator is None:
            raise KakusanError(
                "this model has no depth_estimator; give depth_map, a tensor (n, height, width)",
                "このモデルには depth_estimator がありません。depth_map (n, 高さ, 幅) を指定してください",
            )
        pixels = self.feature_extractor(images=image, return_tensors="pt").pixel_values.to(device, dtype)
        half = dtype in (torch.float16, torch.bfloat16)  # the network's norms need more
        with torch.autocast(torch.device(device).type, dtype) if half else nullcontext():
            depth: Tensor = self.depth_estimator(pixels).predicted_depth
        return depth
