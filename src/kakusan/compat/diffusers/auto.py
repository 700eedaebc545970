"""diffusers' AutoPipeline names: the pipeline for a task that suits a model, whatever pipeline its folder is for."""

from pathlib import Path
from typing import Any, ClassVar

from ...errors import KakusanError
from .depth2img import StableDiffusionDepth2ImgPipeline
from .img2img import StableDiffusionImg2ImgPipeline
from .inpaint import StableDiffusionInpaintPipeline
from .pipeline import DiffusionPipeline
from .stable_diffusion import StableDiffusionPipeline


class AutoPipelineForText2Image:
    """`from_pretrained` and `from_pipe` give a StableDiffusionPipeline."""

    kinds: ClassVar[dict[int, type[DiffusionPipeline]]] = {0: StableDiffusionPipeline}
    """The pipeline by how many channels the U-Net sees beside the latent's."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path | None = None, **options: Any) -> Any:
        """The pipeline for this task of a model's folder, or of a name on the hub. Raises KakusanError if the model cannot do it."""
        return cls.from_pipe(DiffusionPipeline.from_pretrained(pretrained_model_name_or_path, **options))

    @classmethod
    def from_pipe(cls, pipeline: Any, **components: Any) -> Any:
        """The pipeline for this task out of another's components. Raises KakusanError if the model cannot do it."""
        unet = components.get("unet", pipeline.unet)
        beside = unet.config.in_channels - unet.config.out_channels
        if beside not in cls.kinds:
            raise KakusanError(
                f"{cls.__name__}: this model's U-Net sees {beside} more channels, and is for another task: {type(pipeline).__name__}",
                f"{cls.__name__}: このモデルの U-Net は {beside} チャンネル多く、別の用途のモデルです: {type(pipeline).__name__}",
            )
        return cls.kinds[beside].from_pipe(pipeline, **components)


class AutoPipelineForImage2Image(AutoPipelineForText2Image):
    """`from_pretrained` and `from_pipe` give an image-to-image pipeline, with depth for a model that sees it."""

    kinds: ClassVar[dict[int, type[DiffusionPipeline]]] = {0: StableDiffusionImg2ImgPipeline, 1: StableDiffusionDepth2ImgPipeline}


class AutoPipelineForInpainting(AutoPipelineForText2Image):
    """`from_pretrained` and `from_pipe` give an inpainting pipeline."""

    kinds: ClassVar[dict[int, type[DiffusionPipeline]]] = {0: StableDiffusionInpaintPipeline, 5: StableDiffusionInpaintPipeline}
