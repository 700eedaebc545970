"""A model's networks as engines call them, by name: rows in, rows out, float32 on the CPU outside, whatever runs inside.

n rows, c channels, h w height and width of a latent, H W of a picture, l text tokens, d width of a text state.
"""

import copy
import math
from collections.abc import Callable
from functools import cache
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .denoiser import WHOLE, Denoiser
from .formats.loras import Loras
from .formats.model import Model
from .models.autoencoder import Autoencoder
from .models.clip_text import ClipText, Given
from .models.lora import Adapters
from .models.tileable import AXES, tileable, wrapped
from .tiles import Tiled
from .types import Cond, Reading
from .windows import AT

ROWS, PIXELS = 16, 16 * 64 * 64
"""Rows that the U-Net is given at once, whatever their size; latent pixels in a part of a call with more rows."""
MARGIN = 16
"""Latent pixels that are added round an endless picture which is coded in tiles."""
USUALLY = Reading()
WIDER = {torch.float16: torch.float32, torch.bfloat16: torch.float32}


def networks(model: Model, denoiser: Denoiser, loras: Loras | None = None) -> dict[str, Callable[..., Tensor]]:
    """text, unet, decode and encode; depth, if the model has a network for it. denoiser: how the U-Net's timesteps are read.

    loras: what the scales of `Cond.adapters` and `Reading.adapters` are for; none unless given.
    "unet@x" and so on: for pictures that go on round their edge in these directions (`windows.endless`); "unet~": `denoiser.told_whole`.
    """
    first, loras = next(model.unet.parameters()), loras or Loras(model)
    device = first.device
    rounded = copy.copy(denoiser)
    rounded.rounded = True
    painter, coder = Rescued(model.unet, first.dtype), Rescued(model.autoencoder, first.dtype)

    found: dict[str, Callable[..., Tensor]] = {"text": _text(model.text, loras.text, device)}
    for axes in ("", *AXES):
        end = AT + axes if axes else ""
        found["unet" + end] = _unet(model, loras.unet, denoiser, painter, axes)
        found["unet" + end + WHOLE] = _unet(model, loras.unet, rounded, painter, axes)
        found["decode" + end], found["encode" + end] = _coders(model, coder, axes)
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


def _text(network: ClipText, adapters: Adapters, device: torch.device) -> Callable[..., Tensor]:
    """States (n l d) of token ids (n l). A prompt of more rows than an engine would put together is read in parts."""

    def text(ids: Tensor, how: Reading = USUALLY) -> Tensor:
        if len(ids) > ROWS:
            parts = (slice(i, i + ROWS) for i in range(0, len(ids), ROWS))
            return torch.cat([text(ids[rows], _some(how, rows)) for rows in parts])
        skips = torch.zeros(len(ids), dtype=torch.int64) if how.skip is None else how.skip
        states = torch.empty(*ids.shape, network.config.width)
        for skip in set(skips.tolist()):
            own = _some(how, skips == skip, device)
            given = None if own.placed is None or own.vectors is None else Given(own.placed, own.vectors)
            with adapters.applied(network, own.adapters):
                states[skips == skip] = network.states(ids[skips == skip].to(device), skip, own.seen, given).float().cpu()
        return states

    return text


def _some(how: Reading, rows: slice | Tensor, device: torch.device | str = "cpu") -> Reading:
    return Reading(*(None if column is None else column[rows].to(device) for column in how))


def _unet(model: Model, adapters: Adapters, denoiser: Denoiser, rescued: Rescued, axes: str) -> Callable[[Tensor, Tensor, Cond], Tensor]:
    """Clean latents (n c h w). Work of more rows than an engine would put together, as windows make it, is run in parts."""
    device = next(model.unet.parameters()).device

    @cache
    def own() -> Denoiser:
        if not axes:
            return denoiser
        other = copy.copy(denoiser)
        other.unet = tileable(model.unet, axes)
        return other

    def unet(x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:  # n c h w
        rows = max(1, PIXELS // (x.shape[2] * x.shape[3]))
        if len(x) > max(ROWS, rows):
            columns = (torch.split(column, rows) for column in (x, sigma, *(part for part in cond if part is not None)))
            kept = [part is not None for part in cond]
            return torch.cat([unet(x, sigma, _cond(kept, parts)) for x, sigma, *parts in zip(*columns, strict=True)])
        context, beside, label = (None if part is None else part.to(device) for part in cond[:3])

        def run(dtype: torch.dtype) -> Tensor:
            own().dtype = dtype
            return own()(x.to(device), sigma.to(device), context, label, beside)  # type: ignore[arg-type]

        with adapters.applied(model.unet, cond.adapters):
            return rescued(run).cpu()

    return unet


def _cond(kept: list[bool], parts: list[Tensor]) -> Cond:
    """The condition of which only these parts are there."""
    left = iter(parts)
    return Cond(*(next(left) if there else None for there in kept))  # type: ignore[arg-type]


def _coders(model: Model, rescued: Rescued, axes: str) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Decoder and encoder, for pictures of any size (`tiles.Tiled`)."""
    device, factor, scale = next(model.unet.parameters()).device, model.autoencoder.factor, model.autoencoder.config.scale

    @cache
    def own() -> Tiled:
        return Tiled(cast(Autoencoder, tileable(model.autoencoder, axes)) if axes else model.autoencoder)

    def decode(latent: Tensor) -> Tensor:  # n c h w -> n 3 H W
        margin = min(MARGIN, *latent.shape[2:]) if axes and own().cuts(latent.shape[2] * factor, latent.shape[3] * factor) else 0
        z = wrapped(latent / scale, axes, margin) if margin else latent / scale
        image = rescued(lambda dtype: own().decode(z.to(device, dtype)))
        return _without(image, axes, margin * factor).float().clamp(-1, 1).cpu()

    def encode(image: Tensor) -> Tensor:  # n 3 H W -> n 2 c h w: mean and log variance of the latents, scaled as the U-Net's
        margin = min(MARGIN, *(side // factor for side in image.shape[2:])) if axes and own().cuts(*image.shape[2:]) else 0
        x = wrapped(image, axes, margin * factor) if margin else image
        moments = rescued(lambda dtype: own().encode(x.to(device, dtype))).float()
        mean, logvar = (_without(part, axes, margin) for part in moments)
        return torch.stack([mean * scale, logvar + 2 * math.log(scale)], dim=1).cpu()

    return decode, encode


def _without(x: Tensor, axes: str, margin: int) -> Tensor:
    """x (n c h w) without what `wrapped` put round it."""
    across, down = (margin if axis in axes else 0 for axis in "xy")
    return x[:, :, down : x.shape[2] - down, across : x.shape[3] - across]


def _depth(network: nn.Module, rescued: Rescued, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Inverse depth (n h w) of pictures (n 3 H W, -1 to 1), seen in the size the network was trained on."""
    side = int(cast(Any, network).config.size)

    def depth(image: Tensor) -> Tensor:
        seen = F.interpolate(image, size=(side, side), mode="bicubic", align_corners=False, antialias=True).clamp(-1, 1)
        return rescued(lambda dtype: cast(Tensor, network(seen.to(device, dtype)))).float().cpu()

    return depth
