"""A model with a safety checker."""

from pathlib import Path

import torch
import transformers
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

from compat import tiny_folders as tiny


def guarded_folder(path: Path, **components: object) -> Path:
    """A text-to-image model whose checker flags some pictures and not others."""
    torch.manual_seed(5)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.CLIPConfig(vision_config={**sizes, "image_size": 32, "patch_size": 8}, projection_dim=12)
    checker = tiny.lively(StableDiffusionSafetyChecker(config))
    with torch.no_grad():
        checker.concept_embeds.copy_(torch.randn(17, 12))
        checker.special_care_embeds.copy_(torch.randn(3, 12))
        checker.concept_embeds_weights.fill_(0.9)
        checker.special_care_embeds_weights.fill_(0.9)
    extractor = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return tiny.folder(path, safety_checker=checker, feature_extractor=extractor, requires_safety_checker=True, **components)
