"""Combinations that no training picture ever shows, so that a judge can ask for them: does the model compose, or remember?"""

from .colours import COLOUR, COLOURS, PAINTS
from .concepts import CONCEPT, CONCEPTS

THING, BEHIND = "thing:", "background:"


def held_out(concept: str, attribute: str) -> bool:
    """Whether a concept is never shown with an attribute: "thing:blue" (painted so) or "background:blue".

    One pair in ten, spread so that every concept keeps nine colours in ten and every colour nine concepts in ten. The colour
    that a thing has by nature is never held out. Raises KeyError for an unknown concept or colour.
    """
    row = INDEX[CONCEPT[concept].name]
    kind, _, name = attribute.partition(":")
    column = COLUMN[COLOUR[name].name]
    if kind + ":" == THING:
        return name != CONCEPT[concept].colour and (row + 3 * column) % 10 == 0
    if kind + ":" == BEHIND:
        return (row + 7 * column + 5) % 10 == 0
    raise KeyError(attribute)


def held_out_pairs() -> list[tuple[str, str]]:
    """Every held-out pair (concept, attribute) of a colour that things can be painted in, or of a plain background."""
    options = [THING + name for name in PAINTS] + [BEHIND + colour.name for colour in COLOURS]
    return [(concept.name, option) for concept in CONCEPTS for option in options if held_out(concept.name, option)]


INDEX = {concept.name: row for row, concept in enumerate(CONCEPTS)}
COLUMN = {colour.name: column for column, colour in enumerate(COLOURS)}
