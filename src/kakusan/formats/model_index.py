"""model_index.json: what a folder's pipeline is called in diffusers, and which classes its parts have."""

from pathlib import Path
from typing import Any

from ..errors import FileError
from ..models.xlm_roberta import XlmRoberta
from ..prompts.sentencepieces import CLASSES, SentencePieces
from .configs import DIFFUSERS
from .fields import Fields, read_json
from .model import Model

PIPELINES = {
    "": "StableDiffusionPipeline",
    "inpainting": "StableDiffusionInpaintPipeline",
    "depth": "StableDiffusionDepth2ImgPipeline",
    "upscaling": "StableDiffusionUpscalePipeline",
}
ADDED = (0, 5, 1, 3)
"""Channels that the U-Net of each of these sees beside the latent's."""
MOST_NOISE = 350  # of the x4 upscaler's small picture, as its own folder has it

ALT_MODULE, ALT = "alt_diffusion", "RobertaSeriesModelWithTransformation"
NOTHING = [None, None]
KNOWN: dict[str, tuple[object, ...]] = {
    "_class_name": (
        *(*PIPELINES.values(), "StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipelineLegacy"),
        *("AltDiffusionPipeline", "AltDiffusionImg2ImgPipeline", "JapaneseStableDiffusionPipeline"),
    ),
    "unet": (["diffusers", "UNet2DConditionModel"],),
    "vae": (["diffusers", "AutoencoderKL"],),
    "text_encoder": (["transformers", "CLIPTextModel"], ["transformers", "CLIPTextModelWithProjection"], [ALT_MODULE, ALT]),
    "tokenizer": tuple(["transformers", name + fast] for name in ("CLIPTokenizer", *CLASSES.values()) for fast in ("", "Fast")),
    "depth_estimator": (["transformers", "DPTForDepthEstimation"], NOTHING),
}
IGNORED = (
    *("_diffusers_version", "_name_or_path", "scheduler", "safety_checker", "requires_safety_checker", "feature_extractor"),
    *("image_encoder", "watermarker"),
)


def read_index(path: Path) -> dict[str, Any]:
    """The model_index.json of a folder, checked. Raises FileError if there is none, or if it speaks of parts that we do not have."""
    file = path / "model_index.json"
    if not file.exists():
        raise FileError(
            f"{path}: not a model folder: it has no model_index.json",
            f"{path}: モデルフォルダではありません (model_index.json がありません)",
        )
    index = read_json(file)
    fields = Fields(file)
    fields.expect(KNOWN)
    fields.take("max_noise_level", int, MOST_NOISE)
    fields.ignore((*IGNORED, "low_res_scheduler", *(name for name, value in index.items() if value == NOTHING)))
    fields.done()
    return index


def write_index(model: Model, scheduler: str) -> dict[str, object]:
    """The model_index.json of a model whose sampler diffusers calls `scheduler`."""
    tokenizer = model.tokenizer
    index: dict[str, object] = {
        "_class_name": PIPELINES[model.variant],
        "_diffusers_version": DIFFUSERS,
        "feature_extractor": NOTHING,
        "scheduler": ["diffusers", scheduler],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", CLASSES[tokenizer.layout] if isinstance(tokenizer, SentencePieces) else "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    if isinstance(model.text, XlmRoberta):
        index |= {"_class_name": "AltDiffusionPipeline", "text_encoder": [ALT_MODULE, ALT]}
    if model.variant == "depth":
        if model.depth is None:
            return index | {"depth_estimator": NOTHING}
        return index | {
            "depth_estimator": ["transformers", "DPTForDepthEstimation"],
            "feature_extractor": ["transformers", "DPTImageProcessor"],
        }
    if model.variant == "upscaling":
        most = model.settings.get("max_noise_level", MOST_NOISE)
        low = ["diffusers", "DDPMScheduler"]
        return index | {"low_res_scheduler": low, "max_noise_level": most, "safety_checker": NOTHING, "watermarker": NOTHING}
    return index | {"image_encoder": NOTHING, "requires_safety_checker": False, "safety_checker": NOTHING}
