"""Animations hold their frames in order; WebP bit for bit, GIF in 256 colours."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kakusan.animation import animated, save_animation
from kakusan.errors import FileError


def frames(count: int = 4) -> list[Image.Image]:
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8)) for _ in range(count)]


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_every_frame_is_there_in_order(kind: str) -> None:
    given = frames()
    film = Image.open(BytesIO(animated(given, kind, seconds=0.2, rest=1.0)))
    assert film.n_frames == len(given)
    times = []
    for i, frame in enumerate(given):
        film.seek(i)
        film.load()
        times.append(film.info["duration"])
        difference = np.abs(np.asarray(film.convert("RGB")).astype(int) - np.asarray(frame)).mean()
        assert difference == 0 if kind == "webp" else difference < 12
    assert times == [200, 200, 200, 1000]
    assert film.info["loop"] == 0


def test_frames_become_as_large_as_the_last() -> None:
    film = Image.open(BytesIO(animated([frames()[0].resize((4, 3)), frames()[1]], "webp")))
    assert film.size == (16, 12)


def test_files_are_never_written_over(tmp_path: Path) -> None:
    file = tmp_path / "new" / "a.gif"
    save_animation(frames(), file)
    before = file.read_bytes()
    with pytest.raises(FileExistsError):
        save_animation(frames(2), file)
    assert file.read_bytes() == before
    with pytest.raises(FileError, match=r"\.gif or \.webp"):
        save_animation(frames(), tmp_path / "a.mp4")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be written"):
        save_animation(frames(), tmp_path / "file" / "a.gif")
    with pytest.raises(ValueError, match="no pictures"):
        animated([])
