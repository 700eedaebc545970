"""Labelled sheets hold their pictures bit for bit, in their places; curves go through the means; unknown letters are in the legend."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from kakusan import charts
from kakusan.charts import LINE, curve, labelled, stacked, ticks


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (40, 30)) -> Image.Image:
    return Image.new("RGB", size, colour)


def places(sheet: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what has that colour."""
    ys, xs = np.nonzero((np.asarray(sheet) == colour).all(axis=2))
    return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


def test_every_picture_is_whole_and_in_its_row_and_column() -> None:
    rows = [[plain((200, 40 * x, 100 * y)) for x in range(3)] for y in range(2)]
    sheet = labelled(rows, ["a", "b", "c"], ["one", "two"], "title").picture
    found = [[places(sheet, (200, 40 * x, 100 * y)) for x in range(3)] for y in range(2)]
    for y in range(2):
        for x in range(3):
            left, top, right, bottom = found[y][x]
            assert (right - left, bottom - top) == (40, 30)
            assert left == found[0][0][0] + 40 * x
            assert top == found[0][0][1] + 30 * y
    ink = np.asarray(sheet.convert("L")) < 100
    left, top = found[0][0][:2]
    assert ink[:top, left:].any(), "labels above"
    assert ink[top:, :left].any(), "labels beside"


def test_letters_that_no_font_has_are_numbered_once_over_all_sheets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "FONTS", ())
    first = labelled([[plain((9, 9, 9))]], ["りんご"], ["apple"])
    second = labelled([[plain((9, 9, 9))]], ["星"], ["りんご"], legend=first.legend)
    assert dict(first.legend) == {"#1": "りんご"}
    assert dict(stacked([first, second]).legend) == {"#1": "りんご", "#2": "星"}


def test_a_font_with_japanese_letters_draws_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "_font", lambda size: Named(ImageFont.load_default(size)))
    assert dict(labelled([[plain((9, 9, 9))]], ["りんご"], [""]).legend) == {}


class Named:
    """PIL's font under another name."""

    def __init__(self, font: ImageFont.FreeTypeFont):
        self.font = font

    def getname(self) -> tuple[str, str]:
        return "Noto Sans CJK JP", "Regular"

    def __getattr__(self, name: str) -> object:
        return getattr(self.font, name)


@pytest.mark.parametrize(("columns", "rows"), [(["a"], ["one"]), (["a", "b"], [])])
def test_labels_must_be_as_many_as_columns_and_rows(columns: list[str], rows: list[str]) -> None:
    with pytest.raises(ValueError, match="pictures for"):
        labelled([[plain((0, 0, 0))] * 2], columns, rows)


def test_a_curve_goes_through_the_means() -> None:
    plot = np.asarray(curve([(1, 0.2), (1, 0.4), (2, 0.5), (4, 0.1)], "x", "y")).astype(int)
    blue = np.abs(plot - LINE).sum(axis=2) < 60
    xs = np.nonzero(blue.any(axis=0))[0]
    heights = [float(np.nonzero(blue[:, x])[0].mean()) for x in (xs[4], xs[len(xs) // 3], xs[-5])]
    assert heights[1] < heights[0] < heights[2], "0.3, then 0.5, then 0.1, larger is higher"


def test_a_curve_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="without points"):
        curve([(1, float("nan"))], "x", "y")


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.671, 0.812), (1, 7.5), (-3, 3), (5, 5), (0, 1e-7), (0, 123456)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 1 <= len(found) <= 8
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)
    steps = np.diff(found)
    assert np.allclose(steps, steps[:1] if len(steps) else steps)
