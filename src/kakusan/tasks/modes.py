"""What can be asked of a model, and the task for it: words alone, or words with a picture, a part of one, or its depth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from .. import schedules
from ..errors import KakusanError
from ..formats.model import Model
from ..types import Sigmas, Task
from .depth2img import Depth2Img, depth2img
from .drawing import Drawing
from .img2img import Img2Img, img2img
from .inpaint import Inpaint, inpaint, inpaint_seeing
from .recipe import FILLS, Recipe
from .txt2img import Txt2Img, txt2img
from .upscale import Upscale, upscale

Mode = Literal["txt2img", "img2img", "inpaint", "depth2img", "upscale"]
NEEDS: Mapping[str, Mode] = {"inpainting": "inpaint", "depth": "depth2img", "upscaling": "upscale"}
"""The one thing a model of a variant can do."""
CALLS: Mapping[str, int] = {"txt2img": 2, "img2img": 3, "inpaint": 4, "depth2img": 4, "upscale": 2}
"""How many network calls a task makes at most, besides the U-Net's: text, decoder, encoder, depth."""
STRENGTHS: Mapping[Mode, float] = {"img2img": 0.75, "depth2img": 0.8}
"""How much of a picture is drawn anew unless asked otherwise: all of it where a mask says where, or there is none."""


@dataclass(frozen=True)
class Given:
    """The pictures a request begins with. image: (3 H W, -1 to 1); mask: (1 H W, 0 to 1, 1 is painted anew); depth: (h w)."""

    image: Tensor | None = None
    mask: Tensor | None = None
    depth: Tensor | None = None


NOTHING = Given()


def mode(model: Model, given: Given) -> Mode:
    """What is asked for, by what was given. Raises KakusanError if the model cannot do it, or needs something else."""
    needs = NEEDS.get(model.variant)
    asked: Mode = "txt2img" if given.image is None else "inpaint" if given.mask is not None else "img2img"
    if needs is None:
        if given.depth is not None:
            raise KakusanError(
                "this model does not look at depth; leave the depth out, or load a depth model",
                "このモデルは奥行きを見ません。奥行きを外すか、奥行きのモデルを読み込んでください",
            )
        return asked
    if given.image is None or (needs == "inpaint") != (given.mask is not None):
        wanted = {
            "inpaint": ("a picture and a mask", "画像とマスク"),
            "depth2img": ("a picture and no mask", "画像 (マスクなし)"),
            "upscale": ("a small picture and no mask", "小さな画像 (マスクなし)"),
        }[needs]
        raise KakusanError(
            f"this is a model for {needs}: it needs {wanted[0]}", f"これは {needs} 用のモデルです。{wanted[1]}を渡してください"
        )
    return needs


def task(model: Model, recipe: Recipe, given: Given, levels: Sigmas) -> Task:
    """The task that draws one recipe. levels: all noise levels of the schedule, before strength takes any off."""
    ids, negative = tuple(model.tokenizer.padded(recipe.prompt)), tuple(model.tokenizer.padded(recipe.negative))
    factor = model.autoencoder.factor
    asked, image = mode(model, given), given.image
    if image is None:
        shape = (model.autoencoder.config.latent_channels, recipe.height // factor, recipe.width // factor)
        return txt2img(Txt2Img(ids, negative, shape, recipe.sampler, levels, recipe.scale, recipe.seed))
    how = Drawing(ids, negative, recipe.sampler, left(recipe, levels), recipe.scale)
    if asked == "inpaint" and given.mask is not None:
        request = Inpaint(image, given.mask, how, recipe.seed, factor, recipe.fill, whole=recipe.strength == 1)
        return (inpaint_seeing if model.variant == "inpainting" else inpaint)(request)
    if asked == "depth2img":
        return depth2img(Depth2Img(image, how, recipe.seed, given.depth))
    if asked == "upscale":
        sigma = (model.low_noise or model.schedule).sigmas()[recipe.noise_level]
        return upscale(Upscale(image, how, recipe.seed, recipe.noise_level, sigma, model.autoencoder.config.latent_channels))
    return img2img(Img2Img(image, how, recipe.seed))


def left(recipe: Recipe, levels: Sigmas) -> Sigmas:
    """The noise levels that a recipe's strength leaves of its schedule, at least one step."""
    if recipe.mode in ("txt2img", "upscale"):
        return levels
    kept = schedules.strength(levels, recipe.strength)
    return kept if len(kept) > 1 else tuple(levels[-2:])


def check(recipe: Recipe, model: Model) -> None:
    """Raises KakusanError on a strength, a fill or a level of noise that cannot be."""
    schedules.strength((1.0, 0.0), recipe.strength)
    if recipe.fill not in FILLS:
        known = ", ".join(FILLS)
        raise KakusanError(
            f"fill is {recipe.fill!r}; it must be one of {known}", f"fill が {recipe.fill!r} です。{known} のどれかにしてください"
        )
    most = min(model.unet.config.class_labels, (model.low_noise or model.schedule).steps) - 1
    if recipe.mode == "upscale" and not 0 <= recipe.noise_level <= most:
        raise KakusanError(
            f"noise level is {recipe.noise_level}; it must be from 0 to {most}",
            f"noise level が {recipe.noise_level} です。0 から {most} の間にしてください",
        )
