"""The same model in another program: diffusers' pipeline over one of our folders."""

from pathlib import Path

import diffusers
import numpy as np
import numpy.typing as npt
import torch
from PIL.Image import Image


def peer(folder: Path, scheduler: str = "", **options: object) -> diffusers.StableDiffusionPipeline:
    """diffusers' pipeline in float32, with the folder's own scheduler or another made from its configuration."""
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(str(folder), torch_dtype=torch.float32, local_files_only=True)
    if scheduler:
        pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config, **options)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe: diffusers.StableDiffusionPipeline, prompt: str, seed: int, steps: int, scale: float, **options: object) -> Image:
    """One picture, with a CPU generator of that seed."""
    generator = torch.Generator().manual_seed(seed)
    picture: Image = pipe(prompt, num_inference_steps=steps, guidance_scale=scale, generator=generator, **options).images[0]
    return picture


def levels(picture: Image) -> npt.NDArray[np.int16]:
    """Pixels as numbers that can be subtracted."""
    return np.asarray(picture).astype(np.int16)


def same(ours: Image, theirs: Image) -> tuple[int, float]:
    """The largest difference of a pixel, and the share of pixels that differ at all."""
    difference = np.abs(levels(ours) - levels(theirs))
    return int(difference.max()), float((difference > 0).mean())
