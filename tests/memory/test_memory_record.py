"""Our own record: whatever a recipe holds comes back, what is newer is told, what is wrong is refused."""

import json
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kakusan.errors import KakusanError
from kakusan.memory.reading import of_texts
from kakusan.memory.record import Input, Inputs, Made, Record, made, plain, read_record, rebuilt
from kakusan.tasks.area import Area
from kakusan.tasks.large import Large
from kakusan.tasks.recipe import Recipe

RECIPE = Recipe('a \n"Negative prompt: \\ 赤\0', "b", 64, 96, 4, "euler", "karras", 3.1, 2**62, strength=0.1 + 0.2)
FULL = Record(RECIPE, Made("0.1.0", "2.13", "cpu", "float32", "AVX2"), {"unet/a": "0" * 64}, Inputs(Input("f" * 64, 4, 5), resize="fill"))


@pytest.mark.parametrize(
    "recipe",
    [
        RECIPE,
        replace(RECIPE, area=Area(3, True, True, 5, (1, 2, 3, 4)), mode="inpaint", fill="noise"),
        replace(RECIPE, large=Large(512, "xy", "latent", 2, "lanczos"), second="c", blend=0.3),
    ],
)
def test_every_field_comes_back(recipe: Recipe) -> None:
    record, notes = read_record(replace(FULL, recipe=recipe).text())
    assert record == replace(FULL, recipe=recipe)
    assert notes == []


def test_every_group_of_a_recipe_is_recorded_whole() -> None:
    """Also the fields of groups that are added later: nothing here names them."""
    told = json.loads(FULL.text())["recipe"]
    assert set(told) == {f.name for f in fields(Recipe)}
    for f in fields(Recipe):
        value = getattr(RECIPE, f.name)
        if is_dataclass(value):
            assert set(told[f.name]) == {inner.name for inner in fields(value)}


@given(st.text(), st.text(), st.floats(allow_nan=False), st.integers(0, 2**63 - 1))
@settings(max_examples=50, deadline=None)
def test_any_words_and_numbers(prompt: str, negative: str, scale: float, seed: int) -> None:
    recipe = replace(RECIPE, prompt=prompt, negative=negative, scale=scale, seed=seed)
    assert read_record(Record(recipe).text())[0].recipe == recipe


@dataclass(frozen=True)
class Leaf:
    name: str
    weight: float = 1.0


@dataclass(frozen=True)
class Tree:
    leaves: tuple[Leaf, ...] = ()
    pair: tuple[int, str] = (1, "a")
    kind: Literal["x", "y"] = "x"
    maybe: int | None = None
    either: float | int | str = 0
    table: dict[str, int] = field(default_factory=dict)
    yes: bool = False


def test_types_that_groups_may_have() -> None:
    tree = Tree((Leaf("a"), Leaf("b", 0.5)), (2, "z"), "y", 3, "text", {"k": 1}, True)
    assert rebuilt(Tree, json.loads(json.dumps(plain(tree))), "", []) == tree
    assert rebuilt(Tree, {}, "", []) == Tree()
    assert rebuilt(Tree, {"either": 7}, "", []).either == 7


def test_newer_fields_are_told_and_left_out() -> None:
    told = json.loads(FULL.text())
    told["recipe"]["dream"] = 1
    told["recipe"]["area"]["depth"] = 2
    told["kakusan"], told["weather"] = 99, "rain"
    record, notes = read_record(json.dumps(told))
    assert record == FULL
    assert all(any(part in note for note in notes) for part in ("newer kakusan", "recipe.dream", "recipe.area.depth", "weather"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("recipe", "steps"), "many"),
        (("recipe", "steps"), True),
        (("recipe", "fill"), "marble"),
        (("recipe", "area"), 7),
        (("recipe", "area", "outpaint"), [1, 2, 3]),
        (("recipe", "large", "tileable"), "z"),
        (("recipe",), None),
        (("inputs", "image"), {"sha256": "0"}),
    ],
)
def test_what_is_wrong_is_refused_and_the_parameters_are_read_instead(path: tuple[str, ...], value: Any) -> None:
    told = json.loads(FULL.text())
    holder = told
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = value
    with pytest.raises(KakusanError):
        read_record(json.dumps(told))
    memory = of_texts({"kakusan": json.dumps(told), "parameters": replace(RECIPE, strength=1.0).parameters()})
    assert memory.recipe == replace(RECIPE, strength=1.0)
    assert (memory.program, memory.record) == ("kakusan", None)
    assert memory.notes


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kakusan": "1"}', "{" * 9999, "[" * 99999, '{"kakusan":1}', "null"])
def test_what_is_no_record(text: str) -> None:
    with pytest.raises(KakusanError):
        read_record(text)


def test_a_missing_field_without_a_default_is_named() -> None:
    told = json.loads(FULL.text())
    del told["recipe"]["seed"]
    with pytest.raises(KakusanError, match=r"recipe\.seed is missing"):
        read_record(json.dumps(told))


def test_what_draws_here() -> None:
    here = made("cpu", "torch.float32")
    assert (here.device, here.dtype) == ("cpu", "float32")
    assert here.torch[0].isdigit()
    assert "threads" in here.cpu
