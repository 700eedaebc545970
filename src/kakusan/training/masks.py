"""What an inpainting model is asked to paint anew: the thing, what is round it, a box, a side, some blots, or everything.

s side of a picture in pixels. A mask (s s) is 1 where the picture is hidden, else 0.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.pictures import Chance

KINDS = {"everything": 0.14, "thing": 0.28, "surroundings": 0.14, "box": 0.2, "side": 0.12, "blots": 0.12}


def mask(cover: Tensor, chance: Chance) -> Tensor:
    """One mask by chance, for a picture whose things cover `cover` (s s, 0 to 1)."""
    return mask_of(chance.weighted(tuple(KINDS), tuple(KINDS.values())), cover, chance)


def mask_of(kind: str, cover: Tensor, chance: Chance) -> Tensor:
    """One mask of a kind, a key of KINDS."""
    side = cover.shape[-1]
    if kind == "everything":
        return torch.ones_like(cover)
    if kind in ("thing", "surroundings"):
        inside = grown(cover > 0.1, int(side * chance.pick((0.0, 0.02, 0.05, 0.1))))
        return inside if kind == "thing" else 1 - inside
    if kind == "box":
        width, height = chance.between(0.2, 0.8), chance.between(0.2, 0.8)
        left, top = chance.between(0, 1 - width), chance.between(0, 1 - height)
        return box(side, (left, top, left + width, top + height))
    if kind == "side":
        far = chance.between(0.2, 0.7)
        return box(side, chance.pick(((0, 0, far, 1), (1 - far, 0, 1, 1), (0, 0, 1, far), (0, 1 - far, 1, 1))))
    blots = [ellipse(side, *(chance.between(0.1, 0.9) for _ in "xy"), *(chance.between(0.08, 0.35) for _ in "xy")) for _ in range(4)]
    return torch.stack(blots[: chance.pick((1, 2, 3, 4))]).amax(0)


def grown(shape: Tensor, far: int) -> Tensor:
    """A shape (s s) with `far` pixels more on every side."""
    return F.max_pool2d(shape[None, None].float(), 2 * far + 1, 1, far)[0, 0]


def box(side: int, edges: Sequence[float]) -> Tensor:
    """What lies between left, top, right and bottom, shares of the side."""
    left, top, right, bottom = (round(edge * side) for edge in edges)
    inside = torch.zeros(side, side)
    inside[top:bottom, left:right] = 1
    return inside


def ellipse(side: int, x: float, y: float, width: float, height: float) -> Tensor:
    """The inside of an ellipse; middle and half axes as shares of the side."""
    steps = (torch.arange(side) + 0.5) / side
    far = ((steps.view(1, -1) - x) / width) ** 2 + ((steps.view(-1, 1) - y) / height) ** 2
    return (far < 1).float()
