"""Synthetic sprites: every concept as a shape of its own, so that the generator can be tested without any download."""

from dataclasses import replace
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from kakusan.data.pictures import CONCEPTS, WORLDS, Pack, Pictures

SIDE = 128


@cache
def synthetic_pack(renderings: tuple[str, ...] = ("3d", "glossy", "flat", "cartoon")) -> Pack:
    """A polygon for every concept; its corners tell the concept, its shade the rendering. All are red, with a white dot."""
    sprites = {}
    for number, concept in enumerate(CONCEPTS):
        for shade, rendering in enumerate(renderings):
            image = Image.new("RGBA", (SIDE, SIDE))
            pen = ImageDraw.Draw(image)
            pen.regular_polygon((64, 66, 60), 3 + number % 7, rotation=number, fill=(200 + 10 * shade, 30, 30, 255))
            pen.ellipse((54, 60, 74, 80), fill=(255, 255, 255, 255))
            sprites[concept.name, rendering] = np.asarray(image)
    return Pack(sprites)


def few_pictures(seed: int = 7) -> Pictures:
    """The whole generator with six concepts."""
    concepts = ("apple", "cat", "fish", "airplane", "house", "star")
    return Pictures(synthetic_pack(), replace(WORLDS["full"], concepts=concepts), seed=seed)
