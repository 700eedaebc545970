"""Large pictures in two passes: drawn in the model's own size, made larger, noised in part and drawn anew from there.

The first pass decides what is where, which a model does best in its own size; the second draws the details. The web UI of
AUTOMATIC1111 calls it hires fix.
"""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..images import to_pil, to_tensor
from ..samplers.count import evaluations
from ..types import Sigmas, Task, Work
from .conditions import Words
from .drawing import Drawing, drawn, found
from .img2img import encoded, noised, sampled
from .txt2img import Txt2Img
from .variations import noise_of


@dataclass(frozen=True)
class TwoPasses:
    """first: the picture in the model's own size; size: of the second pass's latent (h w); sigmas: the levels its strength leaves.

    words: of the second pass, those of the first unless given. what: is made larger, the latent, bilinearly, or the pixels, by Lanczos.
    """

    first: Txt2Img
    size: tuple[int, int]
    factor: int
    sigmas: Sigmas
    what: Literal["latent", "pixels"] = "latent"
    words: Words | None = None


def hires(request: TwoPasses) -> Task:
    """Draw small, make larger, draw again."""
    first = request.first
    noise = noise_of(first.seed)
    (start,) = noise.first((1, *first.shape), first.sigmas[0])
    how = Drawing(first.words, first.sampler, first.sigmas, first.scale, first.options)
    latent = yield from found(start, how, noise)
    noise = noise.renewed()
    if request.what == "latent":
        larger = F.interpolate(latent[None], size=request.size, mode="bilinear", align_corners=False)[0]
    else:
        (image,) = yield Work("decode", [(latent,)])
        height, width = (side * request.factor for side in request.size)
        moments = yield from encoded(lanczos(image, width, height))
        larger = sampled(moments, noise.posterior((1, *moments[0].shape))[0])
    words = (request.words or first.words).after(evaluations(first.sampler, first.sigmas))
    again = Drawing(words, first.sampler, request.sigmas, first.scale, first.options)
    x = noised(larger, noise.randn((1, *larger.shape))[0], None, request.sigmas[0])
    return (yield from drawn(x, again, noise))


def lanczos(image: Tensor, width: int, height: int) -> Tensor:
    """A picture (3 H W, -1 to 1) in another size, in 8 bits."""
    return to_tensor(to_pil(image).resize((width, height), Image.Resampling.LANCZOS))
