"""The judge learns what generator pictures show; the prompts ask only what their words say, and what training never showed."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from data.sprites import synthetic_pack
from kakusan.data.pictures import PAINTS, WORLDS, Pictures, held_out
from kakusan.evaluation.judge import OWN, Judge, load_judge, questions_of, save_judge, train_judge, truth, worn
from kakusan.evaluation.prompts import Prompt, judging_prompts

SMALL = replace(WORLDS["small"], concepts=("apple", "cat", "sun"), colours=("white", "black", "blue", "green"))


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return Pictures(synthetic_pack(("3d", "glossy")), WORLDS["small"], seed=77)


@pytest.fixture(scope="module")
def prompts(pictures: Pictures) -> list[Prompt]:
    return judging_prompts(pictures, WORLDS["small"])


def test_it_learns_to_tell_things_colours_and_backgrounds() -> None:
    stream = Pictures(synthetic_pack(("3d", "glossy")), SMALL, seed=1)
    judge = train_judge(stream, SMALL, steps=70, batch=48)
    scenes = [stream.spec(1_000_000 + i) for i in range(200)]
    right, given = truth(scenes), judge.answers(stream.render(scenes, 96).image)  # another size than it was trained at
    for question in ("object", "background"):
        share = sum(a == b for a, b in zip(right[question], given[question], strict=True)) / len(scenes)
        assert share > 0.9, f"{question} {share}, chance {1 / len(judge.questions[question]):.2f}"
    plain = [i for i, colour in enumerate(right["colour"]) if colour == OWN]
    assert sum(given["colour"][i] == OWN for i in plain) / len(plain) > 0.9


def test_a_saved_judge_answers_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    judge = Judge(questions_of(SMALL)).eval()
    save_judge(judge, tmp_path / "judge.safetensors")
    again = load_judge(tmp_path / "judge.safetensors")
    x = torch.rand(5, 3, 64, 64) * 2 - 1
    assert again.questions == judge.questions
    assert again.answers(x) == judge.answers(x)
    assert all(torch.equal(a, b) for a, b in zip(judge(x).values(), again(x).values(), strict=True))


def test_worn_pictures_are_still_those_pictures() -> None:
    x = torch.rand(64, 3, 64, 64) * 2 - 1
    y = worn(x, torch.Generator().manual_seed(0))
    assert y.abs().max() <= 1
    assert 0 < (y - x).abs().mean() < 0.5
    assert torch.equal(y, worn(x, torch.Generator().manual_seed(0)))


def test_there_are_four_hundred_prompts_always_the_same(pictures: Pictures, prompts: list[Prompt]) -> None:
    assert len(prompts) == 400
    assert Counter(prompt.language for prompt in prompts) == {"en": 240, "ja": 160}
    assert judging_prompts(pictures, WORLDS["small"]) == prompts
    asked = Counter(prompt.answers["object"] for prompt in prompts)
    assert set(asked) == set(WORLDS["small"].concepts), "every thing is asked for"
    assert max(asked.values()) < 15


def test_only_what_the_words_say_is_asked(prompts: list[Prompt]) -> None:
    for prompt in prompts:
        assert all(answer in questions_of(WORLDS["small"])[question] for question, answer in prompt.answers.items()), prompt
    unnamed = [prompt for prompt in prompts if "background" not in prompt.answers]
    assert 0 < len(unnamed) < 100
    for prompt in prompts:
        if prompt.language == "en" and prompt.answers.get("background") == "purple":
            assert "purple" in prompt.text or "violet" in prompt.text
        if prompt.language == "en" and prompt.group == "painted thing" and prompt.answers["colour"] == "yellow":
            assert "yellow" in prompt.text


def test_held_out_pairs_are_never_shown_in_training(pictures: Pictures, prompts: list[Prompt]) -> None:
    shown = set()
    for index in range(6000):
        scene = pictures.spec(index)
        concept = scene.things[0].concept
        shown |= {(concept, f"background:{scene.background.name}"), (concept, f"thing:{scene.things[0].colour}")}
    counted = 0
    for prompt in prompts:
        if prompt.group.startswith("held-out"):
            kind = "thing" if prompt.group == "held-out colour" else "background"
            pair = prompt.answers["object"], f"{kind}:{prompt.answers['colour' if kind == 'thing' else kind]}"
            assert held_out(*pair)
            assert pair not in shown
            counted += 1
        else:
            assert prompt.answers["colour"] in (OWN, *PAINTS)
            assert not held_out(prompt.answers["object"], f"background:{prompt.answers.get('background', 'white')}") or (
                "background" not in prompt.answers
            )
    assert counted == 100


def test_unseen_wordings_are_not_among_training_captions(pictures: Pictures, prompts: list[Prompt]) -> None:
    trained = {text for i in range(1500) for language in ("en", "ja") for text in pictures.captions(pictures.spec(i), language)}
    unseen = [prompt.text for prompt in prompts if prompt.group == "unseen wording"]
    assert len(unseen) == 100
    assert not trained & set(unseen)
