"""What lies behind the things: a colour, a gradient, a pattern or a landscape. n pictures, s side in pixels."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from .canvas import Canvas
from .colours import COLOUR, COLOURS
from .landscapes import draw_landscape
from .scene import Scene


def draw_backgrounds(scenes: Sequence[Scene], size: int) -> tuple[Tensor, Tensor]:
    """Backgrounds (n 3 s s), 0..1, and their depth (n s s), 0 far to 1 near."""
    image, depth = torch.empty(len(scenes), 3, size, size), torch.zeros(len(scenes), size, size)
    alike = defaultdict(list)
    for row, scene in enumerate(scenes):
        background = scene.background
        alike[background.kind, background.name if background.kind in ("pattern", "landscape") else ""].append(row)
    for (kind, name), rows in alike.items():
        if kind in ("solid", "hidden"):
            image[rows] = plain(scenes, rows)
        else:
            canvas = Canvas(plain(scenes, rows).repeat(1, 1, size, size), torch.tensor([scenes[row].shades for row in rows]))
            draw(kind, name, canvas)
            image[rows], depth[rows] = canvas.image.clamp(0, 1), canvas.depth
    return image, depth


def plain(scenes: Sequence[Scene], rows: Sequence[int]) -> Tensor:
    """The colour of some backgrounds (n 3 1 1); white where they have none."""
    names = [scenes[row].background.name for row in rows]
    return torch.tensor([COLOUR[name].rgb if name in COLOUR else (1.0, 1.0, 1.0) for name in names]).view(-1, 3, 1, 1)


def draw(kind: str, name: str, canvas: Canvas) -> None:
    """Paint a canvas that shows the background's colour so far."""
    if kind == "gradient":
        draw_gradient(canvas)
    elif kind == "pattern":
        draw_pattern(name, canvas)
    else:
        draw_landscape(name, canvas)


def draw_gradient(canvas: Canvas) -> None:
    """From light to dark, downwards or outwards."""
    colour = canvas.image.clone()
    outwards = canvas.from_point(torch.full((1, 1, 1), 0.5), 0.5) * 2**0.5
    share = torch.where(canvas.shade(1) < 0.5, canvas.y.expand_as(outwards), outwards).clamp(0, 1)
    canvas.image[:] = colour + (1 - colour) * 0.75
    canvas.lay(colour * 0.8, share)


def draw_pattern(name: str, canvas: Canvas) -> None:
    """Two shades of one colour in dots, stripes or checks, four to seven of them across."""
    palette = torch.tensor([colour.rgb for colour in COLOURS])
    first = palette[(canvas.shades[:, 0] * len(palette)).long().clamp(max=len(palette) - 1)].view(-1, 3, 1, 1)
    second = torch.where(first.mean(1, keepdim=True) > 0.8, first * 0.8, first + (1 - first) * 0.6)
    many = 4 + (canvas.shade(1) * 4).floor().clamp(max=3)
    x, y = canvas.x * many, canvas.y * many
    if name == "dots":
        cover = canvas.inside((0.3 - ((x % 1 - 0.5) ** 2 + (y % 1 - 0.5) ** 2).sqrt()) / many)
    elif name == "stripes":
        cover = band(torch.where(canvas.shade(2) < 0.5, x.expand_as(x + y), x + y), many, canvas)
    else:
        across, down = band(x, many, canvas), band(y, many, canvas)
        cover = across * (1 - down) + down * (1 - across)
    canvas.image[:] = first
    canvas.lay(second, cover)


def band(position: Tensor, many: Tensor, canvas: Canvas) -> Tensor:
    """1 in the first half of every unit, 0 in the second, blended over a pixel."""
    return canvas.inside((0.25 - (position % 1 - 0.25).abs()) / many) + canvas.inside((position % 1 - 1) / many)
