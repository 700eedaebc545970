"""A safety checker's config.json, and the settings by which pictures are made ready for it, in the words of transformers."""

from pathlib import Path
from typing import Any

from ..models.clip_image import DEVIATION, MEAN, ClipImageConfig
from .configs import CLIP_IGNORED, CLIP_SAME, image_tower, write_image
from .fields import Fields, read_json

CLIP_PREPARATIONS = ("CLIPFeatureExtractor", "CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPImageProcessorPil")
BICUBIC = 3
DOES = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb")


def read_safety(file: Path) -> ClipImageConfig:
    """The image tower's shape from the checker's config.json, which is that of a whole CLIP: what it leaves out is transformers' default.

    Old files repeat what differs from the default in `vision_config_dict`, which counts for more.
    """
    fields = Fields(file)
    projection = fields.take("projection_dim", int, 512)
    fields.within("vision_config", "vision_config_dict")
    fields.ignore((*CLIP_IGNORED, "projection_dim"))
    fields.expect({"model_type": ("clip_vision_model",), "num_channels": (3,), **CLIP_SAME})
    return image_tower(fields, projection)


def write_safety(config: ClipImageConfig) -> dict[str, object]:
    """The checker's config.json."""
    tower = {name: value for name, value in write_image(config).items() if name != "architectures"}
    names = {"architectures": ["StableDiffusionSafetyChecker"], "model_type": "clip", "projection_dim": config.projection}
    return {**names, "logit_scale_init_value": 2.6592, "torch_dtype": "float32", "vision_config": tower}


def check_safety_preparation(file: Path, size: int) -> None:
    """Raises FileError unless a preprocessor_config.json says what `safety.checker.prepared` does with pictures for a tower of that size.

    One of another kind, as depth models have it, is not the checker's.
    """
    values = read_json(file)
    if values.get("image_processor_type", values.get("feature_extractor_type")) not in (*CLIP_PREPARATIONS, None):
        return
    fields = Fields(file)
    sizes: tuple[Any, ...] = (size, {"shortest_edge": size}, {"height": size, "width": size})
    fields.expect(dict.fromkeys(DOES, (True,)))
    fields.expect({"size": sizes[:2], "crop_size": (sizes[0], sizes[2]), "resample": (BICUBIC,)})
    fields.expect({"image_mean": (list(MEAN),), "image_std": (list(DEVIATION),)})


def write_safety_preparation(size: int) -> dict[str, object]:
    """preprocessor_config.json: the middle square of the picture, as CLIP has it."""
    return {
        **dict.fromkeys(DOES, True),
        "crop_size": {"height": size, "width": size},
        "image_mean": list(MEAN),
        "image_processor_type": "CLIPImageProcessor",
        "image_std": list(DEVIATION),
        "resample": BICUBIC,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": size},
    }
