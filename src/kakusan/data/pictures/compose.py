"""From chance to a scene: which things, where, how large, in which colours, in front of what."""

from .cast import Cast
from .chance import Chance
from .colours import PAINTS
from .concepts import CONCEPT
from .held_out import BEHIND, THING, held_out
from .scene import SHADES, Background, Scene, Thing
from .world import World


def compose(index: int, chance: Chance, world: World, cast: Cast) -> Scene:
    """The scene of one index. The same numbers of `chance` in the same world make the same scene."""
    concepts = (chance.pick(world.concepts),)
    background = behind(concepts, chance, world)
    thing = single(concepts[0], background, chance, world, cast)
    shades = tuple(chance.number() for _ in range(SHADES))
    return Scene(index, "single", (thing,), background, shades=shades)


def behind(concepts: tuple[str, ...], chance: Chance, world: World) -> Background:
    """A background that is not held out from any of the concepts."""
    free = [name for name in world.colours if not any(held_out(concept, BEHIND + name) for concept in concepts)]
    return Background("solid", chance.pick(free or world.colours))


def single(concept: str, background: Background, chance: Chance, world: World, cast: Cast) -> Thing:
    """One thing near the middle."""
    rendering = chance.pick(cast.renderings[concept])
    size = chance.between(*world.size)
    x = 0.5 + chance.between(-world.wander, world.wander)
    middle = 0.5 + chance.between(-world.wander, world.wander)
    y = middle + size * cast.sprites[concept, rendering].height / 2
    return Thing(concept, rendering, x, y, size, painted(concept, rendering, background, chance, world, cast))


def painted(concept: str, rendering: str, background: Background, chance: Chance, world: World, cast: Cast) -> str | None:
    """A colour for a thing that is neither its own, nor held out, nor that of the background; or None."""
    if not chance.happens(world.painted) or not cast.sprites[concept, rendering].paintable:
        return None
    avoided = (CONCEPT[concept].colour, background.name)
    return chance.pick([name for name in PAINTS if name not in avoided and not held_out(concept, THING + name)])
