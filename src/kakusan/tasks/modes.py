"""What can be asked of a model, and the task for it: words alone, or words with a picture, a part of one, or its depth."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypedDict

from torch import Tensor

from .. import schedules
from ..denoiser import told_whole
from ..errors import KakusanError
from ..formats.model import Model
from ..schedules import NoiseSchedule
from ..types import Sigmas, Task
from .area import Area, Frame, laid_in
from .conditions import Vocabulary, words_of
from .depth2img import Depth2Img, depth2img
from .drawing import Drawing
from .hires import TwoPasses, hires
from .img2img import Img2Img, img2img
from .inpaint import Inpaint, inpaint, inpaint_seeing
from .large import HIRES_STRENGTH, enlarged, first_size, sized
from .levels import above, second
from .recipe import FILLS, RULES, Fill, Recipe
from .txt2img import Txt2Img, txt2img
from .upscale import Upscale, upscale
from .variations import check_variation, seed_of

Mode = Literal["txt2img", "img2img", "inpaint", "depth2img", "upscale"]
NEEDS: Mapping[str, Mode] = {"inpainting": "inpaint", "depth": "depth2img", "upscaling": "upscale"}
"""The one thing a model of a variant can do."""
STRENGTHS: Mapping[Mode, float] = {"img2img": 0.75, "depth2img": 0.8}
"""How much of a picture is drawn anew unless asked otherwise: all of it where a mask says where, or there is none."""
GROWN = 0.8
"""The same where a picture grows and the model sees nothing of the rest but by what is under the noise."""


@dataclass(frozen=True)
class Given:
    """The pictures a request begins with. image: (3 H W, -1 to 1); mask: (1 H W, 0 to 1, 1 is painted anew); depth: (h w).

    frame: what the painted part is laid into, where the picture is not drawn in its own size.
    """

    image: Tensor | None = None
    mask: Tensor | None = None
    depth: Tensor | None = None
    frame: Frame | None = None


NOTHING = Given()


def mode(model: Model, given: Given) -> Mode:
    """What is asked for, by what was given. Raises KakusanError if the model cannot do it, or needs something else."""
    needs = NEEDS.get(model.variant)
    asked: Mode = "txt2img" if given.image is None else "inpaint" if given.mask is not None else "img2img"
    if needs != "depth2img" and given.depth is not None:
        raise KakusanError(
            "this model does not look at depth; leave the depth out, or load a depth model",
            "このモデルは奥行きを見ません。奥行きを外すか、奥行きのモデルを読み込んでください",
        )
    if needs is None:
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


class Usual(TypedDict, total=False):
    """Fields of a recipe."""

    strength: float
    fill: Fill


def usually(model: Model, asked: Mode, area: object) -> Usual:
    """What a mode draws with if nothing else is asked. area: where the picture grows, there is none yet to put under the noise."""
    if not (isinstance(area, Area) and any(area.outpaint)):
        return {"strength": STRENGTHS.get(asked, 1.0)}
    return {"strength": 1.0 if model.variant == "inpainting" else GROWN, "fill": "fill"}


def task(model: Model, recipe: Recipe, given: Given, levels: Sigmas, vocabulary: Vocabulary | None = None) -> Task:
    """The task that draws one recipe. levels: all noise levels of the schedule, before strength takes any off.

    vocabulary: the words that are known, the tokenizer's alone unless given.
    """
    drawing = _task(model, recipe, given, levels, vocabulary or Vocabulary(model.tokenizer))
    drawing = enlarged(drawing, recipe.large, model.autoencoder.factor, recipe.mode == "upscale")
    if recipe.like.row.rounded:
        drawing = told_whole(drawing)
    return drawing if given.frame is None else laid_in(drawing, given.frame)


def _task(model: Model, recipe: Recipe, given: Given, levels: Sigmas, vocabulary: Vocabulary) -> Task:
    words = words_of(recipe, vocabulary)
    factor = model.autoencoder.factor
    seed = seed_of(recipe, factor, model.schedule)
    options = recipe.like.options(recipe.sampler, recipe.steps)
    asked, image = mode(model, given), given.image
    size = (recipe.height // factor, recipe.width // factor)
    if image is None:
        multiple = 2 ** (len(model.unet.config.channels) - 1)
        first = first_size(size[1], size[0], model.unet.config.sample_size, multiple)[::-1] if recipe.large.hires else size
        first_pass = Txt2Img(words, (model.autoencoder.config.latent_channels, *first), recipe.sampler, levels, recipe.scale, seed, options)
        if recipe.large.hires:
            again = words_of(recipe, vocabulary, again=True)
            return hires(TwoPasses(first_pass, size, factor, second_pass(recipe, levels, model.schedule), recipe.large.hires, again))
        return txt2img(first_pass)
    sigmas, noised_to = begun(recipe, levels)
    how = Drawing(words, recipe.sampler, sigmas, recipe.scale, options)
    if asked == "inpaint" and given.mask is not None:
        request = Inpaint(
            image, given.mask, how, seed, factor, recipe.fill, whole=recipe.strength == 1 and recipe.like.row.strength == "diffusers"
        )
        return (inpaint_seeing if model.variant == "inpainting" else inpaint)(request)
    if asked == "depth2img":
        return depth2img(Depth2Img(image, how, seed, given.depth, noised_to))
    if asked == "upscale":
        sigma = (model.low_noise or model.schedule).sigmas()[recipe.noise_level]
        return upscale(Upscale(image, how, seed, recipe.noise_level, sigma, model.autoencoder.config.latent_channels))
    return img2img(Img2Img(image, how, seed, noised_to, size))


def calls(model: Model, recipe: Recipe, given: Given) -> int:
    """How many replies of other networks than the U-Net a recipe's task gets: text and decoder, and encoder or depth where needed."""
    encoded = {"txt2img": 0, "upscale": 0, "img2img": 1, "depth2img": 1, "inpaint": 1}[recipe.mode]
    estimated = recipe.mode == "depth2img" and given.depth is None
    both = model.variant == "inpainting" and recipe.strength < 1  # the picture, and what is left of it
    second = bool(recipe.second and recipe.switch)  # its words are read when they are needed
    encoded += {"": 0, "latent": 1, "pixels": 3}[recipe.large.hires]
    return 2 + encoded + estimated + both + second


def begun(recipe: Recipe, levels: Sigmas) -> tuple[Sigmas, float | None]:
    """The noise levels that a recipe's strength leaves of its schedule, at least one step, and what the picture is noised to.

    None: to the first of them. Stable Diffusion's own scripts ("compvis") noise it to the level above, if there is one, and use
    all steps but one even at strength 1.
    """
    if recipe.mode in ("txt2img", "upscale"):
        return levels, None
    if recipe.like.levelled:  # `levels` has taken off what strength takes off
        return (tuple(levels[1:]), levels[0]) if above(recipe) else (levels, None)
    last = len(levels) - 1
    if recipe.rule == "compvis":
        kept = max(1, min(int(recipe.strength * last), last - 1))
        return tuple(levels[last - kept :]), levels[last - kept - 1] if kept < last else None
    kept = max(1, len(schedules.strength(levels, recipe.strength)) - 1)
    return tuple(levels[last - kept :]), None


def fitting(recipe: Recipe, own: int, strong: bool) -> Recipe:
    """The recipe with what is large about it in numbers. own: the model's own size in pixels; strong: a strength was asked for."""
    upscaling = recipe.mode == "upscale"
    large = recipe.large if recipe.mode == "txt2img" else replace(recipe.large, hires="")
    large = sized(large, recipe.width, recipe.height, own, upscaling)
    return replace(recipe, large=large, strength=HIRES_STRENGTH if large.hires and not strong else recipe.strength)


def second_pass(recipe: Recipe, levels: Sigmas, schedule: NoiseSchedule) -> Sigmas:
    """The noise levels of the second pass; none if there is no second."""
    if recipe.large.hires and recipe.like.levelled:
        return second(recipe, schedule)
    return tuple(levels[-1 - max(1, len(schedules.strength(levels, recipe.strength)) - 1) :]) if recipe.large.hires else ()


def check(recipe: Recipe, model: Model) -> None:
    """Raises KakusanError on a strength, a fill or a level of noise that cannot be."""
    schedules.strength((1.0, 0.0), recipe.strength)
    if recipe.rule not in RULES or (recipe.rule == "compvis" and recipe.mode not in STRENGTHS):
        raise KakusanError(
            f"strength rule is {recipe.rule!r} for {recipe.mode}; it must be diffusers, or compvis for a picture without a mask",
            f"{recipe.mode} の strength rule が {recipe.rule!r} です。diffusers か、マスクのない画像なら compvis にしてください",
        )
    check_variation(recipe, model.autoencoder.factor)
    if recipe.wording.clip_skip > model.text.config.layers:
        raise KakusanError(
            f"clip skip is {recipe.wording.clip_skip}, but this text encoder has {model.text.config.layers} layers; make it smaller",
            f"clip skip が {recipe.wording.clip_skip} ですが、テキストエンコーダーは {model.text.config.layers} 層です。小さくしてください",
        )
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
