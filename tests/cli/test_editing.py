"""kakusan draw with pictures: every option from the command line to the file, and what is refused."""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from kakusan import images
from kakusan.cli import main, options_editing
from kakusan.cli.parser import Parser
from kakusan.models.clip_text import ClipText
from kakusan.pipeline import Pipeline
from kakusan.tasks.area import Area
from kakusan.tasks.recipe import Recipe
from pages import FENCE
from tasks.both import TEXT, both

PAGES = [Path(__file__).parents[2] / "docs" / name for name in ("editing.md", "editing.ja.md")]
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def draw(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of a quick drawing; in the working folder: photo.png, mask.png, and a folder of three pictures."""
    monkeypatch.chdir(tmp_path)
    picture(1).save("photo.png")
    mask = Image.new("L", (64, 64))
    mask.paste(255, (16, 24, 48, 56))
    mask.save("mask.png")
    Path("album").mkdir()
    for seed, name in ((2, "b.jpg"), (3, "a.png"), (4, "日本.webp")):
        picture(seed).save(Path("album", name))
    Path("album", "notes.txt").write_text("no picture")
    return ["draw", "a red apple", "--model", str(folder), "--seed", "5", "--json"]


def picture(seed: int, size: tuple[int, int] = (64, 64)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def pixels(path: str | Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def drawn(words: list[str], capsys: Captured) -> tuple[dict[str, list[str]], list[Recipe]]:
    assert main(words) == 0, capsys.readouterr().err
    report = json.loads(capsys.readouterr().out)
    recipes = [Recipe.parse(text) for text in report["parameters"]]
    assert [Recipe.parse(images.parameters(Path(file))) for file in report["files"]] == recipes
    return report, recipes


def test_a_picture_drawn_anew(draw: list[str], capsys: Captured) -> None:
    report, (recipe,) = drawn([*draw, "--image", "photo.png", "--strength", "0.5", "--steps", "4"], capsys)
    assert (recipe.mode, recipe.strength, recipe.rule, recipe.seed) == ("img2img", 0.5, "diffusers", 5)
    assert images.read_picture(Path(report["files"][0])).source == images.COMPOSITE
    report, (recipe,) = drawn([*draw, "--image", "photo.png", "--strength-rule", "compvis", "--resize", "latent", "--width", "96"], capsys)
    assert (recipe.rule, recipe.strength) == ("compvis", 0.75)
    assert pixels(report["files"][0]).shape == (64, 96, 3)


def test_outside_the_mask_the_file_holds_the_pictures_own_pixels(draw: list[str], capsys: Captured) -> None:
    options = ["--image", "photo.png", "--mask", "mask.png", "--fill", "noise", "--mask-blur", "2", "--count", "2", "--watermark", "auto"]
    report, recipes = drawn([*draw, *options], capsys)
    assert {(recipe.mode, recipe.fill, recipe.area) for recipe in recipes} == {("inpaint", "noise", Area(blur=2))}
    for file in report["files"]:
        changed = (pixels(file) != pixels("photo.png")).any(-1)
        assert not changed[:16].any()
        assert changed[28:52, 20:44].any()
    (file,) = drawn([*draw, "--image", "photo.png", "--mask", "mask.png", "--format", "webp"], capsys)[0]["files"]
    outside = pixels("mask.png")[..., 0] == 0
    assert np.array_equal(pixels(file)[outside], pixels("photo.png")[outside])


def test_only_what_is_masked(draw: list[str], capsys: Captured) -> None:
    picture(7, (200, 120)).save("large.png")
    words = [*draw, "--image", "large.png", "--mask", "mask.png", "--only-masked", "--mask-padding", "4", "--mask-invert"]
    report, (recipe,) = drawn(words, capsys)
    assert recipe.area == Area(invert=True, only_masked=True, padding=4)
    assert pixels(report["files"][0]).shape == (120, 200, 3)


@pytest.mark.parametrize(("text", "sides"), [("16,8,0,24", (16, 8, 0, 24)), ("8", (8, 8, 8, 8))])
def test_grown_to_any_side(text: str, sides: tuple[int, int, int, int], draw: list[str], capsys: Captured) -> None:
    report, (recipe,) = drawn([*draw, "--image", "photo.png", "--outpaint", text], capsys)
    assert recipe.area.outpaint == sides
    left, right, up, down = sides
    grown = pixels(report["files"][0])
    assert grown.shape == (64 + up + down, 64 + left + right, 3)
    assert np.array_equal(grown[up : up + 64, left : left + 64], pixels("photo.png"))


def test_a_folder_gives_a_picture_for_each_in_order(draw: list[str], capsys: Captured) -> None:
    report, recipes = drawn([*draw, "--image", "album", "--strength", "0.4"], capsys)
    assert [Path(file).name for file in report["files"]] == ["00000-a.png", "00001-b.png", "00002-日本.png"]
    assert [recipe.seed for recipe in recipes] == [5, 6, 7]
    for file, name, seed in zip(report["files"], ("a.png", "b.jpg", "日本.webp"), ("5", "6", "7"), strict=True):
        alone = drawn([*draw, "--image", f"album/{name}", "--strength", "0.4", "--seed", seed], capsys)[0]["files"][0]
        assert np.abs(pixels(alone).astype(int) - pixels(file)).max() <= 1


def test_a_folder_of_masks(draw: list[str], capsys: Captured) -> None:
    Path("masks").mkdir()
    for i, name in enumerate(("a", "b", "日本")):
        mask = Image.new("L", (64, 64))
        mask.paste(255, (0, 16 * i, 64, 16 * i + 16))
        mask.save(f"masks/{name}.png")
    report, _ = drawn([*draw, "--image", "album", "--mask", "masks"], capsys)
    for i, (file, name) in enumerate(zip(report["files"], ("a.png", "b.jpg", "日本.webp"), strict=True)):
        changed = (pixels(file) != pixels(Path("album", name))).any((1, 2))
        assert changed.nonzero()[0].min() // 16 == changed.nonzero()[0].max() // 16 == i
    Path("masks/b.png").unlink()
    assert main([*draw, "--image", "album", "--mask", "masks"]) == 3
    assert "no mask called b" in capsys.readouterr().err


def test_results_drawn_anew(draw: list[str], capsys: Captured) -> None:
    words = [*draw, "--image", "photo.png", "--strength", "0.8", "--loopback", "2", "--loopback-factor", "0.5", "--count", "2"]
    report, recipes = drawn(words, capsys)
    assert [(recipe.seed, recipe.strength) for recipe in recipes] == [(5, 0.8), (6, 0.8), (7, 0.4), (8, 0.4), (9, 0.2), (10, 0.2)]
    again = [*draw, "--image", report["files"][1], "--strength", "0.4", "--seed", "8"]
    by_hand = drawn(again, capsys)[0]["files"][0]
    assert np.abs(pixels(by_hand).astype(int) - pixels(report["files"][3])).max() <= 1


def test_progress_counts_all_pictures(draw: list[str], capsys: Captured) -> None:
    assert main([word for word in draw if word != "--json"] + ["--image", "album", "--loopback", "1", "--count", "2"]) == 0
    err = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in err if line.startswith("picture")] == [f"picture {i} of 12" for i in range(1, 13)]


@pytest.mark.parametrize(
    ("words", "code", "en", "ja"),
    [
        (["--strength", "0.5"], 2, "--strength is for a picture", "--strength は画像用です"),
        (["--mask", "mask.png"], 2, "--mask is for a picture", "--mask は画像用です"),
        (["--mask-blur", "4"], 2, "--mask-blur is for a picture", "--mask-blur は画像用です"),
        (["--image", "photo.png", "--mask-invert"], 2, "without a mask", "マスクがありません"),
        (["--image", "photo.png", "--outpaint", "1,2"], 2, "--outpaint is '1,2'", "--outpaint が '1,2'"),
        (["--image", "photo.png", "--outpaint", "8", "--loopback", "1"], 2, "stay as large", "大きさの変わらない"),
        (["--image", "photo.png", "--loopback", "-1"], 2, "--loopback is -1", "--loopback が -1"),
        (["--image", "photo.png", "--loopback", "1", "--loopback-factor", "0"], 2, "factor 0", "倍率 0"),
        (["--image", "photo.png", "--strength", "1.5"], 2, "strength is 1.5", "strength"),
        (["--image", "photo.png", "--fill", "x", "--mask", "mask.png"], 2, "fill is 'x'", "fill が 'x'"),
        (["--image", "photo.png", "--resize", "x"], 2, "resize is 'x'", "resize が 'x'"),
        (["--image", "photo.png", "--resize", "latent", "--mask", "mask.png"], 2, "'latent' is for", "'latent' は"),
        (["--image", "photo.png", "--depth", "mask.png"], 2, "does not look at depth", "奥行きを見ません"),
        (["--image", "photo.png", "--mask", "mask.png", "--depth", "mask.png"], 2, "does not look at depth", "奥行きを見ません"),
        (["--image", "photo.png", "--save-depth"], 2, "--save-depth is for a depth model", "--save-depth は"),
        (["--image", "nowhere.png"], 3, "nowhere.png", "nowhere.png"),
        (["--image", "album/notes.txt"], 3, "not a picture", "画像ではありません"),
        (["--image", "empty"], 3, "no pictures in this folder", "画像がありません"),
        (["--image", "photo.png", "--mask", "mask.png", "--mask-text", "the apple"], 2, "both given", "片方だけ"),
    ],
)
def test_what_is_refused(words: list[str], code: int, en: str, ja: str, draw: list[str], capsys: Captured) -> None:
    Path("empty").mkdir()
    for language, wanted in (("en", en), ("ja", ja)):
        assert main([*draw, *words, "--lang", language]) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert wanted in err
        assert err.count("\n") == 1, "one line"
    assert not Path("outputs").exists(), "nothing was written"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    """Its commands and code in order, with fewer steps; the files it speaks of are there."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for language, block in FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            exec(compile(block.replace("seed=", "steps=2, seed="), page.name, "exec"), names)
        for words in map(shlex.split, block.splitlines() if language == "sh" else []):
            assert main([*words[1:], "--steps", "2"]) == 0, capsys.readouterr().err
    made = {f"0000{i}-{seed}.png" for i, seed in enumerate((3, 1, 1, 6, 4, 5, 3, 1, 1))}
    assert {path.name for path in Path("pictures").iterdir()} == made | {"00006-3-depth.png"}
    assert next(path.name for path in sorted(Path("again").iterdir())) == "00000-00000-3.png"
    assert Image.open("editing.png").height == Image.open("depth.png").height == 128


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_names_the_programs_options(page: Path) -> None:
    parser = Parser("kakusan draw")
    options_editing.add_arguments(parser)
    ours = {word for action in parser._actions for word in action.option_strings if word.startswith("--")} - {"--help", "--lang"}
    text = page.read_text(encoding="utf-8")
    assert {word for word in ours if f"`{word}" not in text} == set()


def test_the_depth_that_is_used_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kakusan.loading.load", lambda *_, **__: depth_pipe())
    picture(1).save("photo.png")
    Image.linear_gradient("L").save("depth.png")
    words = ["draw", "a", "--image", "photo.png", "--seed", "1", "--steps", "2", "--sampler", "euler", "--save-depth", "--json"]
    report, recipes = drawn([*words, "--count", "2"], capsys)
    assert recipes[0].mode == "depth2img"
    assert [Path(path).name for path in report["depths"]] == ["00000-1-depth.png", "00001-2-depth.png"]
    assert pixels(report["depths"][0])[:, 0, 0].tolist() == np.linspace(0, 255, 16).round().tolist(), "what the network gave"
    report, _ = drawn([*words, "--depth", "depth.png"], capsys)
    shown = pixels(report["depths"][0])[:, 0, 0].astype(int)
    assert shown.shape == (32,)
    assert np.abs(shown - np.linspace(0, 255, 32)).max() < 4, "what was given, in the size that is drawn"


def depth_pipe() -> Pipeline:
    """A tiny depth model whose network for depth always gives a slope."""
    model = both(beside=1).model
    model.text = ClipText(replace(TEXT, positions=77)).eval()
    model.depth = nn.Identity()
    model.depth.config = SimpleNamespace(size=16)  # type: ignore[assignment]
    pipe = Pipeline(model)
    pipe.networks["depth"] = lambda image: torch.arange(16.0)[None, :, None].expand(len(image), 16, 16)
    return pipe
