"""The x4 upscaler against diffusers."""

import diffusers
import pytest
import torch

from kakusan.run import run
from kakusan.schedules import NoiseSchedule
from kakusan.tasks.upscale import Upscale, upscale
from tasks.both import SCALE, STEPS, both, quiet, relative

IMAGE = torch.rand(3, 16, 24, generator=torch.Generator().manual_seed(1)) * 2 - 1
LOW_NOISE = NoiseSchedule(beta_start=1e-4, beta_end=0.02, kind="scaled_linear")


@pytest.mark.parametrize("level", [0, 20, 300])
def test_the_picture_is_that_of_diffusers(level: int) -> None:
    model = both(beside=3, labels=350)
    low = diffusers.DDPMScheduler(beta_start=1e-4, beta_end=0.02, beta_schedule="scaled_linear")
    pipe = quiet(diffusers.StableDiffusionUpscalePipeline(**model.parts, low_res_scheduler=low))
    wanted = pipe(
        image=IMAGE[None],
        noise_level=level,
        num_inference_steps=STEPS,
        guidance_scale=SCALE,
        generator=torch.Generator().manual_seed(7),
        output_type="pt",
        **model.texts,
    ).images[0]
    request = Upscale(IMAGE, model.how(), 7, level, LOW_NOISE.sigmas()[level])
    ours = run(upscale(request), model.networks)
    assert ours.shape == (3, 64, 96)
    assert relative(ours, wanted * 2 - 1) < 1e-3
