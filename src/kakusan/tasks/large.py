"""Pictures larger than the model was trained on, and without an edge: what a recipe says of them, and what that makes of a task."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from ..errors import KakusanError
from ..types import Task
from ..windows import endless, windowed

Hires = Literal["", "latent", "pixels"]
HIRES: tuple[Hires, ...] = ("latent", "pixels")
"""What is made larger after a picture has been drawn in the model's own size: its latent, or its pixels."""
AXES = ("x", "y", "xy")
OWN = -1
"""As a window's size: the model's own."""
HIRES_STRENGTH = 0.6


@dataclass(frozen=True)
class Large:
    """window: height and width in pixels of what the U-Net sees at a time, 0 for all. tileable: the directions in which copies fit
    side by side, "x", "y" or "xy". hires: drawn in the model's own size first, then made larger and drawn anew in part.
    upscale: how many times as large the picture was made when it was finished, and by which of `upscaling.METHODS`.

    Raises KakusanError on what is none of these.
    """

    window: int = 0
    tileable: str = ""
    hires: Hires = ""
    upscale: int = 0
    upscaler: str = ""

    def __post_init__(self) -> None:
        for name, value, known in (("tileable", self.tileable, AXES), ("hires", self.hires, HIRES)):
            if value and value not in known:
                words = ", ".join(known)
                raise KakusanError(
                    f"{name} is {value!r}; it must be one of {words}", f"{name} が {value!r} です。{words} のどれかにしてください"
                )

    def settings(self) -> dict[str, str]:
        """As lines of a recipe."""
        said = {"Tiling": {"xy": "True"}.get(self.tileable, self.tileable)} if self.tileable else {}
        if self.window:
            said["Window"] = str(self.window)
        if self.upscale:
            said |= {"Postprocess upscale by": str(self.upscale), "Postprocess upscaler": self.upscaler}
        return said | ({"Two passes": self.hires} if self.hires else {})

    @classmethod
    def of_settings(cls, settings: Mapping[str, str]) -> "Large":
        """What `settings` said."""
        tiling, window, hires, by = (settings.get(key, "") for key in ("Tiling", "Window", "Two passes", "Postprocess upscale by"))
        axes = {"True": "xy", "False": ""}.get(tiling, tiling)
        passes: Hires = next((known for known in HIRES if known == hires), "")
        number, times = (int(text) if text.isdecimal() else 0 for text in (window, by))
        return cls(number, axes if axes in AXES else "", passes, times, settings.get("Postprocess upscaler", "") if times else "")


PLAIN = Large()


def asked(window: int | bool | None = None, tileable: bool | str | None = None, hires: bool | str | None = None) -> Large:
    """What is asked for. True is the model's own size for windows, both directions, and the latent.

    Raises KakusanError on what cannot be.
    """
    size = OWN if window is True else window or 0
    axes = "xy" if tileable is True else tileable or ""
    how = "latent" if hires is True else hires or ""
    return Large(size, "".join(sorted(axes)), how)  # type: ignore[arg-type]


def sized(large: Large, width: int, height: int, own: int, upscaling: bool) -> Large:
    """`large` with its window's size, and without what a picture that is no larger than the model's own does not need.

    Upscaling is in windows wherever the picture is larger: what is to be seen in it is known already.
    Raises KakusanError on a window that is smaller than half the model's own size.
    """
    window = own if large.window == OWN or (upscaling and not large.window) else large.window
    if window and (window < own / 2 or window % 16):
        raise KakusanError(
            f"window is {window}; it must be a multiple of 16, and at least {math.ceil(own / 32) * 16}",
            f"window が {window} です。16 の倍数で {math.ceil(own / 32) * 16} 以上にしてください",
        )
    hires = large.hires if width * height > own * own else ""
    return replace(large, window=0 if max(width, height) <= window else window, hires=hires)


def enlarged(task: Task, large: Large, factor: int, upscaling: bool) -> Task:
    """The task as `large` would have it. factor: pixels a latent pixel is wide. Windows overlap by a half, in upscaling by a quarter."""
    if large.tileable:
        task = endless(task, large.tileable)
    if large.window:
        size = large.window // factor
        task = windowed(task, size, size // 4 if upscaling else size // 2)
    return task


def first_size(width: int, height: int, own: int, multiple: int) -> tuple[int, int]:
    """Width and height of the first of two passes: of the same proportions, with as many pixels as the model was trained on."""
    shrink = own / math.sqrt(width * height)
    first, second = (max(multiple, round(side * shrink / multiple) * multiple) for side in (width, height))
    return first, second
