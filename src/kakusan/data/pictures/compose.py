"""From chance to a scene: which things, where, how large, in which colours, in front of what, in which style."""

from .cast import Cast
from .chance import Chance
from .colours import PAINTS
from .concepts import CONCEPT
from .held_out import BEHIND, THING, held_out
from .layout import Spot, arrange
from .places import PATTERNS, PLACES, STYLES
from .scene import SHADES, Background, Scene, Thing
from .world import BACKGROUNDS, LAYOUTS, World

ATTEMPTS = 100
DARK = ("black", "brown", "night", "space")  # backgrounds that swallow a silhouette


def compose(index: int, chance: Chance, world: World, cast: Cast) -> Scene:
    """The scene of one index. The same numbers of `chance` in the same world make the same scene."""
    layout = chance.weighted(LAYOUTS, world.layouts)
    many = {"single": 1, "place": 1, "count": chance.pick((2, 3, 4)), "pair": 2, "triple": 3}[layout]
    style = chance.pick(world.styles) if chance.happens(world.styled) else None
    for _ in range(ATTEMPTS):
        concepts = choose_concepts(1 if layout == "count" else many, chance, world)
        if background := behind(concepts, layout, style, chance, world):
            break
    else:
        raise ValueError(
            f"every background is held out from the concepts {world.concepts}; give the world more colours than {world.colours}"
        )
    arranged = arrange(layout, many, background, CONCEPT[concepts[0]].kind == "air", chance, world)
    things, rendering = draw_things(concepts, arranged.spots, background, style, chance, world, cast)
    shades = tuple(chance.number() for _ in range(SHADES))
    return Scene(index, layout, things, background, arranged.relation, arranged.size, style, rendering, shades)


def choose_concepts(many: int, chance: Chance, world: World) -> tuple[str, ...]:
    """Different concepts, more often than not of the kind of the first."""
    chosen = [chance.pick(world.concepts)]
    kind = [name for name in world.concepts if CONCEPT[name].kind == CONCEPT[chosen[0]].kind]
    while len(chosen) < min(many, len(world.concepts)):
        another = chance.pick(kind if chance.happens(0.5) else world.concepts)
        if another not in chosen:
            chosen.append(another)
    return tuple(chosen)


def behind(concepts: tuple[str, ...], layout: str, style: str | None, chance: Chance, world: World) -> Background | None:
    """A background that suits the style and the first thing, and is held out from none of the concepts; None if there is none."""
    if style and not STYLES[style].scenery:
        return Background("hidden", style)
    kind = chance.weighted(BACKGROUNDS, world.backgrounds)
    if style and not STYLES[style].background and kind in ("solid", "gradient"):
        return Background("hidden", style)
    names = PATTERNS if kind == "pattern" else places(concepts[0], layout) if kind == "landscape" else ()
    if not names:
        kind, names = ("gradient" if kind == "gradient" else "solid"), world.colours
    dark = DARK if style == "silhouette" else ()
    free = [name for name in names if name not in dark and not any(held_out(concept, BEHIND + name) for concept in concepts)]
    return Background(kind, chance.pick(free)) if free else None


def places(concept: str, layout: str) -> tuple[str, ...]:
    """The landscapes that suit a concept; in a corner it can only be where there is no ground."""
    kind = CONCEPT[concept].kind
    return tuple(name for name, place in PLACES.items() if kind in place.kinds and (layout != "place" or place.horizon is None))


def draw_things(
    concepts: tuple[str, ...],
    spots: tuple[Spot, ...],
    background: Background,
    style: str | None,
    chance: Chance,
    world: World,
    cast: Cast,
) -> tuple[tuple[Thing, ...], str | None]:
    """The things on their spots, and the rendering they all share where captions may name it. One concept fills all spots."""
    named = chance.pick(world.renderings) if style is None and chance.happens(world.drawn) else None
    if named and any(named not in cast.renderings[concept] for concept in concepts):
        named = None
    things: list[Thing] = []
    for number, spot in enumerate(spots):
        if number < len(concepts):
            concept = concepts[number]
            rendering = named or chance.pick(cast.renderings[concept])
            colour = None if style and not STYLES[style].paint else paint(concept, rendering, background, chance, world, cast)
        height = cast.sprites[concept, rendering].height
        y = spot.y if spot.stands else spot.y + spot.size * height / 2
        angle = chance.between(-8, 8) if chance.happens(world.turned) else 0.0
        things.append(Thing(concept, rendering, spot.x, y, spot.size, colour, angle, chance.happens(world.mirrored)))
    return tuple(things), named


def paint(concept: str, rendering: str, background: Background, chance: Chance, world: World, cast: Cast) -> str | None:
    """A colour for a thing that is neither its own, nor held out, nor that of the background; or None."""
    if not chance.happens(world.painted) or not cast.sprites[concept, rendering].paintable:
        return None
    avoided = (CONCEPT[concept].colour, PLACES[background.name].colour if background.kind == "landscape" else background.name)
    return chance.pick([name for name in PAINTS if name not in avoided and not held_out(concept, THING + name)])
