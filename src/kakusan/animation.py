"""A picture as it emerges: several pictures one after another in one GIF or WebP file."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .errors import FileError
from .images import save_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

Moving = Literal["gif", "webp"]
MOVING: tuple[Moving, ...] = ("gif", "webp")
"""GIF shows everywhere, in 256 colours a frame; WebP keeps every pixel as it is."""


def animated(frames: Sequence[Image], kind: Moving = "gif", seconds: float = 0.1, rest: float = 1.5) -> bytes:
    """The frames, each shown so long, the last one for `rest`; then again from the first. Frames of another size are made like the last.

    Raises ValueError if there is no frame.
    """
    if not frames:
        raise ValueError("an animation of no pictures")
    last = frames[-1].convert("RGB")
    whole = [*(frame.convert("RGB").resize(last.size) for frame in frames[:-1]), last]
    times = [round(1000 * seconds)] * (len(whole) - 1) + [round(1000 * rest)]
    out = BytesIO()
    options = {"lossless": True, "method": 4} if kind == "webp" else {"disposal": 1}
    whole[0].save(out, kind.upper(), save_all=True, append_images=whole[1:], duration=times, loop=0, **options)
    return out.getvalue()


def save_animation(frames: Sequence[Image], path: Path, seconds: float = 0.1) -> None:
    """Write the frames into a file that ends in .gif or .webp, never over another one.

    Raises FileExistsError if the path is taken, FileError if it cannot be written or ends in something else.
    """
    kind = next((kind for kind in MOVING if path.suffix.lower() == f".{kind}"), None)
    if kind is None:
        raise FileError(f"{path}: animations are saved as .gif or .webp", f"{path}: アニメーションは .gif か .webp で保存します")
    save_bytes(animated(frames, kind, seconds), path)
