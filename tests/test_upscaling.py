"""Pictures made larger: the methods, what is chosen unasked, an upscaling model in windows, chained after a drawing."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from formats.tiny import tiny_model
from kakusan.cli import main
from kakusan.errors import KakusanError
from kakusan.images import parameters, to_tensor
from kakusan.loading import relative
from kakusan.pipeline import Pipeline
from kakusan.tasks.large import Large
from kakusan.tasks.recipe import Recipe
from kakusan.upscaling import chosen, resampled
from tasks.both import both

PICTURE = Image.linear_gradient("L").resize((24, 16)).convert("RGB")


@pytest.fixture(scope="module")
def upscaler() -> Pipeline:
    """Of random weights; 8 latent pixels by its own, 32 of the picture."""
    model = both(beside=3, labels=350).model
    model.text = tiny_model().text
    return Pipeline(model)


def test_an_upscaling_model_draws_in_windows_of_its_own_size_unasked(upscaler: Pipeline) -> None:
    assert upscaler.model.variant == "upscaling"
    result = upscaler.upscaled(PICTURE, "a gradient", seed=1, noise_level=10)
    (recipe,) = result.recipes
    assert result.images[0].size == (96, 64)
    assert recipe.large == Large(window=32)
    assert (recipe.mode, recipe.noise_level) == ("upscale", 10)
    assert upscaler.upscaled(PICTURE, "a gradient", seed=1, noise_level=10, by=2).images[0].size == (48, 32)
    small = upscaler.upscaled(PICTURE.resize((8, 8)), seed=1)
    assert small.recipes[0].large == Large(), "what a window would hold is drawn as ever"


def test_no_step_shows_across_the_borders_of_windows(upscaler: Pipeline) -> None:
    result = to_tensor(upscaler.upscaled(PICTURE.resize((40, 8)), seed=1).images[0])
    steps = (result[..., 1:] - result[..., :-1]).abs().mean((0, 1))
    borders = [4 * edge - 1 for start in (6, 13, 19, 26, 32) for edge in (start, start + 8) if 0 < edge < 40]
    assert steps[borders].mean() < 1.2 * steps.mean()


def test_another_pipeline_can_be_the_upscaler(upscaler: Pipeline) -> None:
    pipe = Pipeline(tiny_model())
    made = pipe.upscaled(PICTURE, seed=1, upscaler=upscaler).images[0]
    assert torch.equal(to_tensor(made), to_tensor(upscaler.upscaled(PICTURE, seed=1).images[0]))


def test_the_latent_is_redrawn_by_an_ordinary_model() -> None:
    result = Pipeline(tiny_model()).upscaled(PICTURE, "an apple", by=2, method="latent", seed=1)
    assert result.images[0].size == (48, 32)
    assert (result.recipes[0].mode, result.recipes[0].strength, result.recipes[0].large) == ("img2img", 0.4, Large(window=16))


def test_without_a_model_it_is_resampled_and_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("kakusan.loading.EMBEDDED", tmp_path / "embedded")
    assert relative("upscaling") == tmp_path / "embedded-upscaling"
    pipe = Pipeline(tiny_model())
    result = pipe.upscaled(PICTURE)
    assert torch.equal(to_tensor(result.images[0]), to_tensor(PICTURE.resize((96, 64), Image.Resampling.LANCZOS)))
    assert result.recipes == []
    assert len(result.notes) == 1
    assert pipe.upscaled(PICTURE, method="lanczos").notes == []


def test_choosing() -> None:
    assert chosen(None, 4, True) == "model"
    assert chosen(None, 2, False) == "lanczos"
    assert chosen("latent", 2, False) == "latent"
    for method, by, there, words in (
        (None, 3, True, "by 3"),
        ("model", 4, False, "no upscaling model"),
        ("best", 4, True, "method is 'best'"),
    ):
        with pytest.raises(KakusanError, match=words):
            chosen(method, by, there)
    assert resampled(PICTURE, 1) is PICTURE


def test_the_command_makes_a_picture_larger_and_keeps_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path)
    assert main(["draw", "a red apple", "--steps", "2", "--seed", "3", "--outdir", out, "-q"]) == 0
    drawn = Path(capsys.readouterr().out.strip())
    assert main(["upscale", str(drawn), "--by", "2", "--method", "lanczos", "--outdir", out]) == 0
    said = capsys.readouterr()
    larger = Path(said.out.strip())
    assert Image.open(larger).size == (128, 128)
    assert parameters(larger) == parameters(drawn)
    assert "128 x 128" in said.err
    assert main(["upscale", str(tmp_path / "none.png")]) == 3
    assert main(["upscale", str(drawn), "--by", "3"]) == 2


def test_drawing_large_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = ["--width", "128", "--steps", "2", "--seed", "3", "--outdir", str(tmp_path), "-q"]
    assert main(["draw", "a red apple", *size, "--windows", "--tileable", "x", "--upscale", "2", "--upscale-method", "lanczos"]) == 0
    file = Path(capsys.readouterr().out.strip())
    assert Image.open(file).size == (256, 128)
    assert Recipe.parse(parameters(file)).large == Large(64, "x", "", 2, "lanczos")
    assert main(["draw", "a red apple", *size, "--hires", "pixels", "--hires-strength", "0.5"]) == 0
    recipe = Recipe.parse(parameters(Path(capsys.readouterr().out.strip())))
    assert (recipe.large, recipe.strength) == (Large(hires="pixels"), 0.5)
