"""Pictures as a notebook shows them: large enough to see, with the seeds that make them again below."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN = 256  # pixels that a picture is at least high on the page


def page(pictures: Sequence[Image], captions: Sequence[str], titles: Sequence[str] = (), notes: Sequence[str] = ()) -> str:
    """HTML with the pictures in rows. titles: shown while the mouse rests on a picture. Every text is escaped."""
    hints = [*titles, *[""] * (len(pictures) - len(titles))]
    figures = "".join(_figure(*each) for each in zip(pictures, captions, hints, strict=True))
    told = "".join(f"<li>{escape(note)}</li>" for note in notes)
    below = f'<ul style="margin:4px 0">{told}</ul>' if told else ""
    return f'<div><div style="display:flex;flex-wrap:wrap;gap:8px">{figures}</div>{below}</div>'


def _figure(picture: Image, caption: str, title: str) -> str:
    times = max(1, -(-SHOWN // picture.height))
    width, height = picture.width * times, picture.height * times
    style = "image-rendering:pixelated;" if times > 1 else ""
    image = f'<img src="data:image/png;base64,{_encoded(picture)}" width="{width}" height="{height}" '
    image += f'style="{style}max-width:100%;object-fit:contain" alt="{escape(caption)}" title="{escape(title)}">'
    return f'<figure style="margin:0">{image}<figcaption style="font-size:small">{escape(caption)}</figcaption></figure>'


def _encoded(picture: Image) -> str:
    out = BytesIO()
    picture.save(out, "PNG")
    return b64encode(out.getvalue()).decode("ascii")
