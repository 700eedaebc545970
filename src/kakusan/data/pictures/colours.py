"""Colour words, and what they look like: as a flat background and as the colour of a thing."""

from dataclasses import dataclass

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Colour:
    """One colour. `ja` are the forms before a noun, `ja_noun` the ones that stand alone (青背景).

    rgb: the background, 0..1. hue: degrees, for a thing painted in it; None for white, gray and black.
    """

    name: str
    rgb: Rgb
    hue: float | None
    en: tuple[str, ...]
    ja: tuple[str, ...]
    ja_noun: tuple[str, ...]


COLOURS = (
    Colour("white", (1.0, 1.0, 1.0), None, ("white",), ("白い", "白の", "白色の"), ("白", "白色")),
    Colour("black", (0.05, 0.05, 0.06), None, ("black",), ("黒い", "黒の", "黒色の"), ("黒", "黒色")),
    Colour("gray", (0.58, 0.58, 0.60), None, ("gray", "grey"), ("灰色の", "グレーの"), ("灰色", "グレー")),
    Colour("red", (0.86, 0.20, 0.20), 0, ("red",), ("赤い", "赤の", "赤色の"), ("赤", "赤色")),
    Colour("orange", (0.97, 0.60, 0.20), 28, ("orange",), ("オレンジ色の", "橙色の"), ("オレンジ色", "橙色")),
    Colour("yellow", (0.98, 0.87, 0.30), 50, ("yellow",), ("黄色い", "黄色の"), ("黄色",)),
    Colour("green", (0.30, 0.72, 0.36), 115, ("green",), ("緑の", "緑色の"), ("緑", "緑色")),
    Colour("light blue", (0.55, 0.85, 0.95), 190, ("light blue", "sky blue", "cyan"), ("水色の", "空色の"), ("水色", "空色")),
    Colour("blue", (0.22, 0.42, 0.88), 218, ("blue",), ("青い", "青の", "青色の"), ("青", "青色")),
    Colour("purple", (0.55, 0.32, 0.76), 275, ("purple", "violet"), ("紫の", "紫色の"), ("紫", "紫色")),
    Colour("pink", (0.98, 0.68, 0.80), 330, ("pink",), ("ピンクの", "ピンク色の", "桃色の"), ("ピンク", "ピンク色", "桃色")),
    Colour("brown", (0.50, 0.33, 0.20), 25, ("brown",), ("茶色の", "茶色い"), ("茶色",)),
)
COLOUR = {colour.name: colour for colour in COLOURS}
CLEAR = ("white", "black", "red", "orange", "yellow", "green", "light blue", "blue", "purple", "pink")
"""The ten backgrounds that nobody mistakes for each other."""
PAINTS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black")
"""The colours a thing can be painted in."""
