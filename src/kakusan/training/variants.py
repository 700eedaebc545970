"""The embedded model's relatives, which see more than words: a mask, depth, a small picture.

Each adds stages of its own to a run whose autoencoder and towers are complete; text tower, tokenizer and, but for the upscaler,
the autoencoder are the base's.
"""

import filecmp
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from ..data.pictures import WORLDS, Pictures, load_pack
from ..formats.folder import SHARES, write_folder
from ..formats.model import Model
from ..models.autoencoder import Autoencoder
from ..models.dpt import Dpt
from ..models.unet import UNet
from . import checkpoint
from .depth import DepthTraining, EstimatorTraining
from .details import FACTOR, DetailTraining
from .embedded import Making, Prepared
from .inpainting import InpaintingTraining
from .pool import Pool, Stream
from .settings import DiffusionSettings, Recipe
from .slimmer import slimmed
from .upscaling import LOW_NOISE, UpscalingTraining

VARIANTS = {"inpainting": ("inpainting",), "depth": ("estimator", "depth"), "upscaling": ("details", "upscaling")}
"""The relatives, and the stages that each adds to a run."""
DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "inpainting": {"scale": 2.0},
    "depth": {"scale": 3.0},
    "upscaling": {"scale": 1.0, "steps": 5, "schedule": "sgm_uniform", "noise_level": 0},
}
"""What is drawn with unless asked otherwise: where the U-Net sees more than words, words need less weight; and where the small picture
leaves little open, few steps keep nearer to it than many."""
SHARED = ("text_encoder", "tokenizer", "image_encoder", "vae")
ESTIMATOR, DETAILS = 0.3, 0.4  # of the minutes of a variant


def run_variant(making: Making, name: str, now: bool = False) -> Model | None:
    """A finished relative, or None if the session's minutes ran out. name: one of VARIANTS; now: as its last checkpoint has it."""
    prepared = making.prepared()
    if prepared is None:
        return None
    defaults = {**prepared.model.settings["defaults"], **DEFAULTS[name]}
    prepared = prepared._replace(model=replace(prepared.model, settings={**prepared.model.settings, "defaults": defaults}))
    return {"inpainting": inpainting, "depth": depth, "upscaling": upscaling}[name](making, prepared, now)


def inpainting(making: Making, prepared: Prepared, now: bool) -> Model | None:
    """The model that paints anew what a mask hides."""
    settings = of_the_same(making.recipe.inpainting, making.recipe)
    training = InpaintingTraining(settings, making.pool, *prepared, making.folder)
    begin_with(making.folder / "diffusion", training.module, making.recipe.diffusion.channels, settings.channels)
    return finished(making, prepared, making.trained(training, settings.optimiser, 1.0, now=now))


def depth(making: Making, prepared: Prepared, now: bool) -> Model | None:
    """The model that draws with a given depth."""
    settings = of_the_same(making.recipe.depth, making.recipe)
    estimator = depth_estimator(making, now)
    if estimator is None:
        return None
    training = DepthTraining(settings, making.pool, *prepared, estimator)
    begin_with(making.folder / "diffusion", training.module, making.recipe.diffusion.channels, settings.channels)
    model = finished(making, prepared, making.trained(training, settings.optimiser, 1 - ESTIMATOR, now=now))
    return None if model is None else replace(model, depth=estimator)


def depth_estimator(making: Making, now: bool) -> Dpt | None:
    """The network that tells depth from a picture."""
    settings = making.recipe.estimator
    pictures = Pictures(load_pack(making.pack), WORLDS[settings.world], making.recipe.seed)
    training = EstimatorTraining(settings, pictures, making.recipe.size)
    return making.trained(training, settings.optimiser, ESTIMATOR, now=now)


def upscaling(making: Making, prepared: Prepared, now: bool) -> Model | None:
    """The model that draws a small picture four times as large."""
    settings, recipe = making.recipe.upscaling, making.recipe
    stream = Stream(str(making.pack), recipe.world, recipe.seed, FACTOR * recipe.size)
    large = Pool(making.folder / "large", stream, settings.pictures, making.device, making.pool.workers)
    details = DetailTraining(settings.autoencoder, large, settings.crop)
    begin_with(making.folder / "autoencoder", details.module, recipe.autoencoder.channels, settings.autoencoder.channels)
    autoencoder = making.trained(details, settings.autoencoder.optimiser, DETAILS, now=now)
    if autoencoder is None:
        return None
    autoencoder.config = replace(autoencoder.config, scale=detail_scale(details, autoencoder))
    model = replace(prepared.model, autoencoder=autoencoder, low_noise=LOW_NOISE)
    training = UpscalingTraining(settings, making.pool, large, model, prepared.captions)
    unet = making.trained(training, settings.unet.optimiser, 1 - DETAILS, now=now)
    if unet is None:
        return None
    unet.config = replace(unet.config, sample_size=recipe.size)  # squares taught it; it sees whole small pictures as well
    return replace(model, unet=unet)


def of_the_same(settings: DiffusionSettings, recipe: Recipe) -> DiffusionSettings:
    """Settings of a relative that draws the base's things, unless others are named."""
    return replace(settings, only=settings.only or recipe.diffusion.only)


def export_beside(model: Model, destination: Path, base: Path, text: str) -> None:
    """Write a relative's folder, with its card, without what is the same, byte for byte, in the base's folder."""
    shares = {name: os.path.relpath(base / name, destination) for name in SHARED if name != "vae" or model.variant != "upscaling"}
    write_folder(replace(model, card=text, settings={**model.settings, SHARES: shares}), destination, torch.float16, replace=True)
    for name in shares:
        files = [file.relative_to(destination) for file in (destination / name).iterdir()]
        _, other, missing = filecmp.cmpfiles(destination, base, files, shallow=False)
        if other or missing:
            raise ValueError(f"{[*other, *missing]} of {destination} are not those of {base}: export the base of the same run first")
        shutil.rmtree(destination / name)


def begin_with(stage: Path, module: nn.Module, wide: Sequence[int], narrow: Sequence[int]) -> None:
    """Begin with a trained stage of the base, as far as it fits in, where the run has that stage and it has as many levels."""
    found = checkpoint.load(stage)
    if found is not None and len(wide) == len(narrow):
        base = {name.removeprefix("ema."): tensor for name, tensor in found[0].items() if name.startswith("ema.")}
        module.load_state_dict(slimmed(base, wide, module.state_dict(), narrow))


def finished(making: Making, prepared: Prepared, unet: UNet | None) -> Model | None:
    """A relative whose other networks are the base's."""
    decoder = None if unet is None else making.decoder(prepared.model.autoencoder, now=True)
    return None if unet is None or decoder is None else replace(prepared.model, unet=unet, autoencoder=decoder)


def detail_scale(details: DetailTraining, autoencoder: Autoencoder) -> float:
    """One over the standard deviation of the latents of squares, rounded to 5 digits."""
    squares = details.pictures(torch.arange(min(512, details.pool.count)), torch.Generator(details.pool.device).manual_seed(0))
    with torch.inference_mode():
        latents = torch.cat([autoencoder.encode(part)[0] for part in torch.split(squares, 64)])
    return round(1 / latents.std().item(), 5)
