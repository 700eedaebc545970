"""Backgrounds that are more than a colour, and the filters that are laid over a finished picture: facts, not pixels or words."""

from dataclasses import dataclass

PATTERNS = ("dots", "stripes", "checks")


@dataclass(frozen=True)
class Place:
    """A landscape. horizon: height of its ground's far edge (0 top, 1 bottom); None where there is no ground to stand on.

    kinds: the kinds of things that are found there. colour: the one that would not be seen there; nothing is painted in it.
    solid: whether the ground carries a shadow.
    """

    horizon: float | None
    kinds: frozenset[str]
    colour: str | None = None
    solid: bool = True


@dataclass(frozen=True)
class Style:
    """A filter. paint, background: whether the colours of things, and plain or coloured backgrounds, are still to be told.

    scenery: whether landscapes and patterns are.
    """

    paint: bool = True
    background: bool = True
    scenery: bool = True


def kinds(names: str) -> frozenset[str]:
    """A set of kinds written in one line."""
    return frozenset(names.split())


PLACES = {
    "grass": Place(0.55, kinds("fruit animal face plant vehicle building thing air"), "green"),
    "beach": Place(0.60, kinds("animal sea boat building vehicle thing"), "yellow"),
    "desert": Place(0.55, kinds("animal plant vehicle face"), "orange"),
    "snow": Place(0.55, kinds("animal plant vehicle building thing face"), "white"),
    "sea": Place(0.50, kinds("sea boat"), "blue", solid=False),
    "underwater": Place(None, kinds("sea"), "blue"),
    "night": Place(0.72, kinds("animal face air plant vehicle building thing"), "black"),
    "space": Place(None, kinds("face air thing"), "black"),
    "sunset": Place(0.65, kinds("animal face air plant vehicle boat building"), "purple"),
    "city": Place(0.70, kinds("animal air vehicle building"), "black"),
    "room": Place(0.65, kinds("fruit food animal face thing")),
    "table": Place(0.45, kinds("fruit food thing")),
    "forest": Place(0.70, kinds("animal face plant fruit"), "green"),
    "mountains": Place(0.62, kinds("animal air plant vehicle building"), "green"),
    "sky": Place(None, kinds("air face"), "blue"),
}
STYLES = {
    "pixel art": Style(),
    "sketch": Style(paint=False, background=False, scenery=False),
    "silhouette": Style(paint=False),
    "black and white": Style(paint=False, background=False),
    "oil painting": Style(),
    "watercolor": Style(),
    "neon": Style(paint=False, background=False, scenery=False),
    "blueprint": Style(paint=False, background=False, scenery=False),
    "sepia": Style(paint=False, background=False),
}
SIMPLE_STYLES = ("pixel art", "sketch", "silhouette", "black and white")
