"""Scenes as pixels, in batches, at any size, with what is known for free: a mask for each thing, and depth.

n pictures, k things at most in one, s side of the picture in pixels. Colours are 0..1 until the very end.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .backgrounds import draw_backgrounds
from .cast import LEVELS, Cast, paint
from .pack import PIXELS
from .scene import MOST_THINGS, Scene, Thing


class Rendered(NamedTuple):
    """Pictures and their by-products. masks: how much of each pixel a thing covers, what stands before it taken away."""

    image: Tensor  # n 3 s s, -1..1
    masks: Tensor  # n k s s, 0..1, in the order of the scene's things
    depth: Tensor  # n s s, 0 far to 1 near


def render(scenes: Sequence[Scene], size: int, cast: Cast) -> Rendered:
    """Draw scenes, size pixels square. One picture does not depend on the others of its batch."""
    image, depth = draw_backgrounds(scenes, size)
    masks = torch.zeros(len(scenes), MOST_THINGS, size, size)
    for layer in range(max(len(scene.things) for scene in scenes)):
        for level, rows in by_level(scenes, layer, size).items():
            draw_layer(layer, torch.tensor(rows), [scenes[row] for row in rows], cast, level, image, masks, depth)
    return Rendered(image.clamp(0, 1) * 2 - 1, masks, depth)


def by_level(scenes: Sequence[Scene], layer: int, size: int) -> dict[int, list[int]]:
    """Rows of the pictures that have a thing on this layer, by the level of detail that suits its size."""
    rows = defaultdict(list)
    for row, scene in enumerate(scenes):
        if layer < len(scene.things):
            shrunk = math.log2(PIXELS / max(scene.things[layer].size * size, 1))
            rows[min(max(math.floor(shrunk + 0.35), 0), LEVELS - 1)].append(row)
    return rows


def draw_layer(
    layer: int, rows: Tensor, scenes: Sequence[Scene], cast: Cast, level: int, image: Tensor, masks: Tensor, depth: Tensor
) -> None:
    """Lay one thing over each of some pictures, in place."""
    things = [scene.things[layer] for scene in scenes]
    covered = F.grid_sample(sprites_of(things, cast, level), sampling(things, image.shape[-1]), align_corners=False)  # n 4 s s
    alpha = covered[:, 3:]
    image[rows] = image[rows] * (1 - alpha) + covered[:, :3]
    masks[rows] *= 1 - alpha
    masks[rows, layer] = alpha[:, 0]
    near = torch.tensor([0.35 + 0.6 * thing.y for thing in things]).clamp(0, 1).view(-1, 1, 1)
    depth[rows] = torch.where(alpha[:, 0] > 0.5, near, depth[rows])


def sprites_of(things: Sequence[Thing], cast: Cast, level: int) -> Tensor:
    """The things' sprites (n 4 side side), painted where they are."""
    facts = [cast.sprites[thing.concept, thing.rendering] for thing in things]
    sprites = cast.levels[level][[fact.row for fact in facts]]
    rows = [row for row, thing in enumerate(things) if thing.colour]
    if rows:
        hues = torch.tensor([facts[row].hue for row in rows])
        sprites[rows] = paint(sprites[rows], hues, [thing.colour for thing in things if thing.colour])
    return sprites


def sampling(things: Sequence[Thing], size: int) -> Tensor:
    """Where in its sprite each pixel of the picture falls (n s s 2), -1..1 inside the sprite, as grid_sample wants it."""
    maps = []
    for thing in things:
        cos, sin = (f(math.radians(thing.angle)) / thing.size for f in (math.cos, math.sin))
        side = -1.0 if thing.mirrored else 1.0
        x, y = 1 - 2 * thing.x, 1 - 2 * (thing.y - thing.size / 2)
        maps.append([[cos * side, sin * side, (cos * x + sin * y) * side], [-sin, cos, cos * y - sin * x]])
    return F.affine_grid(torch.tensor(maps), [len(things), 4, size, size], align_corners=False)
