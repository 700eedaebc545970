"""The embedded model's relatives, which see more than words: a mask, depth, a small picture. Each is one more stage of a recipe."""

import dataclasses

from ..formats.model import Model
from ..models.unet import UNet
from . import checkpoint
from .diffusion import DiffusionTraining
from .embedded import Making, Prepared
from .inpainting import InpaintingTraining
from .settings import DiffusionSettings
from .slimmer import slimmed

VARIANTS = ("inpainting",)


def run_variant(making: Making, name: str, now: bool = False) -> Model | None:
    """A finished relative, or None if the session's minutes ran out. name: one of VARIANTS; now: as its last checkpoint has it."""
    prepared = making.prepared()
    return None if prepared is None else inpainting(making, prepared, now)


def inpainting(making: Making, prepared: Prepared, now: bool) -> Model | None:
    """The model that paints anew what a mask hides."""
    settings = making.recipe.inpainting
    return of_base(making, prepared, InpaintingTraining(settings, making.pool, *prepared, making.folder), settings, now)


def of_base(making: Making, prepared: Prepared, training: DiffusionTraining, settings: DiffusionSettings, now: bool) -> Model | None:
    """A relative whose U-Net begins with the base's weights, as far as they fit in, and whose other networks are the base's."""
    found = checkpoint.load(making.folder / "diffusion")
    if found is not None:
        base = {name.removeprefix("ema."): tensor for name, tensor in found[0].items() if name.startswith("ema.")}
        fitting = slimmed(base, making.recipe.diffusion.channels, training.module.state_dict(), settings.channels)
        training.module.load_state_dict(fitting)
    unet: UNet | None = making.trained(training, settings.optimiser, 1.0, now=now)
    if unet is None:
        return None
    decoder = making.decoder(prepared.model.autoencoder, now=True)
    return None if decoder is None else dataclasses.replace(prepared.model, unet=unet, autoencoder=decoder)
