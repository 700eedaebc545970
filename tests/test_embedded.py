"""The model that ships: its files, its agreement with diffusers, and that it draws what it is asked."""

import json
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest

import kakusan
from kakusan.formats.folder import read_folder
from kakusan.loading import EMBEDDED
from kakusan.pipeline import Pipeline
from peers import draw, levels, peer, same

ROOT = Path(__file__).parents[1]
CORNERS = np.s_[[0, 0, -1, -1], [0, -1, 0, -1]]
BACKGROUNDS = {
    "white": (255, 255, 255),
    "black": (13, 13, 15),
    "red": (219, 51, 51),
    "yellow": (250, 222, 76),
    "green": (76, 184, 92),
    "blue": (56, 107, 224),
    "purple": (140, 82, 194),
    "pink": (250, 173, 204),
}


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return kakusan.load(device="cpu")


def test_files_are_small_enough_to_ship() -> None:
    sizes = {path: path.stat().st_size for path in EMBEDDED.rglob("*") if path.is_file()}
    assert max(sizes.values()) <= 16_000_000
    assert sum(sizes.values()) <= 28_000_000


def test_the_card_says_what_it_knows_and_how_well() -> None:
    card = (EMBEDDED / "README.md").read_text(encoding="utf-8")
    for part in ("What it knows", "What it does not know", "How it was made", "Microsoft Fluent Emoji", "Apache-2.0"):
        assert part in card
    assert "| chance |" in card
    assert "not measured yet" not in card


@pytest.mark.parametrize(
    ("prompt", "sampler", "schedule", "theirs", "options"),
    [
        ("a red apple on a blue background", "ddim", "leading", "", {}),
        ("青い背景の猫", "dpmpp_2m", "karras", "DPMSolverMultistepScheduler", {"use_karras_sigmas": True, "timestep_spacing": "linspace"}),
    ],
)
def test_diffusers_opens_the_folder_and_draws_the_same_picture(
    pipe: Pipeline, prompt: str, sampler: str, schedule: str, theirs: str, options: dict[str, object]
) -> None:
    ours = pipe(prompt, seed=7, steps=20, sampler=sampler, schedule=schedule, scale=3.0).images[0]
    largest, share = same(ours, draw(peer(EMBEDDED, theirs, **options), prompt, 7, 20, 3.0))
    assert largest <= 2, f"a pixel differs by {largest}"
    assert share < 0.02, f"{share:.3f} of the pixels differ"


def test_the_background_is_the_one_asked_for(pipe: Pipeline) -> None:
    """Fourteen of sixteen at the least: the card says how often it is."""
    wanted = [name for name in BACKGROUNDS for _ in range(2)]
    prompts = [text.format(name) for name in BACKGROUNDS for text in ("a star on a {} background", "a lion on a {} background")]
    found = []
    for image in pipe(prompts, seed=3).images:
        corners = np.median(levels(image)[CORNERS].astype(float), axis=0)
        found.append(min(BACKGROUNDS, key=lambda name: float(np.linalg.norm(corners - BACKGROUNDS[name]))))
    assert sum(a == b for a, b in zip(found, wanted, strict=True)) >= 14, list(zip(wanted, found, strict=True))


def test_the_same_words_in_japanese_give_the_same_background_and_another_thing_another_picture(pipe: Pipeline) -> None:
    english, japanese, other = pipe(
        ["a cat on a blue background", "青い背景の猫", "a rocket on a blue background"], steps=12, seed=5
    ).images
    assert np.abs(levels(english)[CORNERS] - levels(japanese)[CORNERS]).max() < 40
    assert np.abs(levels(english) - levels(other)).mean() > 8


def test_words_it_does_not_know_are_named_and_still_drawn(pipe: Pipeline) -> None:
    result = pipe("a samurai on a blue background", seed=1, steps=4)
    assert result.notes == ["this model does not know: samurai"]
    assert result.images[0].size == (64, 64)
    assert pipe.words_unknown("赤いりんごと侍") == ["侍"]
    assert pipe.words_unknown("two apples, 水色の背景のペンギン") == ["two"]


def test_the_words_are_those_of_the_captions() -> None:
    words = json.loads(Path(EMBEDDED / "kakusan.json").read_text(encoding="utf-8"))["words"]
    assert {"apple", "background", "blue", "猫", "背景"} <= set(words)


RELATIVES = sorted(path.parent for path in EMBEDDED.parent.glob("embedded-*/model_index.json"))


def test_with_its_relatives_it_is_small_enough_to_ship() -> None:
    sizes = [path.stat().st_size for folder in (EMBEDDED, *RELATIVES) for path in folder.rglob("*") if path.is_file()]
    assert max(sizes) <= 16_000_000
    assert sum(sizes) <= 40_000_000


@pytest.mark.parametrize("folder", RELATIVES, ids=lambda folder: folder.name)
def test_a_relative_opens_and_says_how_well_it_does(folder: Path) -> None:
    model = read_folder(folder)
    assert folder.name == f"embedded-{model.variant}"
    assert "not measured yet" not in model.card
    assert model.settings["concepts"] == read_folder(EMBEDDED, parts=[]).settings["concepts"]


def test_it_draws_the_same_for_the_same_words_in_both_languages() -> None:
    """Fifty pairs: of all English pictures, the one of its own pair is the most like a Japanese one."""
    bilingual = run_path(str(ROOT / "benchmarks/bilingual.py"))
    english, japanese = bilingual["pictures"](8)
    found, alike, unlike = bilingual["compared"](english, japanese)
    assert len(english) == len(japanese) == 50
    assert found >= 0.9
    assert alike > 0.9 > 0.3 > unlike
