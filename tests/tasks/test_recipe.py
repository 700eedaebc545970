"""kakusan.tasks.recipe: A1111's text, there and back."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kakusan.errors import KakusanError
from kakusan.samplers.names import NAMES
from kakusan.schedules import DESCRIPTIONS, SCHEDULES
from kakusan.tasks.learnt import Learnt
from kakusan.tasks.recipe import Recipe
from kakusan.tasks.wording import Wording

APPLE = Recipe("a red apple", "blur", 64, 48, 20, "dpmpp_2m", "karras", 7.0, 7, "tiny", "0123456789", "kakusan 0.1.0")

# Texts as the web UI of AUTOMATIC1111 reads them, written after its description: settings are found by this expression,
# quoted values are JSON, and prompts are lines with the white space round them cut off.
THEIRS = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


def read_as_web_ui(text: str) -> dict[str, str]:
    *lines, last = text.strip().split("\n")
    prompt, negative, negative_began = "", "", False
    for line in map(str.strip, lines):
        if line.startswith("Negative prompt:"):
            negative_began, line = True, line[len("Negative prompt:") :].strip()
        if negative_began:
            negative += ("\n" if negative else "") + line
        else:
            prompt += ("\n" if prompt else "") + line
    found = {key: json.loads(value) if value.startswith('"') else value for key, value in THEIRS.findall(last)}
    return {"Prompt": prompt, "Negative prompt": negative} | found


def test_text() -> None:
    assert APPLE.parameters() == (
        "a red apple\nNegative prompt: blur\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 7, "
        "Size: 64x48, Model hash: 0123456789, Model: tiny, Version: kakusan 0.1.0"
    )


def test_nothing_is_written_of_what_is_empty() -> None:
    bare = replace(APPLE, prompt="", negative="", model="", model_hash="", scale=1.25)
    assert bare.parameters() == (
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 1.25, Seed: 7, Size: 64x48, Version: kakusan 0.1.0"
    )
    assert Recipe.parse(bare.parameters()) == bare


def test_pictures_that_begin_with_one_say_how() -> None:
    painted = replace(APPLE, mode="inpaint", strength=0.75, fill="noise")
    assert painted.parameters().endswith("Version: kakusan 0.1.0, Mode: inpaint, Denoising strength: 0.75, Masked content: noise")
    larger = replace(APPLE, mode="upscale", noise_level=50)
    assert larger.parameters().endswith("Version: kakusan 0.1.0, Mode: upscale, Noise level: 50")
    for recipe in (painted, larger, replace(APPLE, mode="img2img", strength=0.3)):
        assert Recipe.parse(recipe.parameters()) == recipe


@pytest.mark.parametrize("model", ["a, b", "C: drive", "two\nlines", '"quoted"', 'back\\slash, "both"', " edges ", "赤, 青"])
def test_the_web_ui_reads_our_quoting(model: str) -> None:
    theirs = read_as_web_ui(replace(APPLE, model=model).parameters())
    assert theirs["Model"] == model
    assert theirs["Version"] == "kakusan 0.1.0"


def test_the_web_ui_reads_everything() -> None:
    theirs = read_as_web_ui(replace(APPLE, prompt="赤いりんご, (bold:1.2)\nsecond line", negative="a: b,\nc").parameters())
    assert theirs["Prompt"] == "赤いりんご, (bold:1.2)\nsecond line"
    assert theirs["Negative prompt"] == "a: b,\nc"
    assert theirs["Size"] == "64x48"
    assert theirs["CFG scale"] == "7"


TEXT = st.text(st.characters(blacklist_categories=("Cs",)), max_size=40)


@settings(max_examples=300, deadline=None)
@given(
    TEXT,
    TEXT,
    TEXT,
    st.floats(-1000, 1000),
    st.integers(0, 2**63 - 1),
    st.sampled_from([row.name for row in NAMES]),
    st.sampled_from(list(SCHEDULES)),
)
@example("Negative prompt: a", "", "", 7.0, 0, "euler", "karras")
@example("a\nNegative prompt: b", "c\nNegative prompt: d", 'Model: "x"', 7.0, 0, "euler", "karras")
@example("Steps: 3, Sampler: x, Size: 1x1", " spaces ", "\\", 1e-7, 0, "euler", "karras")
@example("\n\n", "\n", "\r\n", -0.0, 0, "euler", "karras")
def test_there_and_back(prompt: str, negative: str, model: str, scale: float, seed: int, sampler: str, schedule: str) -> None:
    recipe = replace(APPLE, prompt=prompt, negative=negative, model=model, scale=scale, seed=seed, sampler=sampler, schedule=schedule)
    assert Recipe.parse(recipe.parameters()) == recipe
    assert Recipe.parse(recipe.parameters() + "\n") == recipe


def test_another_programs_settings_are_left_out() -> None:
    text = (
        'a cat\nSteps: 5, Sampler: My Own, CFG scale: 3.5, Seed: 9, Size: 8x16, Lora hashes: "a: 1, b: 2", Clip skip: 2, Version: v1.10.1'
    )
    known = Recipe("a cat", "", 8, 16, 5, "My Own", "", 3.5, 9, version="v1.10.1", wording=Wording(clip_skip=2))
    assert Recipe.parse(text) == replace(known, learnt=Learnt(hashes=(("a", "1"), ("b", "2"))))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "'Size' is missing"),
        ("a cat", "'Size' is missing"),
        ("a\nSteps: x, Size: 1x1", "'Steps' is 'x'"),
        ("a\nSize: big", "'Size' is 'big'"),
    ],
)
def test_what_is_no_recipe(text: str, named: str) -> None:
    with pytest.raises(KakusanError, match=named):
        Recipe.parse(text)


def test_defaults_are_the_models() -> None:
    assert Recipe.defaults({}, 512) == Recipe("", "", 512, 512, 20, "dpmpp_2m", "karras", 7.0, 0)
    own = Recipe.defaults({"steps": 8, "scale": 3.0, "height": 64, "model": "m", "words": ["a"]}, 96)
    assert (own.steps, own.scale, own.width, own.height, own.model) == (8, 3.0, 96, 64, "m")


def test_labels_are_one_to_one() -> None:
    assert set(DESCRIPTIONS) == set(SCHEDULES)
    for labels in ([row.label for row in NAMES], [row.label for row in DESCRIPTIONS.values()]):
        assert len(set(labels)) == len(labels)
