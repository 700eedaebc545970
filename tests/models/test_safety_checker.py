"""The checker's verdicts are those of diffusers' module, picture by picture, concept by concept."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPConfig

from kakusan.formats.keys import FOLDER, renamed
from kakusan.formats.keys_clip import safety_rows
from kakusan.models.clip_image import ClipImageConfig
from kakusan.models.safety_checker import SafetyChecker

TINY = ClipImageConfig(size=28, patch=14, width=32, layers=2, heads=2, feedforward=48, projection=16)
PIXELS = torch.randn(200, 3, TINY.size, TINY.size, generator=torch.Generator().manual_seed(0))


def peer() -> StableDiffusionSafetyChecker:
    vision = {
        "image_size": TINY.size,
        "patch_size": TINY.patch,
        "hidden_size": TINY.width,
        "num_hidden_layers": TINY.layers,
        "num_attention_heads": TINY.heads,
        "intermediate_size": TINY.feedforward,
        "projection_dim": TINY.projection,
    }
    return StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=TINY.projection)).eval()


def short(name: str) -> str:
    """transformers 5 leaves out one of the two levels that the published file has."""
    return name.replace("vision_model.vision_model.", "vision_model.")


@pytest.fixture(scope="module")
def pair() -> tuple[SafetyChecker, StableDiffusionSafetyChecker]:
    torch.manual_seed(3)
    theirs, ours = peer(), SafetyChecker(TINY)
    with torch.no_grad():
        for p in theirs.parameters():
            torch.nn.init.normal_(p, std=0.3)
        feature = F.normalize(theirs.visual_projection(theirs.vision_model(PIXELS)[1]))
        for concepts, thresholds in (
            (theirs.concept_embeds, theirs.concept_embeds_weights),
            (theirs.special_care_embeds, theirs.special_care_embeds_weights),
        ):  # each concept is there in every twentieth picture
            thresholds.copy_((feature @ F.normalize(concepts).T).quantile(0.95, dim=0))
    stored = {short(name): tensor for name, tensor in theirs.state_dict().items() if "position_ids" not in name}
    names = {ours: short(theirs) for ours, theirs in renamed(ours.state_dict(), safety_rows(TINY), FOLDER).items()}
    assert set(names.values()) == set(stored), "the table is total"
    ours.load_state_dict({name: stored[theirs] for name, theirs in names.items()})
    return ours, theirs


def test_verdicts_are_those_of_diffusers(pair: tuple[SafetyChecker, StableDiffusionSafetyChecker]) -> None:
    ours, theirs = pair
    images = [np.full((2, 2, 3), 0.5) for _ in PIXELS]
    blackened, flagged = theirs(PIXELS, images)
    with torch.no_grad():
        verdict = ours(PIXELS)
    assert 20 < sum(flagged) < 180, "both kinds are there"
    assert (verdict.special > 0).any(), "special care is called for, now and then"
    assert verdict.flagged.tolist() == flagged
    assert [bool((image == 0).all()) for image in blackened] == flagged
