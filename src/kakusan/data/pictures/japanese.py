"""Japanese: how things, colours, places and styles are called, and the wordings a caption may have.

In a wording {a} is the subject, {one} has a number before it, {is_} is いる or ある; {back} is the background's adjective (青い)
and {back_noun} its noun (青).
"""

from .chance import Chance
from .colours import COLOUR
from .concepts import CONCEPT
from .scene import Scene, Thing
from .wording import Subject, Wordings

TRAIN = Wordings(
    frames=(
        "{}の絵",
        "{}の画像",
        "{}のイラスト",
        "{}の写真",
        "{}を描いた絵",
        "{}を描いて",
        "{}を描いてください",
        "{}です",
        "{}。",
        "{}が見たい",
    ),
    joined=(
        "{back}背景の{a}",
        "{back}背景に{a}",
        "{back}背景の前の{a}",
        "{back}背景の{one}",
        "{back}背景に{one}",
        "{back_noun}の背景の{a}",
        "{back_noun}の背景に{a}",
        "{back_noun}背景の{a}",
        "{back_noun}背景に{a}",
        "背景が{back_noun}の{a}",
    ),
    listed=(
        "{a}、{back}背景",
        "{a}、{back_noun}背景",
        "{a}、背景は{back_noun}",
        "{a} {back_noun}背景",
        "{one}、{back}背景",
        "{back}背景、{a}",
        "{back_noun}背景、{a}",
        "{back}背景で{a}",
        "{back}背景に{a}が{is_}",
        "{a}が{is_}、{back}背景",
        "{a}の絵、{back_noun}背景",
        "{a}の絵、{back}背景",
        "背景は{back_noun}、{a}",
        "{back}背景に{a}の絵",
    ),
    on_colour=("{back_noun}に{a}", "{back_noun}の上の{a}", "{back_noun}の前の{a}"),
    in_place=("{place}{a}", "{place}{a}", "{place}{one}", "{back_noun}に{a}", "{a}、{back_noun}", "{back_noun}に{a}が{is_}"),
    alone=("{a}", "{a}", "{one}", "{a}が{is_}"),
)
HELD_OUT = Wordings(
    frames=("これは{}を写したものです", "{}を見せてくれませんか", "{}という作品"),
    joined=("{back}背景に浮かぶ{a}", "{back}背景に置かれた{a}", "うしろの背景が{back_noun}である{a}"),
    listed=("{a}と{back}背景", "{a}だけで、うしろは{back_noun}", "ほら、{a}。背景は全部{back_noun}", "背景:{back_noun}、もの:{a}"),
    on_colour=("{back_noun}に囲まれた{a}", "まわりが{back_noun}の{a}"),
    in_place=("{place}ところに{is_}{a}", "見て、{place}{a}だよ"),
    alone=("{a}だけ", "ほら、{a}だよ"),
)

ALIVE = ("匹", "頭", "羽", "人", "体")


def subject(scene: Scene, chance: Chance) -> Subject:
    """What the scene shows, plain and with a number."""
    name = described(scene.things[0], chance)
    return Subject(bare=name, a=name, one=f"一{CONCEPT[scene.things[0].concept].counter}の{name}")


def back(scene: Scene, chance: Chance) -> tuple[str, str]:
    """The background as an adjective and as a noun: 青い, 青."""
    colour = COLOUR[scene.background.name]
    return chance.pick(colour.ja), chance.pick(colour.ja_noun)


def is_(scene: Scene) -> str:
    """The verb "to be somewhere": いる for what lives, ある for the rest."""
    return "いる" if CONCEPT[scene.things[-1].concept].counter in ALIVE else "ある"


def described(thing: Thing, chance: Chance, own_colour: float = 0.15) -> str:
    """A thing's noun with the adjective of its colour. own_colour: how often the colour it has by nature is said."""
    nouns = CONCEPT[thing.concept].ja
    name = nouns[0] if chance.happens(0.55) else chance.pick(nouns)
    colour = thing.colour
    if colour is None and chance.happens(own_colour):
        colour = CONCEPT[thing.concept].colour
    return chance.pick(COLOUR[colour].ja) + name if colour else name
