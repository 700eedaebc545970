"""A quick look at an unfinished latent: a linear map to colours, found by least squares from what the autoencoder itself encodes.

n pictures, c channels, h w height and width of a latent, H W of a picture.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from .images import to_pil

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 8  # of the latents it is fitted on
MIXED, FULL = (1, 2, 3, 4, 6, 8, 12, 16), (1, 1, 2, 2, 3, 4)  # how many patches of colour side by side in what it is fitted on


class Glimpse:
    """Latents to small pictures, without a decoder.

    encode: pictures (n 3 H W, -1 to 1) to mean and log variance of their latents (n 2 c h w), as `networks.networks` has it.
    factor: pixels a latent pixel is wide. weights: (c + 1, 3), the last row is added to the sum.
    """

    def __init__(self, encode: Callable[[Tensor], Tensor], factor: int):
        self.factor = factor
        pictures = coloured(SIDE * factor)
        with torch.inference_mode():
            means = torch.cat([encode(picture[None])[:, 0] for picture in pictures])  # n c h w
        colours = F.avg_pool2d(pictures, factor)  # n 3 h w
        self.weights = torch.linalg.lstsq(_rows(means), colours.movedim(1, -1).flatten(0, 2)).solution

    def colours(self, latent: Tensor) -> Tensor:
        """The colours (3 h w, about -1 to 1) that a latent (c h w) stands for."""
        colours: Tensor = (_rows(latent[None].float()) @ self.weights).T  # 3 hw
        return colours.reshape(3, *latent.shape[1:])

    def __call__(self, latent: Tensor) -> "Image":
        """A picture of a latent (c h w), as large as the finished one but only as sharp as the latent."""
        from PIL.Image import Resampling

        small = to_pil(self.colours(latent))
        return small.resize((small.width * self.factor, small.height * self.factor), Resampling.BICUBIC)


def coloured(side: int) -> Tensor:
    """Pictures (n 3 side side, -1 to 1), always the same: colours that run into one another, and patches of full ones with edges."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for patches in MIXED:
        colours = torch.rand((2, 3, patches, patches), generator=generator) * 2 - 1
        made.append(F.interpolate(colours, size=(side, side), mode="bicubic", align_corners=False).clamp(-1, 1))
    for patches in FULL:
        colours = torch.randint(-1, 2, (2, 3, patches, patches), generator=generator).float()
        made.append(F.interpolate(colours, size=(side, side)))
    return torch.cat(made)


def _rows(latents: Tensor) -> Tensor:
    """The pixels of latents (n c h w) as rows (n h w, c + 1), a 1 at the end of each."""
    rows = latents.movedim(1, -1).flatten(0, 2)
    return torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1)
