"""How much of the world a model is shown: one and the same generator makes the smallest world and the whole."""

from dataclasses import dataclass, replace

from .colours import CLEAR, COLOUR, COLOURS
from .concepts import CONCEPT, CONCEPTS
from .places import SIMPLE_STYLES, STYLES
from .sources import RENDERINGS

LAYOUTS = ("single", "place", "count", "pair", "triple")
BACKGROUNDS = ("solid", "gradient", "pattern", "landscape")


@dataclass(frozen=True)
class World:
    """What may occur in a picture, and how often.

    layouts, backgrounds: weights of LAYOUTS and BACKGROUNDS. painted: share of things in a colour that is not their own,
    of those that can be painted. sized: share of single things that are "big" or "small". size: the others' longer side,
    smallest and largest share of the picture. wander: how far their middle may lie from the picture's.
    turned, mirrored: shares of things turned by up to eight degrees, and mirrored.
    styled: share of pictures with a filter; drawn: share of the rest that keep to one rendering and say so.
    """

    concepts: tuple[str, ...] = tuple(concept.name for concept in CONCEPTS)
    renderings: tuple[str, ...] = RENDERINGS
    colours: tuple[str, ...] = tuple(colour.name for colour in COLOURS)
    layouts: tuple[float, ...] = (0.5, 0.1, 0.1, 0.2, 0.1)
    backgrounds: tuple[float, ...] = (0.4, 0.1, 0.1, 0.4)
    painted: float = 0.3
    sized: float = 0.2
    size: tuple[float, float] = (0.5, 0.75)
    wander: float = 0.07
    turned: float = 0.2
    mirrored: float = 0.3
    styles: tuple[str, ...] = tuple(STYLES)
    styled: float = 0.2
    drawn: float = 0.15

    def __post_init__(self) -> None:
        known = {"concepts": CONCEPT, "renderings": RENDERINGS, "colours": COLOUR, "styles": STYLES}
        for name, table in known.items():
            if strange := [value for value in getattr(self, name) if value not in table]:
                raise ValueError(f"{name} {strange} are unknown; known are {', '.join(table)}")
            if not getattr(self, name) and (name != "styles" or self.styled):
                raise ValueError(f"a world needs at least one of its {name}")
        if len(self.layouts) != len(LAYOUTS) or len(self.backgrounds) != len(BACKGROUNDS):
            raise ValueError(
                f"layouts {self.layouts} and backgrounds {self.backgrounds} need a weight for each of {LAYOUTS}, {BACKGROUNDS}"
            )


SMALL = World(
    renderings=("3d", "glossy"),  # one drawing, shaded in two ways
    colours=CLEAR,
    layouts=(1, 0, 0, 0, 0),
    backgrounds=(1, 0, 0, 0),
    sized=0.0,
    size=(0.62, 0.80),
    wander=0.04,
    turned=0.0,
    mirrored=0.0,
    styles=(),
    styled=0.0,
    drawn=0.0,
)
FEW = (
    *("apple", "banana", "strawberry", "mushroom", "cat", "dog", "fish", "penguin", "butterfly", "car", "airplane", "sailboat"),
    *("rocket", "house", "tree", "star", "heart", "sun", "robot", "smiley", "ball", "cup", "umbrella", "snowman"),
)
WORLDS = {
    "tiny": replace(SMALL, concepts=FEW, painted=0.0),
    "small": SMALL,
    "medium": World(
        renderings=("3d", "glossy"),
        colours=CLEAR,
        layouts=(0.8, 0.04, 0.06, 0.08, 0.02),
        backgrounds=(0.66, 0.06, 0.06, 0.22),
        sized=0.1,
        size=(0.58, 0.80),
        wander=0.05,
        turned=0.0,
        mirrored=0.1,
        styles=SIMPLE_STYLES,
        styled=0.1,
        drawn=0.0,
    ),
    "full": World(),
}
