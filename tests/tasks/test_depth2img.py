"""Depth to image against diffusers, with a depth map given and with one from the network."""

import pytest
import torch
from diffusers import StableDiffusionDepth2ImgPipeline

from kakusan.run import run
from kakusan.tasks.depth2img import Depth2Img, depth2img, shown
from tasks.both import SCALE, STEPS, both, quiet, relative

IMAGE = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1
DEPTH = torch.rand(20, 30, generator=torch.Generator().manual_seed(2)) * 9


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_the_picture_is_that_of_diffusers(strength: float) -> None:
    model = both(beside=1)
    pipe = quiet(StableDiffusionDepth2ImgPipeline(**model.parts, depth_estimator=None, feature_extractor=None))
    wanted = pipe(
        image=IMAGE[None],
        depth_map=DEPTH[None],
        strength=strength,
        num_inference_steps=STEPS,
        guidance_scale=SCALE,
        generator=torch.Generator().manual_seed(7),
        output_type="pt",
        **model.texts,
    ).images[0]
    request = Depth2Img(IMAGE, model.how(strength=strength), 7)
    given = run(depth2img(Depth2Img(IMAGE, request.how, 7, DEPTH)), model.networks)
    estimated = run(depth2img(request), {**model.networks, "depth": lambda image: DEPTH.expand(len(image), -1, -1)})
    assert relative(given, wanted * 2 - 1) < 1e-3
    assert torch.equal(given, estimated)


def test_depth_is_shown_from_farthest_to_nearest() -> None:
    seen = shown(DEPTH, (10, 15))
    assert seen.shape == (1, 10, 15)
    assert (seen.min(), seen.max()) == (-1, 1)
    assert torch.equal(shown(torch.full((4, 4), 3.0), (2, 2)), torch.full((1, 2, 2), -1.0)), "a flat picture is far away, not NaN"
