"""kakusan verify: what a picture's file says, what its pixels say, and whether they agree."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kakusan
from kakusan.cli import main
from kakusan.errors import KakusanError
from kakusan.evaluation.verify import Mark, again, similarity, verify
from kakusan.images import DRAWN, read_picture, save_picture
from kakusan.safety import watermark
from kakusan.tasks.recipe import Recipe

Captured = pytest.CaptureFixture[str]
QUICK = ["--steps", "2", "--seed", "7", "--quiet"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANG", "C.UTF-8")


def drawn(capsys: Captured, *words: str) -> Path:
    assert main(["a red apple", *QUICK, *words]) == 0
    return Path(capsys.readouterr().out.split()[0])


@pytest.mark.parametrize("kind", ["png", "webp", "jpeg"])
def test_a_picture_is_drawn_again_from_its_own_recipe(capsys: Captured, kind: str) -> None:
    report = verify(drawn(capsys, "--format", kind), regenerate=True)
    assert report.holds
    assert (report.source, report.installed, report.problems) == (DRAWN, True, [])
    assert report.psnr is not None
    assert (report.psnr == math.inf) == (kind != "jpeg")
    assert report.psnr > 35


def test_what_was_done_afterwards_is_done_again(capsys: Captured) -> None:
    large = ["--width", "256", "--height", "256"]
    marked = verify(drawn(capsys, *large), regenerate=True)
    assert (marked.marks, marked.psnr) == ([Mark("robust", "KKSN", 1.0)], math.inf)
    tagged = verify(drawn(capsys, *large, "--steps", "8", "--watermark", "sd"), regenerate=True)
    assert (tagged.marks[0].kind, tagged.marks[0].tag, tagged.psnr) == ("sd", "StableDiffusionV1", math.inf)
    assert main(["a banana", "--seed", "3", "--safety-checker", "embedded", "-q"]) == 0
    black = verify(capsys.readouterr().out.strip(), regenerate=True)
    assert black.recipe
    assert (black.recipe.safety, black.psnr) == ("black", math.inf)


def test_changes_show(capsys: Captured) -> None:
    path = drawn(capsys, "--width", "256", "--height", "256")
    said = read_picture(path)
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (256, 256, 3), np.uint8))
    save_picture(noise, Path("other.png"), said.parameters, said.source)
    other = verify("other.png", regenerate=True)
    assert not other.holds
    assert "it is not there: the picture was changed" in other.problems[0]
    assert "its recipe draws another picture" in other.problems[1]
    save_picture(said.picture.resize((128, 128)), Path("small.png"), said.parameters)
    small = verify("small.png", regenerate=True)
    assert (small.psnr, small.holds, small.json()["psnr"]) == (-math.inf, False, None)
    save_picture(said.picture, Path("cut.png"), said.parameters.replace("Seed: 7, ", ""))
    cut = verify("cut.png")
    assert "'Seed' is missing" in cut.problems[0]
    with pytest.raises(KakusanError, match="no complete recipe"):
        verify("cut.png", regenerate=True)


def test_pictures_without_a_watermark_have_none() -> None:
    """Of natural spectrum, smooth and noisy: none of them is taken for a marked one."""
    rng = np.random.default_rng(1)
    for i in range(24):
        coarse = Image.fromarray(rng.integers(0, 256, (4 << i % 5, 4 << i % 5, 3), np.uint8))
        save_picture(coarse.resize((256, 256), Image.Resampling.BICUBIC), Path(f"{i}.png"))
        report = verify(f"{i}.png")
        assert report.marks == []
        assert not report.holds


def test_other_peoples_pictures(capsys: Captured) -> None:
    y, x = np.mgrid[:256, :320]
    waves = np.stack([128 + 90 * np.sin(x / (9 + c) + y / 7) for c in range(3)], -1).astype(np.uint8)
    Image.fromarray(watermark.mark(waves, b"SDV2")).save("sdv2.png")
    assert main(["verify", "sdv2.png"]) == 0
    out = capsys.readouterr().out
    assert "SDV2 (sd), 100% of its bits match" in out
    assert "not said" in out
    Image.fromarray(waves).save("plain.png")
    assert main(["verify", "plain.png"]) == 4
    out = capsys.readouterr().out
    assert "none found" in out
    assert "nothing tells where this picture comes from" in out
    other = Recipe("a cat", "", 64, 64, 2, "euler", "karras", 7.0, 1, model="another", model_hash="0123456789")
    save_picture(Image.fromarray(waves), Path("another.png"), other.parameters())
    assert main(["verify", "another.png"]) == 0
    assert main(["verify", "another.png", "--regenerate"]) == 2
    assert "drawn with the model 'another'" in capsys.readouterr().err
    assert main(["verify", "another.png", "--regenerate", "--model", str(kakusan.loading.EMBEDDED), "--json"]) == 4
    report = json.loads(capsys.readouterr().out)
    assert (report["holds"], report["equal"], report["model_installed"]) == (False, False, False)


def test_files_that_are_no_pictures(capsys: Captured) -> None:
    Path("text.png").write_text("text")
    for name in ("text.png", "missing.png"):
        assert main(["verify", name]) == 3
        assert name in capsys.readouterr().err


def test_pictures_of_pictures_are_not_drawn_again() -> None:
    pipe = kakusan.load()
    with pytest.raises(KakusanError, match=r"drawn from a picture \(img2img\)"):
        again(replace(pipe.defaults, mode="img2img"), pipe)


def test_similarity_is_psnr() -> None:
    a = Image.new("RGB", (8, 8), (100, 100, 100))
    assert similarity(a, a) == math.inf
    assert similarity(a, Image.new("RGB", (8, 8), (110, 110, 110))) == pytest.approx(20 * math.log10(25.5))
    assert similarity(a, Image.new("RGB", (8, 9))) == -math.inf


def test_pictures_out_of_pictures_are_drawn_again_from_them(capsys: Captured) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (64, 96, 3), np.uint8)).save("noise.png")
    path = drawn(capsys, "--image", "noise.png", "--strength", "0.5", "--upscale", "2", "--upscale-method", "lanczos")
    with pytest.raises(KakusanError, match="give it with --image"):
        verify(path, regenerate=True)
    assert verify(path, regenerate=True, image="noise.png").psnr == math.inf
    assert main(["verify", str(path), "--regenerate", "--image", "noise.png", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["program"] == "kakusan"
