"""What one could say about a scene, in English and Japanese, in many wordings.

Every caption is true of its scene; not every caption says everything. Some wordings are never used for training: a judge asks
with them whether a model has learnt the language or only the sentences.
"""

from typing import NamedTuple

from . import english, english_words, japanese, japanese_words
from .chance import Chance
from .scene import Scene
from .wording import Wordings

LANGUAGES = ("en", "ja")
TEMPLATES = ("train", "held_out")
UNNAMED = 0.12  # share of captions that leave the background out
FRAMED = 0.35  # share of captions that begin with "a picture of" and the like
PLAIN_COLOUR = 0.12  # share of captions of plain backgrounds that say "on blue"
PLACE_PHRASE = 0.7  # share of captions of landscapes that say "on the beach", and not "beach background"

Decorations = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]


class Caption(NamedTuple):
    """A text, and whether it names the scene's background; things, their paint, count, relation and style are always named."""

    text: str
    background: bool


def caption(scene: Scene, language: str, chance: Chance, templates: str = "train") -> Caption:
    """One caption of a scene. language: "en" or "ja"; templates: "train" or "held_out"."""
    if language not in LANGUAGES or templates not in TEMPLATES:
        raise ValueError(f"language {language!r} is not one of {LANGUAGES}, or templates {templates!r} not one of {TEMPLATES}")
    named = scene.background.kind != "hidden" and not chance.happens(UNNAMED)
    lists = wordings(language, templates)
    framed = not styled(scene) and chance.happens(FRAMED)
    joined = framed or (chance.happens(0.5) and (named or templates == "train"))
    wording = choose(scene, named, joined, chance, lists)
    if framed and not named:
        wording = "{a}"
    text = wording.format(**(english.parts if language == "en" else japanese.parts)(scene, chance))
    if framed:
        # a held-out wording may stand in a frame that is known; a bare subject may not
        text = chance.pick(wordings(language, "train").frames if named else lists.frames).format(text)
    return Caption(decorate(text, scene, language, joined, chance), named)


def wordings(language: str, templates: str) -> Wordings:
    """The lists of one language."""
    words = english_words if language == "en" else japanese_words
    lists: Wordings = words.TRAIN if templates == "train" else words.HELD_OUT
    return lists


def choose(scene: Scene, named: bool, joined: bool, chance: Chance, lists: Wordings) -> str:
    """A wording for the scene, before frames and styles. joined: it must be a noun phrase that can stand in one."""
    if not named:
        return "{a}" if joined and styled(scene) else chance.pick(lists.alone)
    if scene.background.kind == "landscape" and chance.happens(PLACE_PHRASE):
        return chance.pick(lists.in_place if joined else lists.listed_in_place)
    if scene.background.kind == "solid" and not joined and chance.happens(PLAIN_COLOUR):
        return chance.pick(lists.on_colour)
    return chance.pick(lists.joined if joined else lists.listed)


def styled(scene: Scene) -> bool:
    """Whether captions name a style or a rendering."""
    return bool(scene.style or scene.rendering)


def decorate(text: str, scene: Scene, language: str, joined: bool, chance: Chance) -> str:
    """The text with the style or rendering said before or after it; the form before it needs a noun phrase."""
    words = english_words if language == "en" else japanese_words
    if scene.style:
        before, after = words.STYLES[scene.style]
    elif scene.rendering:
        before, after = words.RENDERINGS[scene.rendering]
    else:
        return text
    form: str = chance.pick(before + after if joined else after)
    return form.format(text)
