"""The names that notebooks and books use: in code written for diffusers and transformers only the import lines change.

from kakusan.compat.diffusers import StableDiffusionPipeline

pipe = StableDiffusionPipeline.from_pretrained("a model's folder, or a name on the hub")
image = pipe("a photograph of an astronaut riding a horse").images[0]
"""

from importlib import import_module
from typing import Any

HOMES = {
    "auto": ("AutoPipelineForImage2Image", "AutoPipelineForInpainting", "AutoPipelineForText2Image"),
    "components": ("AutoencoderKL", "CLIPTextModel", "UNet2DConditionModel"),
    "tokenizer": ("BatchEncoding", "CLIPTokenizer"),
    "depth_estimator": ("DPTForDepthEstimation",),
    "images": ("VaeImageProcessor",),
    "image_processors": ("CLIPImageProcessor", "DPTImageProcessor"),
    "outputs": (
        *("AutoencoderKLOutput", "BaseModelOutputWithPooling", "DecoderOutput", "DiagonalGaussianDistribution", "ImagePipelineOutput"),
        *("StableDiffusionPipelineOutput", "UNet2DConditionOutput"),
    ),
    "pipeline": ("DiffusionPipeline",),
    "schedulers": (
        *("DDIMScheduler", "DDPMScheduler", "DEISMultistepScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"),
        *("EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler", "KDPM2AncestralDiscreteScheduler"),
        *("KDPM2DiscreteScheduler", "LMSDiscreteScheduler", "PNDMScheduler", "SchedulerOutput", "UniPCMultistepScheduler"),
    ),
    "stable_diffusion": ("StableDiffusionPipeline",),
    "img2img": ("StableDiffusionImg2ImgPipeline",),
    "inpaint": ("StableDiffusionInpaintPipeline",),
    "depth2img": ("StableDiffusionDepth2ImgPipeline",),
    "safety_checker": ("StableDiffusionSafetyChecker",),
    "upscale": ("StableDiffusionUpscalePipeline",),
}
OTHER_NAMES = {
    "CLIPTokenizerFast": "CLIPTokenizer",
    **dict.fromkeys(("CLIPFeatureExtractor", "CLIPImageProcessorFast", "CLIPImageProcessorPil"), "CLIPImageProcessor"),
    **dict.fromkeys(("DPTFeatureExtractor", "DPTImageProcessorFast", "DPTImageProcessorPil"), "DPTImageProcessor"),
}
"""Names that transformers has had for the same."""
HOME = {name: module for module, names in HOMES.items() for name in names}

__all__ = sorted([*HOME, *OTHER_NAMES])


def __getattr__(name: str) -> Any:
    real = OTHER_NAMES.get(name, name)
    if real in HOME:  # on first use: importing the names imports no torch
        return getattr(import_module(f".{HOME[real]}", __name__), real)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
