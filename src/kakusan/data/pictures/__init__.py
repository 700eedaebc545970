"""Captioned pictures for training, composed from openly licensed drawings; docs/training-pictures.md tells how.

pictures = Pictures(load_pack(), WORLDS["small"], seed=0)
scenes = [pictures.spec(index) for index in range(64)]
image, masks, depth = pictures.render(scenes, size=64)
texts = [pictures.captions(scene, "ja", n=3) for scene in scenes]
"""

from .captions import Caption, caption
from .chance import Chance
from .colours import CLEAR, COLOURS, PAINTS
from .concepts import CONCEPT, CONCEPTS, Concept
from .held_out import held_out, held_out_pairs
from .pack import Pack, load_pack, make_pack, save_pack
from .pictures import Pictures
from .render import Rendered
from .scene import Attributes, Background, Scene, Thing, attributes
from .sources import RENDERINGS, SOURCES, fetch
from .world import WORLDS, World

__all__ = [
    "CLEAR",
    "COLOURS",
    "CONCEPT",
    "CONCEPTS",
    "PAINTS",
    "RENDERINGS",
    "SOURCES",
    "WORLDS",
    "Attributes",
    "Background",
    "Caption",
    "Chance",
    "Concept",
    "Pack",
    "Pictures",
    "Rendered",
    "Scene",
    "Thing",
    "World",
    "attributes",
    "caption",
    "fetch",
    "held_out",
    "held_out_pairs",
    "load_pack",
    "make_pack",
    "save_pack",
]
