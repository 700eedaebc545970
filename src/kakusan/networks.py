"""A model's networks as engines call them, by name: rows in, rows out, float32 on the CPU outside, whatever runs inside.

n rows, c channels, h w height and width of a latent, H W of a picture, l text tokens, d width of a text state.
"""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .denoiser import Denoiser
from .formats.model import Model
from .types import Cond

WIDER = {torch.float16: torch.float32, torch.bfloat16: torch.float32}


def networks(model: Model, denoiser: Denoiser) -> dict[str, Callable[..., Tensor]]:
    """text, unet, decode and encode; depth, if the model has a network for it. denoiser: how the U-Net's timesteps are read."""
    autoencoder, scale = model.autoencoder, model.autoencoder.config.scale
    first = next(model.unet.parameters())
    device = first.device
    painter, coder = Rescued(model.unet, first.dtype), Rescued(autoencoder, first.dtype)

    def text(ids: Tensor) -> Tensor:  # n l -> n l d
        states: Tensor = model.text(ids.to(device))
        return states.float().cpu()

    def unet(x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:  # n c h w
        context, beside, label = (None if part is None else part.to(device) for part in cond)

        def run(dtype: torch.dtype) -> Tensor:
            denoiser.dtype = dtype
            return denoiser(x.to(device), sigma.to(device), context, label, beside)  # type: ignore[arg-type]

        return painter(run).cpu()

    def decode(latent: Tensor) -> Tensor:  # n c h w -> n 3 H W
        return coder(lambda dtype: autoencoder.decode((latent / scale).to(device, dtype))).float().clamp(-1, 1).cpu()

    def encode(image: Tensor) -> Tensor:  # n 3 H W -> n 2 c h w: mean and log variance of the latents, scaled as the U-Net's
        mean, logvar = coder(lambda dtype: torch.stack(autoencoder.encode(image.to(device, dtype)))).float()
        return torch.stack([mean * scale, logvar + 2 * math.log(scale)], dim=1).cpu()

    found: dict[str, Callable[..., Tensor]] = {"text": text, "unet": unet, "decode": decode, "encode": encode}
    if model.depth is not None:
        found["depth"] = _depth(model.depth, Rescued(model.depth, first.dtype), device)
    return found


class Rescued:
    """A network that is run again in a wider dtype if what it gave has NaN or infinity in it, and stays there.

    Autoencoders of Stable Diffusion overflow half precision on some pictures; what comes out then would be black.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype):
        self.network, self.dtype = network, dtype

    def __call__(self, run: Callable[[torch.dtype], Tensor]) -> Tensor:
        """What `run` gives in the network's dtype, or in a wider one if that is not finite and there is a wider one."""
        out = run(self.dtype)
        if self.dtype in WIDER and not out.isfinite().all():
            self.dtype = WIDER[self.dtype]
            self.network.to(self.dtype)
            out = run(self.dtype)
        return out


def _depth(network: nn.Module, rescued: Rescued, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Inverse depth (n h w) of pictures (n 3 H W, -1 to 1), seen in the size the network was trained on."""
    side = int(cast(Any, network).config.size)

    def depth(image: Tensor) -> Tensor:
        seen = F.interpolate(image, size=(side, side), mode="bicubic", align_corners=False, antialias=True).clamp(-1, 1)
        return rescued(lambda dtype: cast(Tensor, network(seen.to(device, dtype)))).float().cpu()

    return depth
