"""A sheet of captioned pictures, for the eye."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .pictures import Pictures

GAP = 8
LINES = 4


def sheet(pictures: Pictures, indices: Sequence[int], size: int = 96, columns: int = 8, font: Path | None = None) -> Image.Image:
    """Pictures with a caption below each; every fourth is Japanese where a font that has the characters is given."""
    scenes = [pictures.spec(index) for index in indices]
    images = pictures.render(scenes, size).image
    height = max(size // 9, 9)
    letters = ImageFont.truetype(str(font), height) if font else ImageFont.load_default(height)
    cell, tall = size + GAP, size + (height + 2) * LINES + GAP
    page = Image.new("RGB", (columns * cell + GAP, -(-len(scenes) // columns) * tall + GAP), "white")
    pen = ImageDraw.Draw(page)
    for number, (scene, image) in enumerate(zip(scenes, images, strict=True)):
        left, top = GAP + number % columns * cell, GAP + number // columns * tall
        page.paste(as_image(image), (left, top))
        language = "ja" if font and number % 4 == 3 else "en"
        for line, text in enumerate(broken(pictures.captions(scene, language)[0], language, size // height)):
            pen.text((left, top + size + 2 + line * (height + 2)), text, font=letters, fill="black")
    return page


def broken(text: str, language: str, wide: int) -> list[str]:
    """A caption in lines; wide: how many Japanese characters fit into one."""
    if language == "ja":
        return [text[start : start + wide] for start in range(0, len(text), wide)][:LINES]
    return textwrap.wrap(text, int(wide * 2.1))[:LINES]


def as_image(image: Tensor) -> Image.Image:
    """One picture (3 s s), -1..1, as PIL knows it."""
    return Image.fromarray(((image + 1) * 127.5).round().byte().permute(1, 2, 0).numpy())
