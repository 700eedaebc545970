"""Pictures drawn in one batch, each with channels of its own beside the latent: for sheets and for judging.

n pictures, c channels and h w height and width of a latent, l text tokens, d width of a text state.
"""

import torch
from torch import Tensor

from .. import samplers
from ..denoiser import Denoiser
from ..formats.model import Model
from ..models.unet import UNet
from ..noise import SeededNoise
from ..schedules import sigmas_for
from ..types import Prediction
from .diffusion import Sample


def drawn(
    model: Model,
    unet: UNet,
    states: Tensor,
    like: Sample,
    *,
    steps: int = 20,
    scale: float = 3.0,
    seed: int = 1,
    schedule: str = "karras",
) -> Tensor:
    """Pictures (n 3 s s, -1 to 1) for text states (n l d), as many and as large as the latents of `like`, seeing what is beside them."""
    nothing = torch.tensor([model.tokenizer.padded("")], device=states.device)
    with torch.inference_mode():
        silence = model.text(nothing).expand_as(states)
        context = torch.cat([states, silence])
        denoise, sigmas = Denoiser(unet, model.schedule), sigmas_for(model.schedule, schedule, steps)
        noise = SeededNoise([seed + i for i in range(len(states))])
        x = sigmas[0] * noise.randn(like.z.shape).to(states.device)
        sampler = samplers.sample("dpmpp_2m", x, sigmas, noise)
        try:
            asked = next(sampler)
            while True:
                sigma = torch.full((2 * len(x),), asked.sigma, device=x.device)
                cond, uncond = denoise(torch.cat([asked.x] * 2), sigma, context, twice(like.label), twice(like.beside)).chunk(2)
                asked = sampler.send(Prediction(uncond + scale * (cond - uncond), uncond))
        except StopIteration as stop:
            latents: Tensor = stop.value / model.autoencoder.config.scale
        return torch.cat([model.autoencoder.decode(part) for part in torch.split(latents, 16)]).clamp(-1, 1)


def twice(part: Tensor | None) -> Tensor | None:
    """Rows for the caption, and the same again for none."""
    return None if part is None else torch.cat([part, part])
