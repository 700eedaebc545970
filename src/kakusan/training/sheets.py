"""Sheets of pictures with their captions, for looking at what a training run has learnt."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..images import to_pil

CJK = ("NotoSansCJK-Regular.ttc", "NotoSansCJKjp-Regular.otf", "ipag.ttf", "Hiragino Sans GB.ttc", "msgothic.ttc", "DejaVuSans.ttf")


def save_sheet(
    pictures: Tensor | Sequence[Image.Image], path: Path, columns: int = 8, captions: Sequence[str] = (), cell: int = 128
) -> None:
    """Pictures (n 3 s s, -1 to 1, or PIL) in rows, each with its caption below, as one PNG."""
    shown = [to_pil(p) for p in pictures] if isinstance(pictures, torch.Tensor) else list(pictures)
    lines = 3 if captions else 0
    height = cell + 13 * lines
    rows = -(-len(shown) // columns)
    sheet = Image.new("RGB", (columns * (cell + 4), rows * (height + 4)), "white")
    draw, font = ImageDraw.Draw(sheet), caption_font(11)
    for i, picture in enumerate(shown):
        x, y = i % columns * (cell + 4), i // columns * (height + 4)
        sheet.paste(picture.resize((cell, cell), Image.Resampling.NEAREST), (x, y))
        if captions:
            for k, line in enumerate(broken(captions[i], cell, font)[:lines]):
                draw.text((x + 1, y + cell + 13 * k), line, fill="black", font=font)
    sheet.save(path)


def broken(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    """Text as lines no wider than `width` pixels, broken at spaces where there are any."""
    lines, line = [], ""
    for word in text.split(" ") if " " in text else list(text):
        joined = f"{line} {word}".strip() if " " in text else line + word
        if line and font.getlength(joined) > width:
            lines.append(line)
            joined = word
        line = joined
    return [*lines, line]


def caption_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font that has Japanese, where the system has one."""
    for name in CJK:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default()
