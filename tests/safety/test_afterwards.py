"""What becomes of finished pictures: flags, blackness, blur, watermarks; and the embedded stand-in, from words to a black picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import kakusan
from compat.guarded import guarded_folder
from kakusan.errors import FileError, KakusanError
from kakusan.pipeline import Pipeline
from kakusan.safety import robust_watermark, watermark
from kakusan.safety.afterwards import Afterwards, afterwards, hidden
from kakusan.safety.marks import marker

QUICK = {"width": 64, "height": 64, "steps": 2, "seed": 1}


def picture(width: int = 320, height: int = 256) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    waves = [128 + 100 * np.sin(x / (7 + 3 * c) + y / (11 + c)) for c in range(3)]
    return Image.fromarray(np.stack(waves, -1).astype(np.uint8))


def reddish(pictures: Sequence[Image.Image]) -> list[bool]:
    return [np.asarray(one)[..., 0].mean() > 100 for one in pictures]


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return kakusan.load(safety_checker="embedded")


def test_a_banana_is_black_and_an_apple_is_not(pipe: Pipeline) -> None:
    result = pipe(["a banana", "a red apple"], seed=3)
    assert result.flags == [True, False]
    assert [image.getextrema() == ((0, 0),) * 3 for image in result.images] == [True, False]
    assert [recipe.safety for recipe in result.recipes] == ["black", ""]
    assert "Safety: black" in result.recipes[0].parameters()
    assert any("flagged 1 of 2 pictures (made black)" in note for note in result.notes)
    shown = pipe("a banana", seed=3, safety="flag")
    assert shown.flags == [True]
    assert shown.images[0].getextrema() != ((0, 0),) * 3
    plain = pipe("a banana", seed=3, safety="off")
    assert (plain.flags, plain.images[0].tobytes()) == (None, shown.images[0].tobytes())
    blurred = pipe("a banana", seed=3, safety="blur").images[0]
    assert blurred.tobytes() == hidden(plain.images[0], "blur").tobytes()
    assert np.abs(np.diff(np.asarray(blurred).astype(int), axis=1)).max() <= 8


def test_estimates_on_the_way_are_hidden_too() -> None:
    guarded = kakusan.load(safety=lambda pictures: [True] * len(pictures))
    latent = torch.randn(guarded.model.autoencoder.config.latent_channels, 8, 8, generator=torch.Generator().manual_seed(0))
    for fast in (False, True):
        assert guarded.preview(latent, fast).getextrema() == ((0, 0),) * 3
        assert kakusan.load().preview(latent, fast).getextrema() != ((0, 0),) * 3


def test_a_function_is_a_checker(pipe: Pipeline) -> None:
    seen: list[Image.Image] = []

    def check(pictures: Sequence[Image.Image]) -> list[bool]:
        seen.extend(pictures)
        return [len(seen) == 2 for _ in pictures]

    result = pipe("a cat", count=3, safety=check, **QUICK)
    assert result.flags == [False, True, False]
    assert result.images[1].getextrema() == ((0, 0),) * 3
    assert len(seen) == 3
    with pytest.raises(KakusanError, match="2 flags for 1 picture"):
        pipe("a cat", safety=lambda pictures: [True, False], **QUICK)


def test_the_models_own_checker_is_used_unasked(tmp_path: Path) -> None:
    folder = guarded_folder(tmp_path / "guarded")
    own = kakusan.load(folder)
    assert own("words", **QUICK).flags in ([True], [False])
    assert kakusan.load(folder, safety="off")("words", **QUICK).flags is None
    other = kakusan.load(safety_checker=folder / "safety_checker")
    assert other("a cat", **QUICK).flags in ([True], [False])
    (folder / "safety_checker/model.safetensors").unlink()
    result = kakusan.load(folder)("words", safety="black", **QUICK)
    assert result.flags is None
    assert any("no safety checker comes with this model" in note for note in result.notes)
    assert not any("no safety checker" in note for note in kakusan.load(folder)("words", **QUICK).notes)


def test_the_checker_is_loaded_when_it_is_needed(tmp_path: Path) -> None:
    folder = guarded_folder(tmp_path / "guarded") / "safety_checker"
    (folder / "model.safetensors").write_bytes(b"damaged")
    lazy = kakusan.load(safety_checker=folder)
    assert lazy("a cat", safety="off", **QUICK).flags is None
    with pytest.raises(FileError, match=r"model\.safetensors"):
        lazy("a cat", **QUICK)


def test_wrong_words_are_refused_before_anything_is_drawn(pipe: Pipeline, tmp_path: Path) -> None:
    with pytest.raises(KakusanError, match="safety is 'red'; choose one of off, flag, blur, black"):
        pipe("a cat", safety="red")
    with pytest.raises(KakusanError, match="watermark is 'red'; choose one of auto, off, sd, robust"):
        pipe("a cat", watermark="red")
    with pytest.raises(FileError, match="a safety checker is a folder, or 'embedded'"):
        kakusan.load(safety_checker=tmp_path / "nowhere")
    with pytest.raises(KakusanError, match="safety is"):
        kakusan.load(safety="red")


@pytest.mark.parametrize(
    ("kind", "family", "size", "read"),
    [
        ("sd", "sd1", (320, 256), ("StableDiffusionV1", None)),
        ("sd", "sd2", (320, 256), ("SDV2", None)),
        ("sd", "other", (250, 256), (None, None)),
        ("robust", "sd1", (160, 128), (None, "KKSN")),
        ("robust", "sd1", (160, 127), (None, None)),
        ("auto", "sd2", (320, 256), (None, "KKSN")),
        ("auto", "sd2", (320, 255), (None, None)),
        ("off", "sd1", (320, 256), (None, None)),
    ],
)
def test_watermarks(kind: str, family: str, size: tuple[int, int], read: tuple[str | None, str | None]) -> None:
    plain = picture(*size)
    done = Afterwards(mark=marker(kind, family))(plain)
    found = (watermark.named(np.asarray(done.picture)), robust_watermark.named(np.asarray(done.picture)))
    assert tuple(one and one[0] for one in found) == read
    assert done.watermark == ("sd" if read[0] else "robust" if read[1] else "")
    assert (done.picture.tobytes() == plain.tobytes()) == (not done.watermark)


def test_black_pictures_get_no_watermark_and_flagged_ones_do() -> None:
    red = Image.new("RGB", (256, 256), (200, 0, 0))
    black = Afterwards(reddish, mark=marker("auto", "sd1"))(red)
    assert (black.picture.getextrema(), black.flagged, black.safety, black.watermark) == (((0, 0),) * 3, True, "black", "")
    flagged = Afterwards(reddish, "flag", marker("auto", "sd1"))(red)
    assert (flagged.flagged, flagged.safety, flagged.watermark) == (True, "flag", "robust")
    clean = Afterwards(reddish)(Image.new("RGB", (256, 256)))
    assert (clean.flagged, clean.safety) == (False, "")


def test_what_a_choice_means() -> None:
    assert afterwards(None, None) == Afterwards()
    assert afterwards(None, reddish).how == "black"
    assert afterwards("off", reddish).check is None
    assert afterwards("blur", reddish).how == "blur"
    assert len(afterwards("blur", None).notes) == 1
    assert Afterwards(reddish).told([False, False]) == []


def test_pictures_are_exactly_the_models_unless_asked_otherwise() -> None:
    plain = kakusan.load()
    result = plain("a cat", width=256, height=256, steps=1, seed=1)
    assert (result.flags, result.recipes[0].watermark) == (None, "")
    marked = kakusan.load(watermark="auto")("a cat", width=256, height=256, steps=1, seed=1)
    assert marked.recipes[0].watermark == "robust"
    difference = np.asarray(marked.images[0]).astype(int) - np.asarray(result.images[0])
    assert 0 < np.abs(difference).mean() < 4


def test_pictures_too_small_for_a_mark_that_was_asked_for_are_told(pipe: Pipeline) -> None:
    small = pipe("a cat", count=2, steps=1, seed=1, watermark="sd")
    assert small.notes == ["2 of 2 pictures are too small for the watermark and have none"]
    assert pipe("a cat", steps=1, seed=1, watermark="auto").notes == []
    assert pipe("a cat", width=256, height=256, steps=1, seed=1, watermark="sd").notes == []
