"""The sprites of one world, ready to be drawn: at several sizes, with what must be known to place and paint them.

p sprites; hues are in 0..1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .colour_space import hsv, rgb
from .colours import COLOUR
from .concepts import CONCEPT
from .pack import Pack
from .world import World

HUES = 36  # bins
LEVELS = 4  # 128, 64, 32 and 16 pixels


@dataclass(frozen=True)
class Sprite:
    """Facts about one sprite. row: its place in the tensors. height: of the drawing, as a share of its longer side.

    hue, value: of its most coloured part; paintable: whether that part is large enough to be painted in another colour.
    """

    row: int
    height: float
    hue: float
    value: float
    paintable: bool


class Cast:
    """All sprites of a world. `levels[k]` (p 4 side side) are the sprites 128 >> k pixels wide, RGBA premultiplied, 0..1."""

    def __init__(self, pack: Pack, world: World):
        chosen = {name: pixels for name, pixels in pack.sprites.items() if name[0] in world.concepts and name[1] in world.renderings}
        self.renderings = {c: tuple(r for r in world.renderings if (c, r) in chosen) for c in world.concepts}
        if missing := [concept for concept, renderings in self.renderings.items() if not renderings]:
            raise ValueError(f"the sprite pack has no drawing of {missing} among the renderings {world.renderings}")
        straight = torch.from_numpy(np.stack(list(chosen.values()))).permute(0, 3, 1, 2).float() / 255  # p 4 128 128
        self.sprites = {(c, r): facts(row, straight[row], CONCEPT[c].paintable) for row, (c, r) in enumerate(chosen)}
        alpha = straight[:, 3:]
        self.levels = [torch.cat([straight[:, :3] * alpha, alpha], 1)]
        for _ in range(1, LEVELS):
            self.levels.append(F.avg_pool2d(self.levels[-1], 2))


def facts(row: int, sprite: Tensor, paintable: bool) -> Sprite:
    """What there is to know about a sprite (4 128 128, not premultiplied); every second pixel tells enough."""
    sprite = sprite[:, ::2, ::2]
    hue, saturation, value = hsv(sprite[:3])
    alpha = sprite[3]
    colourful = alpha * (saturation > 0.3)
    bins = (hue * HUES).long().clamp(0, HUES - 1)
    weight = torch.zeros(HUES).index_add_(0, bins.flatten(), (saturation * value * colourful).flatten())
    strongest = int((weight + weight.roll(1) + weight.roll(-1)).argmax())
    middle = (strongest + 0.5) / HUES
    near = (around(hue, middle).abs() < 0.1) * colourful
    rows = (alpha > 0.08).any(1).nonzero()
    height = 1 - float(rows.min()) / len(alpha) if len(rows) else 1.0
    light = float((near * value).sum() / near.sum().clamp_min(1e-6))
    return Sprite(row, height, middle, light, paintable and bool(near.sum() > 0.3 * alpha.sum()))


def around(hue: Tensor, middle: float | Tensor) -> Tensor:
    """How far hues lie from a middle one, -0.5..0.5, the short way round the circle."""
    return (hue - middle + 0.5) % 1 - 0.5


def paint(sprites: Tensor, facts: Sequence[Sprite], colours: Sequence[str]) -> Tensor:
    """Sprites (p 4 h w, premultiplied) with the part near their main hue in another colour; the rest stays as it is.

    Shading is kept: a smaller spread of the hues round the new one, light and dark as they were, but none darker than the
    colour needs to be told.
    """
    alpha = sprites[:, 3:]
    straight = (sprites[:, :3] / alpha.clamp_min(1e-3)).clamp(0, 1)
    hue, saturation, value = hsv(straight)
    turn = around(hue, torch.tensor([fact.hue for fact in facts]).view(-1, 1, 1))
    share = ((0.17 - turn.abs()) / 0.05).clamp(0, 1) * ((saturation - 0.12) / 0.12).clamp(0, 1)  # p h w; 0 leaves a pixel alone
    painted = straight.clone()
    for row, (fact, name) in enumerate(zip(facts, colours, strict=True)):
        light = value[row] if name in ("white", "black") else (value[row] * min(max(0.85 / fact.value, 1.0), 2.0)).clamp(0, 1)
        painted[row] = in_colour(name, turn[row], saturation[row], light)
    mixed = straight + (painted - straight) * share.unsqueeze(1)
    return torch.cat([mixed * alpha, alpha], 1)


def in_colour(name: str, turn: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """One sprite's pixels (3 h w) in a named colour. turn: how far each pixel's hue lay from the main one."""
    gray = value.unsqueeze(0).expand(3, -1, -1)
    if name == "white":
        return 0.72 + 0.28 * gray
    if name == "black":
        return 0.28 * gray
    hue = COLOUR[name].hue
    if hue is None:
        raise ValueError(f"nothing can be painted {name}")
    strength = saturation.clamp(0.3, 0.5) if name == "pink" else saturation.clamp_min(0.65)  # strong pink would be taken for red
    return rgb((hue / 360 + 0.25 * turn) % 1, strength, value)
