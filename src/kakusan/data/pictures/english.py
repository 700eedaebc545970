"""English: how things, colours, places and styles are called, and the wordings a caption may have.

In a wording {a} is the subject with its article, {bare} without, {one} with a number; {back} is the background's adjective.
"a(back)" stands for the article and that adjective.
"""

from .chance import Chance
from .colours import COLOUR
from .concepts import CONCEPT
from .scene import Scene, Thing
from .wording import Subject, Wordings

TRAIN = Wordings(
    frames=(
        "a picture of {}",
        "a picture with {}",
        "an image of {}",
        "a drawing of {}",
        "an illustration of {}",
        "picture of {}",
        "image of {}",
        "there is {}",
        "this is {}",
        "it is {}",
        "draw {}",
        "please draw {}",
        "show me {}",
        "i want {}",
        "{}.",
        "just {}",
    ),
    joined=(
        "{a} on {a_back} background",
        "{a} on the {back} background",
        "{a} in front of {a_back} background",
        "{a} with {a_back} background",
        "{a} against {a_back} background",
        "{a} before {a_back} background",
        "{a} over {a_back} background",
        "{one} on {a_back} background",
        "{one} in front of {a_back} background",
        "{one} with {a_back} background",
        "{a_back} background with {a}",
        "{a_back} background and {a}",
    ),
    listed=(
        "{a}, {back} background",
        "{a}, {a_back} background",
        "{bare}, {back} background",
        "{bare} {back} background",
        "{bare} on {a_back} background",
        "{bare} in front of {a_back} background",
        "{bare} with {a_back} background",
        "{bare}, background {back}",
        "{a}. {back} background",
        "{one}, {back} background",
        "{back} background, {a}",
        "{back} background, {bare}",
        "{back} background with {a}",
        "{back} background {bare}",
        "on {a_back} background, {a}",
        "the {bare} on {a_back} background",
        "{a_back} picture with {a}",
        "{a}, the background is {back}",
        "the background is {back}, {a}",
        "a picture of {a}, {back} background",
        "a drawing of {a}, {back} background",
    ),
    on_colour=("{a} on {back}", "{bare} on {back}", "{a} in front of {back}", "{bare}, {back}", "{one} on {back}", "{a} against {back}"),
    in_place=("{a} {place}", "{a} {place}", "{bare} {place}", "{one} {place}", "{place}, {a}", "{a}, {place}", "there is {a} {place}"),
    alone=("{a}", "{bare}", "{one}", "the {bare}"),
)
HELD_OUT = Wordings(
    frames=("here we can see {}", "my favourite picture shows {}", "could you make {}", "a small artwork showing {}"),
    joined=(
        "{a} shown before {a_back} background",
        "{a} placed on {a_back} background",
        "{a} and behind it {a_back} background",
        "{one} standing out from {a_back} background",
    ),
    listed=(
        "behind {a} there is {a_back} background",
        "{a_back} background and on it {a}",
        "look, {a}! the background is all {back}",
        "background: {back}. object: {bare}",
        "the {bare} has {a_back} background behind it",
    ),
    on_colour=("{a} surrounded by {back}", "{back} everywhere around {a}"),
    in_place=("{a} which is {place}", "you can find {a} {place}", "look {place}: {a}"),
    alone=("here comes {a}", "nothing but {a}"),
)

PLURALS = {
    "cactus": "cacti",
    "snowman": "snowmen",
    "fish": "fish",
    "sushi": "pieces of sushi",
    "cup of coffee": "cups of coffee",
    "slice of pizza": "slices of pizza",
    "slice of watermelon": "slices of watermelon",
}
UNCOUNTED = ("sushi", "coffee")


def subject(scene: Scene, chance: Chance) -> Subject:
    """What the scene shows, in the three forms a wording may ask for."""
    bare = described(scene.things[0], chance)
    return Subject(bare=bare, a=article(bare), one=f"one {bare}")


def back(scene: Scene, chance: Chance) -> str:
    """The background as an adjective: "blue"."""
    return chance.pick(COLOUR[scene.background.name].en)


def described(thing: Thing, chance: Chance, own_colour: float = 0.15) -> str:
    """A thing's noun with the adjective of its colour. own_colour: how often the colour it has by nature is said."""
    words = [noun(thing, chance)]
    colour = thing.colour
    if colour is None and chance.happens(own_colour):
        colour = CONCEPT[thing.concept].colour
    if colour:
        words.insert(0, chance.pick(COLOUR[colour].en))
    return " ".join(words)


def noun(thing: Thing, chance: Chance) -> str:
    """What a thing is called, most often by its usual noun."""
    nouns = CONCEPT[thing.concept].en
    return nouns[0] if chance.happens(0.55) else chance.pick(nouns)


def article(phrase: str) -> str:
    """A phrase with "a" or "an" before it, or without where its noun takes none."""
    if phrase.split()[-1] in UNCOUNTED and " of " not in phrase:
        return phrase
    vowel = phrase[0] in "aeiou" and not phrase.startswith(("uni", "one"))
    return ("an " if vowel else "a ") + phrase
