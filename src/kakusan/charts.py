"""Pictures in rows and columns with labels, and curves: drawn with PIL alone.

Labels that no font at hand has letters for are numbered, and `Sheet.legend` says what the numbers stand for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

INK, PAPER, PALE, GREY = (32, 32, 32), (255, 255, 255), (220, 220, 220), (140, 140, 140)
LINE = (31, 111, 178)
MARGIN = 8
FONTS = ("NotoSansCJK-Regular.ttc", "YuGothM.ttc", "msgothic.ttc", "Hiragino Sans GB.ttc", "ipaexg.ttf", "TakaoGothic.ttf")
"""Fonts with Japanese letters that systems come with; where there is none of them, PIL's own is used."""
ASCII_FONT = "Aileron"  # PIL's own
NOTHING: Mapping[str, str] = {}
LONGEST = 60  # letters of a label that are drawn


@dataclass(frozen=True)
class Sheet:
    """A drawn picture. legend: what a number on it stands for, where the font has no letters for it."""

    picture: Image
    legend: Mapping[str, str] = field(default_factory=dict)


def labelled(
    rows: Sequence[Sequence[Image]],
    columns: Sequence[str],
    names: Sequence[str],
    title: str = "",
    legend: Mapping[str, str] = NOTHING,
) -> Sheet:
    """Pictures (all of `rows` equally long) with a label above each column and one left of each row.

    legend: numbers given already, on other sheets.

    Raises ValueError if there is no picture, or the labels are not as many as the columns and rows.
    """
    from PIL import Image, ImageDraw

    if not rows or not rows[0] or {len(row) for row in rows} != {len(columns)} or len(rows) != len(names):
        raise ValueError(f"{[len(row) for row in rows]} pictures for {len(columns)} columns and {len(names)} rows")
    cell = max(p.width for row in rows for p in row), max(p.height for row in rows for p in row)
    size = min(max(min(cell) // 10, 11), 40)
    legend = dict(legend)
    heads, sides, (above,) = (_drawable(texts, legend) for texts in (columns, names, (title,)))
    font = _font(size)
    wrapped = [_wrapped(text, font, cell[0]) for text in heads]
    line = math.ceil(1.3 * size)
    left = math.ceil(max((font.getlength(text) for text in sides), default=0)) + (2 * MARGIN if any(sides) else 0)
    top = (line + MARGIN if above else 0) + max(map(len, wrapped)) * line + MARGIN * any(heads)
    width = max(left + cell[0] * len(columns), math.ceil(font.getlength(above)) + 2 * MARGIN)
    sheet = Image.new("RGB", (width, top + cell[1] * len(rows)), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN // 2), above, INK, font)
    for x, lines in enumerate(wrapped):
        pen.multiline_text(
            (left + cell[0] * (x + 0.5), top - MARGIN // 2 - line * len(lines)), "\n".join(lines), INK, font, "ma", align="center"
        )
    for y, (text, row) in enumerate(zip(sides, rows, strict=True)):
        pen.text((MARGIN, top + cell[1] * (y + 0.5)), text, INK, font, "lm")
        for x, picture in enumerate(row):
            sheet.paste(picture, (left + x * cell[0], top + y * cell[1]))
    return Sheet(sheet, legend)


def stacked(sheets: Sequence[Sheet]) -> Sheet:
    """Several sheets, one under the other."""
    from PIL import Image

    width, height = max(s.picture.width for s in sheets), sum(s.picture.height for s in sheets) + MARGIN * (len(sheets) - 1)
    whole, y, legend = Image.new("RGB", (width, height), PAPER), 0, dict[str, str]()
    for sheet in sheets:
        whole.paste(sheet.picture, (0, y))
        y += sheet.picture.height + MARGIN
        legend |= sheet.legend
    return Sheet(whole, legend)


def curve(points: Sequence[tuple[float, float]], across: str, up: str, size: tuple[int, int] = (640, 400)) -> Image:
    """A curve through the mean of the points (x, y) at each x, every point as a dot, axes with round numbers.

    Raises ValueError if there is no finite point.
    """
    from PIL import Image, ImageDraw

    points = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if not points:
        raise ValueError("a curve without points")
    plot = Image.new("RGB", (2 * size[0], 2 * size[1]), PAPER)  # drawn twice as large, which makes the lines smooth
    frame = _Frame(points, (130, 80, 2 * size[0] - 40, 2 * size[1] - 110))
    pen, font = ImageDraw.Draw(plot), _font(26)
    _axes(pen, frame, (across, up), font)
    means = {x: [y for at, y in points if at == x] for x in sorted({x for x, _ in points})}
    line = [frame.at(x, sum(ys) / len(ys)) for x, ys in means.items()]
    for x, y in points:
        _dot(pen, frame.at(x, y), 5, GREY)
    pen.line(line, LINE, 5, joint="curve")
    for place in line:
        _dot(pen, place, 9, LINE)
    return plot.resize(size, Image.Resampling.LANCZOS)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, at most so many, or the two ends' middle if there is no round one."""
    rough = max((high - low) / most, 1e-12)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * f for f in (1, 2, 2.5, 5, 10) if power * f >= rough * 0.999999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)] or [(low + high) / 2]


class _Frame:
    """Where points lie in a plot. box: left, top, right, bottom in pixels."""

    def __init__(self, points: Sequence[tuple[float, float]], box: tuple[int, int, int, int]):
        self.box = box
        self.x, self.y = (_range([point[i] for point in points]) for i in (0, 1))

    def at(self, x: float, y: float) -> tuple[float, float]:
        left, top, right, bottom = self.box
        across, up = ((value - low) / (high - low) for value, (low, high) in ((x, self.x), (y, self.y)))
        return left + across * (right - left), bottom - up * (bottom - top)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or max(abs(low), 1) * 0.1
    return low - room, high + room


def _axes(pen: ImageDraw, frame: _Frame, names: tuple[str, str], font: Any) -> None:
    left, top, right, bottom = frame.box
    for x in ticks(*frame.x):
        at = frame.at(x, frame.y[0])
        pen.line([at, (at[0], top)], PALE, 2)
        pen.text((at[0], bottom + 10), f"{x:g}", INK, font, "ma")
    for y in ticks(*frame.y):
        at = frame.at(frame.x[0], y)
        pen.line([at, (right, at[1])], PALE, 2)
        pen.text((left - 12, at[1]), f"{y:g}", INK, font, "rm")
    pen.line([(left, top), (left, bottom), (right, bottom)], INK, 3)
    pen.text(((left + right) / 2, bottom + 56), names[0], INK, font, "ma")
    pen.text((left, top - 20), names[1], INK, font, "ls")


def _dot(pen: ImageDraw, at: tuple[float, float], radius: int, colour: tuple[int, int, int]) -> None:
    pen.ellipse((at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius), colour)


def _font(size: float) -> Any:
    from PIL import ImageFont

    for name in FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _drawable(texts: Sequence[str], legend: dict[str, str]) -> list[str]:
    """The texts, those that the font has no letters for numbered in the legend."""
    return [_numbered(text, legend) for text in texts]


def _numbered(text: str, legend: dict[str, str]) -> str:
    text = " ".join(text.split())
    if text.isascii() or _font(LONGEST).getname()[0] != ASCII_FONT:
        return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
    known = next((number for number, meant in legend.items() if meant == text), None)
    number = known or f"#{len(legend) + 1}"
    legend[number] = text
    return number


def _wrapped(text: str, font: Any, width: int) -> list[str]:
    """The words of a text in lines that fit, as far as words can."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
