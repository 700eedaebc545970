"""What one could say about a scene, in English and Japanese, in many wordings.

Every caption is true of its scene; not every caption says everything. Some wordings are never used for training: a judge asks
with them whether a model has learnt the language or only the sentences.
"""

from typing import NamedTuple

from . import english, japanese
from .chance import Chance
from .scene import Scene
from .wording import Wordings

LANGUAGES = ("en", "ja")
TEMPLATES = ("train", "held_out")
UNNAMED = 0.12  # share of captions that leave the background out
FRAMED = 0.35  # share of captions that begin with "a picture of" and the like


class Caption(NamedTuple):
    """A text, and whether it names the scene's background; things, their colours, count and relation are always named."""

    text: str
    background: bool


def caption(scene: Scene, language: str, chance: Chance, templates: str = "train") -> Caption:
    """One caption of a scene. language: "en" or "ja"; templates: "train" or "held_out"."""
    if language not in LANGUAGES or templates not in TEMPLATES:
        raise ValueError(f"language {language!r} is not one of {LANGUAGES}, or templates {templates!r} not one of {TEMPLATES}")
    named = not chance.happens(UNNAMED)
    wording, framed = choose(scene, named, chance, wordings(language, templates))
    text = wording.format(**parts(scene, language, chance))
    if framed:
        text = chance.pick(wordings(language, "train" if named else templates).frames).format(text)
    return Caption(text, named)


def wordings(language: str, templates: str) -> Wordings:
    """The lists of one language."""
    if language == "en":
        return english.TRAIN if templates == "train" else english.HELD_OUT
    return japanese.TRAIN if templates == "train" else japanese.HELD_OUT


def choose(scene: Scene, named: bool, chance: Chance, lists: Wordings) -> tuple[str, bool]:
    """A wording for the scene, and whether it is to stand in a frame."""
    framed = chance.happens(FRAMED)
    if not named:
        return ("{a}" if framed else chance.pick(lists.alone)), framed
    if framed:
        return chance.pick(lists.joined), True
    if scene.background.kind == "solid" and chance.happens(0.12):
        return chance.pick(lists.on_colour), False
    return chance.pick(lists.joined if chance.happens(0.5) else lists.listed), False


def parts(scene: Scene, language: str, chance: Chance) -> dict[str, str]:
    """What the wordings' names stand for."""
    if language == "en":
        subject, adjective = english.subject(scene, chance), english.back(scene, chance)
        return {**subject._asdict(), "back": adjective, "a_back": english.article(adjective)}
    subject, (adjective, noun) = japanese.subject(scene, chance), japanese.back(scene, chance)
    return {**subject._asdict(), "back": adjective, "back_noun": noun, "is_": japanese.is_(scene)}
