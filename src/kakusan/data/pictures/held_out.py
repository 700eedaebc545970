"""Combinations that no training picture ever shows, so that a judge can ask for them: does the model compose, or remember?"""

from .colours import COLOURS, PAINTS
from .concepts import CONCEPT, CONCEPTS
from .places import PATTERNS, PLACES

THING, BEHIND = "thing:", "background:"


def held_out(concept: str, attribute: str) -> bool:
    """Whether a concept is never shown with an attribute: "thing:blue" (painted so), "background:blue" or "background:beach".

    One pair in ten, spread so that every concept keeps nine colours in ten and every colour nine concepts in ten. The colour
    that a thing has by nature is never held out, nor is any of a thing that cannot be painted.
    Raises KeyError for an unknown concept or attribute.
    """
    row = INDEX[CONCEPT[concept].name]
    kind, _, name = attribute.partition(":")
    column = COLUMN[name]
    if kind + ":" == THING:
        return CONCEPT[concept].paintable and name != CONCEPT[concept].colour and (row + 3 * column) % 10 == 0
    if kind + ":" == BEHIND:
        return (row + 7 * column + 5) % 10 == 0
    raise KeyError(attribute)


def held_out_pairs() -> list[tuple[str, str]]:
    """Every held-out pair (concept, attribute) that could be drawn."""
    pairs = []
    for concept in CONCEPTS:
        places = [name for name, place in PLACES.items() if concept.kind in place.kinds]
        options = [THING + name for name in PAINTS] + [BEHIND + name for name in (*PLAIN, *PATTERNS, *places)]
        pairs += [(concept.name, option) for option in options if held_out(concept.name, option)]
    return pairs


PLAIN = tuple(colour.name for colour in COLOURS)
INDEX = {concept.name: row for row, concept in enumerate(CONCEPTS)}
COLUMN = {name: column for column, name in enumerate((*PLAIN, *PATTERNS, *PLACES))}
