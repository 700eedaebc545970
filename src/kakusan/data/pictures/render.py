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
from .filters import FILTERS
from .pack import PIXELS
from .places import PLACES
from .scene import MOST_THINGS, Scene, Thing


class Rendered(NamedTuple):
    """Pictures and their by-products. masks: how much of each pixel a thing covers, what stands before it taken away."""

    image: Tensor  # n 3 s s, -1..1
    masks: Tensor  # n k s s, 0..1, in the order of the scene's things
    depth: Tensor  # n s s, 0 far to 1 near


def render(scenes: Sequence[Scene], size: int, cast: Cast) -> Rendered:
    """Draw scenes, size pixels square. One picture does not depend on the others of its batch."""
    image, depth = draw_backgrounds(scenes, size)
    drawn = Rendered(image, torch.zeros(len(scenes), MOST_THINGS, size, size), depth)
    order = [back_to_front(scene) for scene in scenes]
    for layer in range(MOST_THINGS):
        jobs = [Job(row, scene, order[row][layer]) for row, scene in enumerate(scenes) if layer < len(order[row])]
        for level, some in by_level(jobs, size).items():
            draw_layer(some, cast.levels[level], cast, drawn)
    for style, rows in by_style(scenes).items():
        shades = torch.tensor([scenes[row].shades for row in rows])
        image[rows] = FILTERS[style](image[rows], drawn.masks[rows].sum(1, keepdim=True).clamp(0, 1), shades)
    return drawn._replace(image=image.clamp(0, 1) * 2 - 1)


def back_to_front(scene: Scene) -> list[int]:
    """The numbers of a scene's things, the furthest first: what stands lower in the picture is nearer."""
    return sorted(range(len(scene.things)), key=lambda number: scene.things[number].y)


class Job(NamedTuple):
    """One thing to be drawn: number `number` of a scene, in row `row` of the batch."""

    row: int
    scene: Scene
    number: int

    @property
    def thing(self) -> Thing:
        """The thing itself."""
        return self.scene.things[self.number]


def by_level(jobs: Sequence[Job], size: int) -> dict[int, list[Job]]:
    """Jobs by the level of detail that suits the thing's size: at least 0.8 sprite pixels for each pixel of the picture."""
    levels = defaultdict(list)
    for job in jobs:
        shrunk = math.log2(PIXELS / max(job.thing.size * size, 1))
        levels[min(max(math.floor(shrunk + 0.35), 0), LEVELS - 1)].append(job)
    return levels


def by_style(scenes: Sequence[Scene]) -> dict[str, list[int]]:
    """Rows of the pictures that have a style, by style."""
    rows = defaultdict(list)
    for row, scene in enumerate(scenes):
        if scene.style:
            rows[scene.style].append(row)
    return rows


def draw_layer(jobs: Sequence[Job], sprites: Tensor, cast: Cast, drawn: Rendered) -> None:
    """Lay one thing over each of some pictures, in place. sprites (p 4 side side): all of them at one level of detail."""
    things = [job.thing for job in jobs]
    rows, numbers = torch.tensor([job.row for job in jobs]), torch.tensor([job.number for job in jobs])
    covered = F.grid_sample(painted(things, sprites, cast), sampling(things, drawn.image.shape[-1]), align_corners=False)  # n 4 s s
    alpha = covered[:, 3:]
    ground = drawn.image[rows] if not any(map(casts_shadow, jobs)) else drawn.image[rows] * (1 - shadows(jobs, drawn.image.shape[-1]))
    drawn.image[rows] = ground * (1 - alpha) + covered[:, :3]
    drawn.masks[rows] *= 1 - alpha
    drawn.masks[rows, numbers] = alpha[:, 0]
    near = torch.tensor([nearness(job) for job in jobs]).view(-1, 1, 1)
    drawn.depth[rows] = torch.where(alpha[:, 0] > 0.5, near, drawn.depth[rows])


def casts_shadow(job: Job) -> bool:
    """Whether the thing stands on solid ground."""
    background = job.scene.background
    if background.kind != "landscape":
        return False
    horizon = PLACES[background.name].horizon
    return PLACES[background.name].solid and horizon is not None and job.thing.y > horizon + 0.05


def shadows(jobs: Sequence[Job], size: int) -> Tensor:
    """The dark (n 1 s s) under the things that stand on solid ground."""
    steps = (torch.arange(size) + 0.5) / size
    places = torch.tensor([[job.thing.x, job.thing.y, job.thing.size, casts_shadow(job)] for job in jobs])
    x, y, wide, dark = places.T.reshape(4, -1, 1, 1)
    far = ((steps.view(1, 1, -1) - x) / (wide * 0.36)) ** 2 + ((steps.view(1, -1, 1) - y) / (wide * 0.08)) ** 2
    shadow: Tensor = torch.exp(-far) * 0.45 * dark
    return shadow.unsqueeze(1)


def nearness(job: Job) -> float:
    """Depth of a thing, 0 far to 1 near: that of the ground it stands on, and of its lower edge where there is none."""
    background = job.scene.background
    horizon = PLACES[background.name].horizon if background.kind == "landscape" else None
    if horizon is None or job.thing.y < horizon:
        return min(0.35 + 0.6 * job.thing.y, 1.0)
    return min(0.14 + 0.78 * (job.thing.y - horizon) / (1 - horizon), 1.0)


def painted(things: Sequence[Thing], sprites: Tensor, cast: Cast) -> Tensor:
    """The things' sprites (n 4 side side), in another colour where they are painted."""
    facts = [cast.sprites[thing.concept, thing.rendering] for thing in things]
    chosen = sprites[[fact.row for fact in facts]]
    rows = [row for row, thing in enumerate(things) if thing.colour]
    if rows:
        chosen[rows] = paint(chosen[rows], [facts[row] for row in rows], [thing.colour for thing in things if thing.colour])
    return chosen


def sampling(things: Sequence[Thing], size: int) -> Tensor:
    """Where in its sprite each pixel of the picture falls (n s s 2), -1..1 inside the sprite, as grid_sample wants it."""
    maps = []
    for thing in things:
        cos, sin = (f(math.radians(thing.angle)) / thing.size for f in (math.cos, math.sin))
        side = -1.0 if thing.mirrored else 1.0
        x, y = 1 - 2 * thing.x, 1 - 2 * (thing.y - thing.size / 2)
        maps.append([[cos * side, sin * side, (cos * x + sin * y) * side], [-sin, cos, cos * y - sin * x]])
    return F.affine_grid(torch.tensor(maps), [len(things), 4, size, size], align_corners=False)
