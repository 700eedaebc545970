"""Where things stand: middle and size of each, for every layout, on flat backgrounds and on ground."""

from typing import NamedTuple

from .chance import Chance
from .places import PLACES
from .scene import Background
from .world import World

CELLS = ("top left", "top", "top right", "left", "right", "bottom left", "bottom", "bottom right")
RELATIONS = ("left", "right", "above", "below", "front", "next")
FLAT_ONLY = ("above", "below")  # relations that things on the ground cannot have


class Spot(NamedTuple):
    """Room for a thing: the middle of it, or of its lower edge when it stands on the ground; size: its longer side."""

    x: float
    y: float
    size: float
    stands: bool = False


class Layout(NamedTuple):
    """A spot for each thing, in the order captions name them, and the words that belong to it."""

    spots: tuple[Spot, ...]
    relation: str | None = None
    size: str | None = None


def arrange(layout: str, many: int, background: Background, flies: bool, chance: Chance, world: World) -> Layout:
    """Room for `many` things. flies: the first of them is seen in the air where there is a horizon."""
    horizon = PLACES[background.name].horizon if background.kind == "landscape" else None
    if layout == "single":
        return single(horizon, flies, chance, world)
    if layout == "place":
        return place(chance)
    if layout == "pair":
        return pair(horizon, chance)
    return Layout(tuple(jittered(spot, chance) for spot in group(many, horizon, layout, chance)))


def single(horizon: float | None, flies: bool, chance: Chance, world: World) -> Layout:
    """One thing near the middle, as large as the world says, or called big or small."""
    size, word = chance.between(*world.size), None
    if chance.happens(world.sized):
        word = chance.pick(("big", "small"))
        size = chance.between(0.84, 0.94) if word == "big" else chance.between(0.24, 0.34)
    far = min(world.wander, max(0.0, 0.5 - size / 2) + 0.02)  # large things stay in the picture
    x, y = (0.5 + chance.between(-far, far) for _ in "xy")
    if horizon is None:
        return Layout((Spot(x, y, size),), None, word)
    if flies:
        return Layout((Spot(x, y - 0.1, min(size, 0.6)),), None, word)
    ground = max(horizon + 0.14, min(0.94, y + size / 2))
    return Layout((Spot(x, ground, size, stands=True),), None, word)


def place(chance: Chance) -> Layout:
    """One thing in a corner or at a side."""
    cell = chance.pick(CELLS)
    x = 0.25 if "left" in cell else 0.75 if "right" in cell else 0.5
    y = 0.25 if "top" in cell else 0.75 if "bottom" in cell else 0.5
    return Layout((jittered(Spot(x, y, chance.between(0.32, 0.44)), chance),), cell)


def pair(horizon: float | None, chance: Chance) -> Layout:
    """Two things and how the first stands to the second."""
    relation = chance.pick([name for name in RELATIONS if horizon is None or name not in FLAT_ONLY])
    first, second = chance.between(0.38, 0.46), chance.between(0.38, 0.46)
    ground = None if horizon is None else max(horizon + 0.12, chance.between(0.76, 0.86))
    if relation in FLAT_ONLY:
        top, bottom = (0.27, 0.73) if relation == "above" else (0.73, 0.27)
        spots = (Spot(0.5, top, first), Spot(0.5, bottom, second))
    elif relation == "front":
        aside = chance.pick((0.34, 0.66))
        stands = ground is not None
        spots = (Spot(aside, 0.95 if stands else 0.7, first, stands), Spot(1 - aside * 0.9, 0.84 if stands else 0.42, 0.6, stands))
    else:
        left = relation == "left" or (relation == "next" and chance.happens(0.5))
        x = (0.27, 0.73) if left else (0.73, 0.27)
        y = 0.5 if ground is None else ground
        spots = (Spot(x[0], y, first, ground is not None), Spot(x[1], y, second, ground is not None))
    return Layout(tuple(jittered(spot, chance) for spot in spots), relation)


def group(many: int, horizon: float | None, layout: str, chance: Chance) -> tuple[Spot, ...]:
    """Two to four things in a row, a triangle or a square."""
    stands = horizon is not None
    if many == 4:
        rows = (0.72, 0.95) if stands else (0.27, 0.73)
        return tuple(Spot(x, y, 0.3 if stands else 0.4, stands) for y in rows for x in (0.27, 0.73))
    if many == 3 and layout == "count" and not stands and chance.happens(0.35):
        return tuple(Spot(x, y, 0.4) for x, y in ((0.5, 0.27), (0.26, 0.73), (0.74, 0.73)))
    y = 0.5 if horizon is None else max(horizon + 0.12, 0.82)
    return tuple(Spot((number + 0.5) / many, y, 0.43 if many == 2 else 0.29, stands) for number in range(many))


def jittered(spot: Spot, chance: Chance, far: float = 0.02) -> Spot:
    """A spot moved a little, and a little smaller or larger."""
    x, y = spot.x + chance.between(-far, far), spot.y + chance.between(-far, far)
    return spot._replace(x=x, y=min(y, 0.97), size=spot.size * chance.between(0.93, 1.04))
