"""Filters that make a drawing look like pixel art, a sketch, a painting and so on.

n pictures, s side in pixels. Every filter takes the picture (n 3 s s) 0..1, the cover of all things (n 1 s s) and the scenes'
chance numbers (n 8), and returns a new picture. Widths are shares of the side, so that a filter looks alike at every size.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .canvas import Canvas
from .colour_space import rgb

Filter = Callable[[Tensor, Tensor, Tensor], Tensor]


def pixel_art(image: Tensor, cover: Tensor, shades: Tensor) -> Tensor:
    """Thirty-two large pixels across, eight levels of each colour."""
    side = image.shape[-1]
    small = F.interpolate(image, size=(32, 32), mode="area") if side > 32 else image
    return F.interpolate((small * 7).round() / 7, size=(side, side), mode="nearest")


def sketch(image: Tensor, cover: Tensor, shades: Tensor) -> Tensor:
    """Pencil lines on paper, hatched where the drawing is dark."""
    canvas = Canvas(image, shades)
    hatching = ((canvas.x + canvas.y) * 24 % 1 < 0.5).unsqueeze(1)
    shadow = 0.12 * (1 - luminance(image)) * cover * hatching
    return (0.97 - (outlines(image, cover) * 1.6).clamp(0, 0.85) - shadow).expand(-1, 3, -1, -1)


def silhouette(image: Tensor, cover: Tensor, shades: Tensor) -> Tensor:
    """Things in black, the background as it is."""
    return image * (1 - cover) + 0.04 * cover


def black_and_white(image: Tensor, cover: Tensor, shades: Tensor) -> Tensor:
    """Light and dark only."""
    return luminance(image).expand(-1, 3, -1, -1)


def sepia(image: Tensor, cover: Tensor, shades: Tensor) -> Tensor:
    """The brown of old photographs."""
    return (luminance(image) * 0.9 + 0.05) * torch.tensor([1.07, 0.88, 0.66]).view(1, 3, 1, 1)


def neon(image: Tensor, cover: Tensor, shades: Tensor) -> Tensor:
    """Glowing outlines of one hue, which shifts downwards, on black."""
    canvas = Canvas(image, shades)
    lines = outlines(image, cover).clamp(0, 1)
    hue = ((canvas.shade(6) + 0.15 * canvas.y) % 1).expand(-1, canvas.side, canvas.side)
    light = lines * 1.3 + blur(lines, 1 / 32) * 1.2
    return 0.03 + rgb(hue, torch.full_like(hue, 0.85), torch.ones_like(hue)) * light.clamp(0, 1.2)


def blueprint(image: Tensor, cover: Tensor, shades: Tensor) -> Tensor:
    """White outlines on blue squared paper."""
    canvas = Canvas(image, shades)
    grid = torch.maximum((canvas.x * 8 % 1 < 0.125).float(), (canvas.y * 8 % 1 < 0.125).float()).unsqueeze(1) * 0.12
    blue = torch.tensor([0.1, 0.25, 0.6]).view(1, 3, 1, 1)
    return blue + (1 - blue) * (outlines(image, cover).clamp(0, 0.6) * 1.6 + grid).clamp(0, 1)


def watercolor(image: Tensor, cover: Tensor, shades: Tensor) -> Tensor:
    """Pale, soft, with darker rims and uneven paper."""
    canvas = Canvas(image, shades)
    uneven = (canvas.waves(5, 6) * canvas.waves(11, 5) + 0.4 * canvas.waves(40, 4)).unsqueeze(1)
    return blur(image, 1 / 64) * 0.75 + 0.25 + 0.05 * uneven - gradient(luminance(image)) * 0.15


def oil_painting(image: Tensor, cover: Tensor, shades: Tensor) -> Tensor:
    """Each pixel takes the mean of the calmest of the four squares it is a corner of.

    Kuwahara et al. 1976, https://doi.org/10.1007/978-1-4684-0769-3_13.
    """
    side = image.shape[-1]
    reach = max(1, round(side / 40))
    padded = F.pad(image, (reach,) * 4, mode="replicate")
    means = F.avg_pool2d(padded, reach + 1, 1)
    spreads = (F.avg_pool2d(padded**2, reach + 1, 1) - means**2).sum(1, keepdim=True)
    corners = [(slice(top, top + side), slice(left, left + side)) for top in (0, reach) for left in (0, reach)]
    calmest = torch.stack([spreads[:, :, rows, columns] for rows, columns in corners]).argmin(0, keepdim=True)
    chosen = torch.stack([means[:, :, rows, columns] for rows, columns in corners]).gather(0, calmest.expand(1, -1, 3, -1, -1))[0]
    return chosen * (1 + 0.06 * Canvas(image, shades).waves(55, 6).unsqueeze(1))


FILTERS: dict[str, Filter] = {
    "pixel art": pixel_art,
    "sketch": sketch,
    "silhouette": silhouette,
    "black and white": black_and_white,
    "oil painting": oil_painting,
    "watercolor": watercolor,
    "neon": neon,
    "blueprint": blueprint,
    "sepia": sepia,
}


def luminance(image: Tensor) -> Tensor:
    """Brightness (n 1 s s), weighted as the eye does (ITU-R BT.601)."""
    return (image * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)


def outlines(image: Tensor, cover: Tensor) -> Tensor:
    """Edges of the drawing and of the things' shapes (n 1 s s)."""
    return torch.maximum(gradient(luminance(image)), gradient(cover))


def gradient(plane: Tensor) -> Tensor:
    """How steeply a plane (n 1 s s) changes, for a side of 64 pixels."""
    reach = max(1, plane.shape[-1] // 64)
    padded = F.pad(plane, (reach,) * 4, mode="replicate")
    inner = slice(reach, -reach)
    across = padded[..., inner, 2 * reach :] - padded[..., inner, : -2 * reach]
    down = padded[..., 2 * reach :, inner] - padded[..., : -2 * reach, inner]
    return (across**2 + down**2).sqrt()


def blur(image: Tensor, width: float) -> Tensor:
    """Mean over a square; width: half its side, as a share of the picture's."""
    reach = max(1, math.floor(image.shape[-1] * width))
    return F.avg_pool2d(F.pad(image, (reach,) * 4, mode="replicate"), 2 * reach + 1, 1)
