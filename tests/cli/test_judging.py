"""similarity, grid, sweep, morph, fork, and the options of a drawing that animate, vary and score it, over a tiny model."""

import csv
import json
import os
import shlex
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kakusan
from kakusan import images
from kakusan.cli import main
from kakusan.result import Step
from kakusan.tasks.recipe import Recipe
from pages import blocks

Captured = pytest.CaptureFixture[str]
DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("judging.md", "judging.ja.md", "variations.md", "variations.ja.md")


@pytest.fixture
def draw(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of a quick drawing into ./outputs."""
    monkeypatch.chdir(tmp_path)
    return ["--model", str(folder), "--seed", "5"]


def names(folder: Path = Path("outputs")) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_similarity_of_texts_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (50, 40), (250, 20, 20)).save("red.png")
    assert main(["similarity", "a red apple", "red.png"]) == 0
    assert float(capsys.readouterr().out) == pytest.approx(kakusan.similarity("a red apple", Path("red.png")), abs=1e-4)
    assert main(["similarity", "りんご", "x" * 5000, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["similarity"] == pytest.approx(kakusan.similarity("りんご", "x" * 5000), abs=1e-5)
    assert said["model"] == "embedded"


def test_similarity_refuses_pictures_and_models_that_are_not_there(tmp_path: Path, folder: Path, capsys: Captured) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    for words, code in (
        (["a", str(tmp_path / "gone.png")], 2),
        (["a", str(tmp_path / "bad.png")], 3),
        (["a", "b", "--model", str(folder)], 3),  # it has no image encoder
        (["a", "b", "--model", str(tmp_path / "gone")], 3),
        (["a", "b", "--device", "nowhere"], 2),
    ):
        assert main(["similarity", *words]) == code, words
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("kakusan: ")
        assert len(err.splitlines()) == 1


def test_a_grid_is_a_sheet_and_two_tables(draw: list[str], capsys: Captured) -> None:
    assert main(["grid", "a red apple", "--x", "steps=1,2", "--y", "prompt=red,green", *draw]) == 0
    out, err = capsys.readouterr()
    assert out.split() == ["outputs/00000-grid.png", "outputs/00000-grid.csv", "outputs/00000-grid.json"]
    assert names() == ["00000-grid.csv", "00000-grid.json", "00000-grid.png"]
    rows = list(csv.DictReader(StringIO(Path("outputs/00000-grid.csv").read_text(encoding="utf-8"))))
    assert [(row["steps"], row["prompt"], row["seed"]) for row in rows] == [(s, w, "5") for w in ("red", "green") for s in "12"]
    assert Recipe.parse(rows[3]["parameters"]).prompt == "a green apple"
    assert len(json.loads(Path("outputs/00000-grid.json").read_text(encoding="utf-8"))["pictures"]) == 4
    assert Image.open("outputs/00000-grid.png").size > (128, 128)
    assert "this model does not know: green" in err


def test_a_grid_that_cannot_be_writes_nothing(draw: list[str], capsys: Captured) -> None:
    for axis, word in (("colour=red", "colour"), ("steps=0,1", "steps"), ("prompt=pear,plum", "pear"), ("sampler=none", "none")):
        assert main(["grid", "a red apple", "--x", axis, *draw]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert word in err
        assert not Path("outputs").exists()


def test_a_sweep_is_a_grid_a_curve_and_a_table(draw: list[str], capsys: Captured) -> None:
    assert main(["sweep", "a red apple", "--scales", "1,4", "--seeds", "2", *draw]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["scale", "similarity"]
    assert names() == ["00000-sweep-curve.png", "00000-sweep.csv", "00000-sweep.png"]
    rows = list(csv.DictReader(StringIO(Path("outputs/00000-sweep.csv").read_text(encoding="utf-8"))))
    assert [(row["scale"], row["seed"]) for row in rows] == [("1.0", "5"), ("4.0", "5"), ("1.0", "6"), ("4.0", "6")]
    means = [np.mean([float(row["similarity"]) for row in rows if row["scale"] == scale]) for scale in ("1.0", "4.0")]
    assert [float(line.split()[1]) for line in out.splitlines()[1:3]] == pytest.approx(means, abs=1e-4)
    for words in (["--scales", "one"], ["--scale", "3"], ["--seeds", "0"]):
        assert main(["sweep", "a red apple", *words, *draw]) == 2


def test_a_morph_is_numbered_pictures_and_a_film(draw: list[str], capsys: Captured) -> None:
    assert main(["morph", "a red apple", "赤い", "--count", "3", "--animate", "gif", *draw]) == 0
    out = capsys.readouterr().out.split()
    assert [Path(name).name for name in out] == ["00000-5.png", "00001-5.png", "00002-5.png", "00000-5-morph.gif", "00003-grid.png"]
    assert Image.open(out[3]).n_frames == 4, "there and back"
    recipes = [Recipe.parse(images.parameters(Path(name))) for name in out[:3]]
    assert [(recipe.second, recipe.blend) for recipe in recipes] == [("赤い", 0.0), ("赤い", 0.5), ("赤い", 1.0)]
    assert main(["morph", "a red apple", "", *draw]) == 2


def test_a_drawing_is_animated_and_scored(draw: list[str], capsys: Captured) -> None:
    assert main(["a red apple", "--animate", "gif", "--steps", "4", "--count", "2", "--score", "--json", *draw]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [Path(name).name for name in said["animations"]] == ["00000-5.gif", "00001-6.gif"]
    for name, score, picture in zip(said["animations"], said["scores"], said["files"], strict=True):
        film = Image.open(name)
        assert film.n_frames == 5, "four estimates and the picture"
        assert score == pytest.approx(kakusan.similarity("a red apple", Path(picture)), abs=1e-5)


def test_a_drawing_is_varied(draw: list[str], capsys: Captured) -> None:
    options = ["--variation-strength", "0.3", "--variation-seed", "9", "--seed-size", "64x32", "--count", "2"]
    assert main(["a red apple", *options, *draw, "--quiet"]) == 0
    recipes = [Recipe.parse(images.parameters(Path(name))) for name in capsys.readouterr().out.split()[:2]]
    assert [(r.seed, r.variation_seed, r.variation_strength) for r in recipes] == [(5, 9, 0.3), (5, 10, 0.3)]
    assert (recipes[0].seed_width, recipes[0].seed_height) == (64, 32)
    for words in (["--variation-strength", "2"], ["--seed-size", "64"], ["--seed-size", "63x64"]):
        assert main(["a red apple", *words, *draw]) == 2


@pytest.mark.parametrize(
    "words", [["grid", "a red apple", "--x", "steps=1,8"], ["sweep", "a red apple", "--scales", "1,7", "--seeds", "2"]]
)
def test_a_sheet_that_is_interrupted_keeps_its_finished_pictures(
    words: list[str], draw: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = 0

    def interrupting(count: int, quiet: bool) -> AbstractContextManager[Callable[[Step], None]]:
        def show(step: Step) -> None:
            nonlocal finished
            finished += step.image is not None
            if step.image is not None:
                os.kill(os.getpid(), signal.SIGINT)

        return nullcontext(show)

    module = {"grid": "xyz", "sweep": "sweep"}[words[0]]
    monkeypatch.setattr(f"kakusan.cli.{module}.progress", interrupting)
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.default_int_handler)  # a test run may ignore it
    assert main([*words, *draw]) == 130
    out = capsys.readouterr().out.split()
    assert len(out) == finished == len(names()) == 1
    assert Recipe.parse(images.parameters(Path(out[0]))).prompt == "a red apple"


def test_a_fork_is_a_picture_for_each_prompt(draw: list[str], capsys: Captured) -> None:
    assert main(["fork", "a red apple", "赤い", "--at", "1", *draw]) == 0
    out = capsys.readouterr().out.split()
    assert [Path(name).name for name in out] == ["00000-5.png", "00001-5.png", "00002-grid.png"]
    recipes = [Recipe.parse(images.parameters(Path(name))) for name in out[:2]]
    assert [(recipe.prompt, recipe.second, recipe.switch) for recipe in recipes] == [
        ("a red apple", "a red apple", 1),
        ("a red apple", "赤い", 1),
    ]
    assert main(["fork", "a red apple", "赤い", "--at", "2", *draw]) == 2
    assert "this run makes 2 evaluations, so at most 1" in capsys.readouterr().err


def test_fast_steps_are_as_large_as_full_ones(draw: list[str], capsys: Captured) -> None:
    assert main(["a red apple", "--show-steps", "1", "--preview", "fast", *draw, "--quiet"]) == 0
    sizes = {Image.open(name).size for name in capsys.readouterr().out.split() if "-step0" in name}
    assert sizes == {(64, 64)}


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_run(page: str, folder: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kakusan.loading.EMBEDDED", folder)
    for name, *words in (shlex.split(line) for block in blocks(DOCS / page, "sh") for line in block.splitlines()):
        assert name == "kakusan"
        assert main(words) == 0, words
        assert capsys.readouterr().out
    names: dict[str, object] = {}
    for block in blocks(DOCS / page, "python"):
        exec(compile(block, page, "exec"), names)
    assert Path("grid.png").exists() == Path("cat.gif").exists() == page.startswith("judging")
