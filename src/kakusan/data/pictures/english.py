"""English: how a scene is put into words. The lists of wordings are in english_words.py."""

from .chance import Chance
from .colours import COLOUR
from .concepts import CONCEPT
from .english_words import COLOURED, INVERSE, NUMBERS, OPINIONS, PATTERNS, PLACES, PLURALS, POSITIONS, RELATIONS, SIZES, UNCOUNTED
from .scene import Scene, Thing

LIKED = 0.08  # share of things called cute, nice or the like, which changes nothing in the picture


def parts(scene: Scene, chance: Chance) -> dict[str, str]:
    """What the names in a wording stand for: a, bare, one, back, a_back, place."""
    a, bare, one = subject(scene, chance)
    back = background(scene, chance)
    place = chance.pick(PLACES[scene.background.name][1]) if scene.background.kind == "landscape" else ""
    return {"a": a, "bare": bare, "one": one, "back": back, "a_back": article(back), "place": place}


def subject(scene: Scene, chance: Chance) -> tuple[str, str, str]:
    """What the scene shows: with articles, without, with the number one."""
    if scene.layout == "count":
        many = counted(scene, chance)
        return many, many, many
    if scene.layout == "pair":
        return pair(scene, chance)
    bare = [described(thing, scene.size, chance) for thing in scene.things]
    if scene.layout == "triple":
        first, second, third = map(article, bare)
        both = chance.pick((f"{first}, {second} and {third}", f"{first} and {second} and {third}", f"{first}, {second}, {third}"))
        return both, ", ".join(bare), both
    where = f" {chance.pick(POSITIONS[scene.relation])}" if scene.relation else ""
    return article(bare[0]) + where, bare[0] + where, f"one {bare[0]}{where}"


def pair(scene: Scene, chance: Chance) -> tuple[str, str, str]:
    """Two things and how they stand, now from the one's side and now from the other's."""
    first, second = scene.things
    relation = scene.relation or "next"
    if relation in INVERSE and chance.happens(0.3):
        first, second, relation = second, first, INVERSE[relation]
    words = chance.pick(RELATIONS[relation])
    bare = [described(thing, None, chance) for thing in (first, second)]
    return words.format(*map(article, bare)), words.format(*bare), words.format(*(f"one {name}" for name in bare))


def counted(scene: Scene, chance: Chance) -> str:
    """Several things of a kind: two red apples."""
    number = chance.pick(NUMBERS[len(scene.things)])
    thing = scene.things[0]
    return " ".join([number, *adjectives(thing, chance), plural(noun(thing, chance))])


def background(scene: Scene, chance: Chance) -> str:
    """The background as an adjective: blue, blue gradient, striped, beach."""
    kind, name = scene.background.kind, scene.background.name
    if kind == "landscape":
        return chance.pick(PLACES[name][0])
    if kind == "pattern":
        return chance.pick(PATTERNS[name])
    if kind == "hidden":
        return ""
    return chance.pick(COLOUR[name].en) + " gradient" * (kind == "gradient")


def described(thing: Thing, size: str | None, chance: Chance) -> str:
    """A thing's noun with its adjectives; some only say that somebody likes it."""
    liked = [chance.pick(OPINIONS)] if chance.happens(LIKED) else []
    large = [chance.pick(SIZES[size])] if size else []
    return " ".join([*liked, *large, *adjectives(thing, chance), noun(thing, chance)])


def adjectives(thing: Thing, chance: Chance, own_colour: float = 0.12) -> list[str]:
    """The colour a thing is painted in; or now and then (own_colour) the one it has by nature."""
    if thing.colour:
        word = chance.pick(COLOUR[thing.colour].en)
        return [chance.pick(COLOURED).format(word) if chance.happens(0.08) else word]
    own = CONCEPT[thing.concept].colour
    return [chance.pick(COLOUR[own].en)] if own and chance.happens(own_colour) else []


def noun(thing: Thing, chance: Chance) -> str:
    """What a thing is called, most often by its usual noun."""
    nouns = CONCEPT[thing.concept].en
    return nouns[0] if chance.happens(0.5) else chance.pick(nouns)


def plural(noun: str) -> str:
    """Several of a noun."""
    if noun in PLURALS:
        return PLURALS[noun]
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "sh", "ch")) else "s")


def article(phrase: str) -> str:
    """A phrase with "a" or "an" before it, or without where its noun takes none."""
    if not phrase or (phrase.split()[-1] in UNCOUNTED and " of " not in phrase):
        return phrase
    vowel = phrase[0] in "aeiou" and not phrase.startswith(("uni", "one"))
    return ("an " if vowel else "a ") + phrase
