"""Image to image against diffusers, and by the reference script's own rule for strength written out."""

from itertools import pairwise
from math import hypot, sqrt

import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from torch import Tensor

from kakusan.run import run
from kakusan.schedules import strength as left
from kakusan.tasks.img2img import Img2Img, encoded, img2img, noised, sampled
from tasks.both import SCALE, STEPS, both, quiet, relative

IMAGE = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("strength", [0.2, 0.5, 0.8, 1.0])
def test_the_picture_is_that_of_diffusers(strength: float) -> None:
    model = both(beside=0)
    parts = {**model.parts, "safety_checker": None, "feature_extractor": None}
    wanted = quiet(StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False))(
        image=IMAGE[None],
        strength=strength,
        num_inference_steps=STEPS,
        guidance_scale=SCALE,
        generator=torch.Generator().manual_seed(7),
        output_type="pt",
        **model.texts,
    ).images[0]
    how = model.how(strength=strength)
    assert len(how.sigmas) - 1 == int(STEPS * strength)
    assert left(model.how().sigmas, strength) == tuple(how.sigmas)
    given = run(img2img(Img2Img(IMAGE, how, 7)), model.networks)
    assert relative(given, wanted * 2 - 1) < 1e-3


def test_the_reference_scripts_rule() -> None:
    """Noised to the level above the first of the steps that are left, and taken for what is at that first one."""
    model, kept = both(beside=0), 4
    whole = model.how()
    tail, above = whole.sigmas[-1 - kept :], whole.sigmas[-2 - kept]
    request = Img2Img(IMAGE, model.how(strength=kept / STEPS + 0.01), 7, noised_to=above)
    assert request.how.sigmas == tail
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        mean, logvar = model.model.autoencoder.encode(IMAGE[None])
        z = model.model.autoencoder.config.scale * (mean + torch.exp(logvar / 2) * torch.randn(mean.shape, generator=generator))
        a = 1 / (1 + above**2)
        x = sqrt(a) * z + sqrt(1 - a) * torch.randn(z.shape, generator=generator)
        for sigma, sigma_next in pairwise(tail):
            a, a_next = 1 / (1 + sigma**2), 1 / (1 + sigma_next**2)
            t = torch.tensor([model.model.schedule.t_of(sigma)])
            with_words, without = (model.model.unet(x, t, model.texts[name]) for name in ("prompt_embeds", "negative_prompt_embeds"))
            e = without + SCALE * (with_words - without)
            x = sqrt(a_next) * (x - sqrt(1 - a) * e) / sqrt(a) + sqrt(1 - a_next) * e
        wanted = model.model.autoencoder.decode(x / model.model.autoencoder.config.scale)[0].clamp(-1, 1)
    assert relative(run(img2img(request), model.networks), wanted) < 1e-4


def test_moments_are_the_autoencoders_in_the_u_nets_scale() -> None:
    model = both(beside=0)
    moments = run(encoded(IMAGE), model.networks)
    assert moments.shape == (2, 4, 8, 12)
    with torch.no_grad():
        mean, logvar = model.model.autoencoder.encode(IMAGE[None])
    scale = model.model.autoencoder.config.scale
    assert scale != 1
    noise = torch.randn(4, 8, 12)
    wanted = scale * (mean[0] + torch.exp(logvar[0] / 2) * noise)
    assert relative(sampled(moments, noise), wanted) < 1e-5


def test_noise_in_the_size_of_another_level() -> None:
    latent, noise = torch.randn(4, 2, 2), torch.randn(4, 2, 2)

    def unit(x: Tensor, sigma: float) -> Tensor:
        return x / hypot(1, sigma)

    assert torch.equal(noised(latent, noise, None, 3.0), latent + 3.0 * noise)
    assert relative(noised(latent, noise, 3.0, 3.0), latent + 3.0 * noise) < 1e-6
    assert relative(unit(noised(latent, noise, 3.0, 2.0), 2.0), unit(latent + 3.0 * noise, 3.0)) < 1e-6
