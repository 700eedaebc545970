"""Grids: each picture is the one its settings draw alone, all are drawn in one run, and what is said of them is right."""

import csv
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from formats.tiny import tiny_model
from kakusan.errors import KakusanError
from kakusan.formats.folder import write_folder
from kakusan.grids import Axis, sweep, table, xyz
from kakusan.likeness import judge
from kakusan.pipeline import Pipeline
from kakusan.tasks.beginning import Asked
from peers import same


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return Pipeline(tiny_model())


def test_each_picture_is_the_one_its_settings_draw_alone(pipe: Pipeline) -> None:
    grid = xyz(pipe, "an apple", "steps=1,2,3", "sampler=euler,ddim", "prompt=apple,pear", {"seed": 5, "scale": 2.0})
    assert len(grid.results.images) == 12
    for x, steps in enumerate((1, 2, 3)):
        for y, sampler in enumerate(("euler", "ddim")):
            for z, word in enumerate(("apple", "pear")):
                alone = pipe(f"an {word}", steps=steps, sampler=sampler, seed=5, scale=2.0).images[0]
                assert same(grid.at(x, y, z), alone)[0] <= 1, (steps, sampler, word)


def test_all_pictures_share_network_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, calls = Pipeline(tiny_model()), []
    pipe.reproducible = False  # as on a GPU
    unet = pipe.networks["unet"]
    monkeypatch.setitem(pipe.networks, "unet", lambda x, sigma, cond: calls.append(len(x)) or unet(x, sigma, cond))
    xyz(pipe, "apple", "sampler=euler,ddim", "scale=2,3", options={"seed": 5, "steps": 3})
    assert calls == [8, 8, 8], "four pictures, two rows each, in one call a step"


def test_words_are_replaced_all_at_once(pipe: Pipeline) -> None:
    grid = xyz(pipe, "apple and pear", "prompt=apple,pear", "prompt=pear,apple", options={"steps": 1, "negative": "apple pie"})
    said = [(recipe.prompt, recipe.negative) for recipe in grid.results.recipes]
    pies = ("apple pie", "pear pie")
    assert said == [("apple and pear", pies[0]), ("pear and pear", pies[1]), ("apple and apple", pies[0]), ("pear and apple", pies[1])]


def test_one_seed_for_all_unless_it_is_an_axis(pipe: Pipeline) -> None:
    grid = xyz(pipe, "apple", "steps=1,2")
    assert len({recipe.seed for recipe in grid.results.recipes}) == 1
    assert [recipe.seed for recipe in xyz(pipe, "apple", "seed=4,9", options={"steps": 1}).results.recipes] == [4, 9]


def test_strength_of_a_picture_to_begin_with(pipe: Pipeline) -> None:
    picture = Image.effect_mandelbrot((16, 16), (-2, -1, 1, 1), 60).convert("RGB")
    grid = xyz(pipe, "apple", "strength=0.1,0.5,1", options={"seed": 1, "steps": 8}, begin=Asked(picture))
    for x, strength in enumerate((0.1, 0.5, 1)):
        alone = pipe("apple", image=picture, strength=strength, seed=1, steps=8).images[0]
        assert same(grid.at(x), alone)[0] <= 1


def test_models_are_drawn_with_one_after_the_other(tmp_path: Path, pipe: Pipeline) -> None:
    other = tiny_model()
    with torch.no_grad():
        for p in other.unet.parameters():
            p.mul_(1.3)
    for name, model in (("first", pipe.model), ("other", other)):
        write_folder(model, tmp_path / name, dtype=torch.float32)
    axis = Axis("model", (str(tmp_path / "other"), str(tmp_path / "first")))
    steps = []
    grid = xyz(pipe, "apple", "steps=1,2", axis, options={"seed": 5}, on_step=steps.append)
    assert axis.labels == ["other", "first"]
    assert [recipe.model for recipe in grid.results.recipes] == ["other", "other", "first", "first"]
    assert same(grid.at(1, 1), pipe("apple", steps=2, seed=5).images[0])[0] <= 1
    assert same(grid.at(1, 0), Pipeline(other)("apple", steps=2, seed=5).images[0])[0] <= 1
    assert steps[-1].done == steps[-1].total


def test_the_sheet_holds_every_picture(pipe: Pipeline) -> None:
    grid = xyz(pipe, "apple", "steps=1,2", "seed=3,4,5", "scale=2,3")
    sheet = np.asarray(grid.picture)
    for image in grid.results.images:
        tile = np.asarray(image)
        h, w = tile.shape[:2]
        views = np.lib.stride_tricks.sliding_window_view(sheet, (h, w), axis=(0, 1))  # y x 3 h w
        assert (views == tile.transpose(2, 0, 1)).all(axis=(2, 3, 4)).any()


def test_the_table_says_how_each_picture_was_made(pipe: Pipeline) -> None:
    grid = xyz(pipe, 'a "red", apple', "steps=1,2", options={"seed": 3})
    rows = list(csv.DictReader(StringIO(table(grid.rows()))))
    assert [(row["steps"], row["seed"]) for row in rows] == [("1", "3"), ("2", "3")]
    assert [row["parameters"] for row in rows] == [recipe.parameters() for recipe in grid.results.recipes]


def test_an_axis_is_read_from_text() -> None:
    assert Axis.parse("steps=10, 20").values == (10, 20)
    assert Axis.parse('prompt="a, b",c').values == ("a, b", "c")
    assert Axis.parse("scale=1,7.5").labels == ["scale 1", "scale 7.5"]


@pytest.mark.parametrize(
    ("x", "y", "wanted"),
    [
        ("colour=red", None, "no axis"),
        ("steps", None, "no values"),
        ("steps=1,", None, "give numbers"),
        ("steps=ten", None, "give numbers"),
        ("steps=1,2", "steps=3", "two axes"),
        ("prompt=star,moon", None, "not in the prompt"),
        ("sampler=nothing", None, "nothing"),
    ],
)
def test_what_cannot_be_is_one_line(pipe: Pipeline, x: str, y: str | None, wanted: str) -> None:
    with pytest.raises(KakusanError) as caught:
        xyz(pipe, "apple", x, y)
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_sweep_scores_the_same_seeds_at_every_scale(pipe: Pipeline) -> None:
    found = sweep(pipe, "apple", (1.0, 3.0), seeds=3, options={"seed": 7, "steps": 1})
    assert [(recipe.scale, recipe.seed) for recipe in found.grid.results.recipes] == [(s, 7 + i) for i in range(3) for s in (1.0, 3.0)]
    compared = judge()
    want = [compared.similarity("apple", image) for image in found.grid.results.images]
    assert found.scores == pytest.approx(want, abs=1e-6)
    assert found.points[1] == (3.0, found.scores[1])
    assert found.rows()[1]["similarity"] == pytest.approx(want[1], abs=1e-6)
    assert found.curve().size == (640, 400)
    with pytest.raises(KakusanError, match="0 seeds"):
        sweep(pipe, "apple", seeds=0)


def test_how_prompts_are_read_can_be_compared(pipe: Pipeline) -> None:
    grid = xyz(
        pipe, "(apple:1.3) [pear|plum]", "clip_skip=1,2", "emphasis=original,comfyui", "dialect=a1111,plain", {"seed": 5, "steps": 2}
    )
    read = [(w.clip_skip, w.emphasis, w.dialect) for w in (recipe.wording for recipe in grid.results.recipes)]
    assert read[:3] == [(1, "original", "a1111"), (2, "original", "a1111"), (1, "comfyui", "a1111")]
    assert read[-1] == (2, "comfyui", "plain")
    alone = pipe("(apple:1.3) [pear|plum]", seed=5, steps=2, clip_skip=2, emphasis="comfyui", dialect="a1111").images[0]
    assert same(grid.at(1, 1, 0), alone)[0] <= 1
