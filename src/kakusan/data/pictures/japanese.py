"""Japanese: how a scene is put into words. The lists of wordings are in japanese_words.py."""

from .chance import Chance
from .colours import COLOUR
from .concepts import CONCEPT
from .japanese_words import ALIVE, INVERSE, NUMBERS, OPINIONS, PATTERNS, PLACES, POSITIONS, RELATIONS, SIZES
from .scene import Scene, Thing

LIKED = 0.08  # share of things called cute, nice or the like, which changes nothing in the picture


def parts(scene: Scene, chance: Chance) -> dict[str, str]:
    """What the names in a wording stand for: a, bare, one, back, back_noun, place, is_, is_polite."""
    a, one = subject(scene, chance)
    back, noun = background(scene, chance)
    place = chance.pick(PLACES[scene.background.name][1]) if scene.background.kind == "landscape" else ""
    alive = any(CONCEPT[thing.concept].counter in ALIVE for thing in scene.things)
    verbs = {"is_": "いる", "is_polite": "います"} if alive else {"is_": "ある", "is_polite": "あります"}
    return {"a": a, "bare": a, "one": one, "back": back, "back_noun": noun, "place": place, **verbs}


def subject(scene: Scene, chance: Chance) -> tuple[str, str]:
    """What the scene shows, and the same with a number where it is one thing."""
    if scene.layout == "count":
        many = counted(scene, chance)
        return many, many
    if scene.layout == "pair":
        two = pair(scene, chance)
        return two, two
    names = [described(thing, scene.size, chance) for thing in scene.things]
    if scene.layout == "triple":
        together = chance.pick(("と", "と", "、")).join(names)
        return together, together
    where = chance.pick(POSITIONS[scene.relation]) if scene.relation else ""
    return where + names[0], f"{where}一{CONCEPT[scene.things[0].concept].counter}の{names[0]}"


def pair(scene: Scene, chance: Chance) -> str:
    """Two things and how they stand, now from the one's side and now from the other's."""
    first, second = scene.things
    relation = scene.relation or "next"
    if relation in INVERSE and chance.happens(0.3):
        first, second, relation = second, first, INVERSE[relation]
    return chance.pick(RELATIONS[relation]).format(described(first, None, chance), described(second, None, chance))


def counted(scene: Scene, chance: Chance) -> str:
    """Several things of a kind: 二匹の猫, 猫二匹."""
    thing = scene.things[0]
    number = chance.pick(NUMBERS[len(scene.things)]) + CONCEPT[thing.concept].counter
    name = described(thing, None, chance)
    return f"{number}の{name}" if chance.happens(0.75) else f"{name}{number}"


def background(scene: Scene, chance: Chance) -> tuple[str, str]:
    """The background as an adjective and as a noun: 青い and 青."""
    kind, name = scene.background.kind, scene.background.name
    if kind == "hidden":
        return "", ""
    if kind in ("landscape", "pattern"):
        noun = chance.pick(PLACES[name][0] if kind == "landscape" else PATTERNS[name])
        return noun + "の", noun
    adjective, noun = chance.pick(COLOUR[name].ja), chance.pick(COLOUR[name].ja_noun)
    if kind == "gradient":
        return adjective + "グラデーションの", noun + "のグラデーション"
    return adjective, noun


def described(thing: Thing, size: str | None, chance: Chance, own_colour: float = 0.12) -> str:
    """A thing's noun with its adjectives. own_colour: how often the colour it has by nature is said.

    Some adjectives only say that somebody likes it.
    """
    nouns = CONCEPT[thing.concept].ja
    noun = nouns[0] if chance.happens(0.5) else chance.pick(nouns)
    colour = thing.colour
    if colour is None and chance.happens(own_colour):
        colour = CONCEPT[thing.concept].colour
    large = chance.pick(SIZES[size]) if size else ""
    liked = chance.pick(OPINIONS) if chance.happens(LIKED) else ""
    return liked + large + (chance.pick(COLOUR[colour].ja) if colour else "") + noun
