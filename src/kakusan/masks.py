"""Masks out of words: which part of a picture "the cat" is, found by the model itself, with no other.

H W height and width of a picture.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from PIL import Image, ImageChops, ImageFilter
from torch import Tensor

from .errors import KakusanError
from .images import to_pil, to_tensor
from .models.attention_maps import recorded
from .pipeline import Pipeline, Step
from .run import run
from .tasks.attribution import SIGMAS, Attribution, attribution, spread
from .tasks.fitting import Picture, fitted, mask_tensor, opened, size_of
from .tasks.outline import box, outlined
from .types import Cond

LARGEST = 768  # pixels of the longer side up to which outlines are looked for
COLOUR = (1.0, -0.6, -0.6)  # of what is to be painted anew, in a preview
PREVIEW = 256  # pixels up to which a small picture is shown larger
NEAREST = Image.Resampling.NEAREST


def proposed(
    pipe: Pipeline,
    image: Picture,
    words: str,
    *,
    threshold: float = 0.5,
    grow: int = 0,
    seed: int = 0,
    on_step: Callable[[Step], None] | None = None,
) -> Image.Image:
    """A mask of what `words` name in a picture: "L", of the picture's size, white where it is.

    threshold: how sure it must be of a pixel, 0 to 1. grow: pixels by which the white is made wider, or narrower if negative.
    seed: of the noise under which the model looks at the picture. Raises KakusanError if the words or numbers cannot be, if nothing
    is found, or with an upscaling model.
    """
    if not (0 < threshold < 1):
        raise KakusanError(
            f"threshold is {threshold}; it must lie between 0 and 1", f"しきい値が {threshold} です。0 と 1 の間にしてください"
        )
    picture = opened(image)
    sure = sureness(picture, signals(pipe, picture, words, seed, on_step))
    mask = Image.fromarray((sure > threshold).byte().mul(255).numpy()).resize(picture.size, Image.Resampling.BILINEAR)
    mask = grown(mask.point(lambda level: 255 * (level >= 128)), grow)
    if mask.getbbox() is None:
        raise KakusanError(
            f"nothing in the picture answers to {words!r}; use other words, or a threshold below {threshold:g}",
            f"{words!r} にあたるものが画像に見つかりません。別の言葉にするか、しきい値を {threshold:g} より下げてください",
        )
    return mask


def signals(pipe: Pipeline, picture: Image.Image, words: str, seed: int = 0, on_step: Callable[[Step], None] | None = None) -> Tensor:
    """The model's two rough ideas of where the words are (2 h w, 0 to 1): attention, and the difference the words make."""
    model, ids = pipe.model, pipe.model.tokenizer.encode(words)
    if not ids:
        raise KakusanError("no words say what the mask is for", "マスクにするものを言葉で指定してください")
    if model.variant == "upscaling":
        raise KakusanError(
            "an upscaling model cannot propose masks; load another", "拡大用のモデルではマスクを作れません。別のモデルを読み込んでください"
        )
    factor, usual = model.autoencoder.factor, max(pipe.defaults.width, pipe.defaults.height)
    seen = fitted(picture, *size_of(picture, factor * pipe.multiple, usual), "stretch")
    padded, without = (tuple(model.tokenizer.padded(text)) for text in (words, ""))
    request = Attribution(to_tensor(seen), padded, without, seed, model.variant)
    return run(attribution(request), pipe.networks | {"attention": attending(pipe, len(SIGMAS), on_step)})


def attending(pipe: Pipeline, total: int = 1, on_step: Callable[[Step], None] | None = None) -> Callable[..., Tensor]:
    """The network "attention": the U-Net's denoised latent and, after it, its attention to each token (n c+l h w).

    on_step: called after every run of `total`.
    """
    done = 0

    def attention(x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        nonlocal done
        with recorded(pipe.model.unet) as recording:
            denoised = pipe.networks["unet"](x, sigma, cond)
        done += 1
        if on_step is not None:
            on_step(Step(done, total, 0))
        return torch.cat([denoised, recording.mean(*x.shape[2:]).cpu()], dim=1)

    return attention


def sureness(picture: Image.Image, rough: Tensor) -> Tensor:
    """How sure it is of each pixel (H W, 0 to 1) of a picture, or of a smaller copy of a large one. rough: what `signals` gives."""
    shrink = min(1.0, LARGEST / max(picture.size))
    width, height = (max(1, round(side * shrink)) for side in picture.size)
    image = to_tensor(picture.resize((width, height), Image.Resampling.LANCZOS))
    both = spread(rough.prod(0) ** (1 / len(rough)))
    wide = F.interpolate(both[None, None], size=(height, width), mode="bicubic", align_corners=False)[0, 0].clamp(0, 1)
    radius = max(2, math.ceil(0.75 * max(height / rough.shape[1], width / rough.shape[2])))
    return outlined(image, wide, radius)


def grown(mask: Image.Image, pixels: int) -> Image.Image:
    """The mask with its white wider by so many pixels on every side; narrower if negative. Raises KakusanError if it is too many."""
    most = max(mask.size)
    if abs(pixels) > most:
        raise KakusanError(
            f"the mask cannot grow by {pixels} pixels; at most {most}", f"マスクを {pixels} 画素は広げられません。{most} 画素までです"
        )
    side = (mask_tensor(mask) > 0.5) == (pixels > 0)  # what is to grow: the white, or else the black
    wider = (box(side.double(), abs(pixels)) > 1e-9) == (pixels > 0)
    return Image.fromarray(wider[0].byte().mul(255).numpy())


def preview(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """The picture with the mask laid over it in colour, with a line of black and white round it, to look at before it is used.

    A small picture is shown larger.
    """
    image = to_tensor(picture)
    tinted = torch.lerp(image.mean(0, keepdim=True), torch.tensor(COLOUR)[:, None, None], 0.55)
    times = max(1, PREVIEW // max(picture.size))
    size = (picture.width * times, picture.height * times)
    shown, white = to_pil(torch.where(mask_tensor(mask) > 0.5, tinted, image)).resize(size, NEAREST), mask.resize(size, NEAREST)
    shown.paste((255, 255, 255), mask=ImageChops.subtract(white, white.filter(ImageFilter.MinFilter(3))))
    shown.paste((0, 0, 0), mask=ImageChops.subtract(white.filter(ImageFilter.MaxFilter(3)), white))
    return shown
