"""Pictures between prompts, and one run forked under several."""

from dataclasses import replace

import pytest

from formats.tiny import tiny_model
from kakusan.errors import KakusanError
from kakusan.pipeline import Pipeline
from kakusan.tasks.beginning import Asked
from kakusan.variations import between, fork, morph
from peers import same


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return Pipeline(tiny_model())


def test_a_morph_goes_from_one_prompt_to_the_other_in_even_steps(pipe: Pipeline) -> None:
    result = morph(pipe, "apple", "pear", 5, seed=3)
    assert [recipe.blend for recipe in result.recipes] == [0, 0.25, 0.5, 0.75, 1]
    assert {recipe.seed for recipe in result.recipes} == {3}
    for image, prompt in ((result.images[0], "apple"), (result.images[-1], "pear")):
        assert same(image, pipe(prompt, seed=3).images[0])[0] <= 1
    for count, second in ((1, "pear"), (4, "")):
        with pytest.raises(KakusanError):
            between(pipe, "apple", second, count)


def test_forks_share_their_first_evaluations_and_are_what_each_would_be_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, calls = Pipeline(tiny_model()), []
    unet = pipe.networks["unet"]
    monkeypatch.setitem(pipe.networks, "unet", lambda x, sigma, cond: calls.append(len(x)) or unet(x, sigma, cond))
    (recipe,) = pipe.recipes("apple", 1, 3, {"steps": 6, "sampler": "euler"})
    steps = []
    result = fork(pipe, recipe, 4, ["pear", "star", "moon"], on_step=steps.append)
    assert calls == [2, 2, 2, 2, 8, 8], "four evaluations for all, then two with 6 rows, padded to 8"
    assert steps[-1].done == steps[-1].total
    for image, forked, prompt in zip(result.images, result.recipes, ["pear", "star", "moon"], strict=True):
        assert forked == replace(recipe, second=prompt, switch=4)
        alone = [step.image for step in pipe.steps([forked]) if step.image is not None]
        assert same(image, alone[0])[0] <= 1


def test_a_run_that_begins_with_a_picture_forks_too(pipe: Pipeline) -> None:
    begin, _ = pipe.given(Asked(pipe("apple", seed=1).images[0]))
    (recipe,) = pipe.recipes("apple", 1, 3, {"steps": 6, "strength": 0.7}, begin)
    result = fork(pipe, recipe, 2, ["pear"], begin)
    alone = [step.image for step in pipe.steps(result.recipes, begin) if step.image is not None]
    assert same(result.images[0], alone[0])[0] <= 1


@pytest.mark.parametrize(("at", "prompts"), [(0, ["pear"]), (2, []), (2, [""])])
def test_a_fork_to_nothing_is_refused(pipe: Pipeline, at: int, prompts: list[str]) -> None:
    (recipe,) = pipe.recipes("apple", 1, 3)
    with pytest.raises(KakusanError, match="forked after"):
        fork(pipe, recipe, at, prompts)
