"""What a notebook is given: whole pictures, captions, every text escaped."""

import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from formats.tiny import tiny_model
from kakusan.display import page
from kakusan.likeness import judge
from kakusan.pipeline import Pipeline


def test_pictures_come_whole_and_large_enough_to_see() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8))
    html = page([picture], ["seed 7"])
    (data,) = re.findall(r"data:image/png;base64,([^\"]+)", html)
    assert np.array_equal(np.asarray(Image.open(BytesIO(b64decode(data)))), np.asarray(picture))
    assert 'width="192" height="256"' in html
    assert "pixelated" in html
    assert 'width="512" height="512"' in page([Image.new("RGB", (512, 512))], [""])


def test_no_text_gets_out_of_its_place() -> None:
    evil = "\"><script>alert(1)</script>'&"
    tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)
            assert not any(name.startswith("on") for name, _ in attrs)

    Reader().feed(page([Image.new("RGB", (4, 4))], [evil], [evil], [evil]))
    assert set(tags) == {"div", "figure", "img", "figcaption", "ul", "li"}


def test_a_result_shows_seeds_notes_and_recipes() -> None:
    result = Pipeline(tiny_model())(["apple", "<b>pear"], seed=5, steps=1)
    html = result._repr_html_()
    assert html.count("<img") == 2
    assert "seed 5" in html
    assert "seed 6" in html
    assert "&lt;b&gt;pear" in html
    assert "<b>" not in html
    assert result.notes
    assert all(f"<li>{note}</li>" in html for note in result.notes)


def test_a_result_is_scored_by_its_prompts() -> None:
    result = Pipeline(tiny_model())(["apple", "star"], seed=5, steps=1)
    compared = judge()
    want = [compared.similarity(prompt, image) for prompt, image in zip(["apple", "star"], result.images, strict=True)]
    assert result.scores() == pytest.approx(want, abs=1e-6)
