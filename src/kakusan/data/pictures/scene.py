"""What is in a picture, before a single pixel of it: numbers between 0 and 1 that hold at any resolution."""

from dataclasses import dataclass, replace

MOST_THINGS = 4
SHADES = 8


@dataclass(frozen=True)
class Thing:
    """One drawing in the picture. x, y: middle of its lower edge; size: its longer side; all as shares of the picture's side.

    colour: what it is painted in, None for the colours of the drawing itself. angle: degrees, anticlockwise.
    """

    concept: str
    rendering: str
    x: float
    y: float
    size: float
    colour: str | None = None
    angle: float = 0.0
    mirrored: bool = False


@dataclass(frozen=True)
class Background:
    """kind "solid" or "gradient" with a colour's name, "pattern" or "landscape" with the name of one, "hidden" with a style's."""

    kind: str
    name: str


@dataclass(frozen=True)
class Scene:
    """One picture of the endless series; its things are in the order in which captions name them.

    layout: "single", "place", "count", "pair" or "triple". relation: how the first thing of a pair stands to the second, or
    which "place" it is. size: "big" or "small" where a caption may say so. style: a filter over the whole picture.
    rendering: named where all things share it and captions may say so.
    shades: chance numbers in 0..1 for details that no caption mentions (where clouds are, which stars shine).
    """

    index: int
    layout: str
    things: tuple[Thing, ...]
    background: Background
    relation: str | None = None
    size: str | None = None
    style: str | None = None
    rendering: str | None = None
    shades: tuple[float, ...] = (0.5,) * SHADES


@dataclass(frozen=True)
class Attributes:
    """What a judge can be asked about a picture. `concepts` and `colours` go together, in the order captions name them."""

    concepts: tuple[str, ...]
    colours: tuple[str | None, ...]
    background: str | None
    style: str | None
    count: int
    relation: str | None

    def without_background(self) -> "Attributes":
        """What a caption tells that does not name the background."""
        return replace(self, background=None)


def attributes(scene: Scene) -> Attributes:
    """The labels of a scene. background: "blue", "blue gradient", or the name of the pattern or landscape.

    It is None where the style leaves nothing of it.
    """
    background = scene.background
    things = scene.things[:1] if scene.layout == "count" else scene.things
    return Attributes(
        concepts=tuple(thing.concept for thing in things),
        colours=tuple(thing.colour for thing in things),
        background=None if background.kind == "hidden" else background.name + " gradient" * (background.kind == "gradient"),
        style=scene.style,
        count=len(scene.things),
        relation=scene.relation,
    )
