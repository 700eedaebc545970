"""Variations: seeds mixed as AUTOMATIC1111 mixes them, prompts mixed by their states, a run forked under another prompt."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from formats.tiny import tiny_model
from kakusan.errors import KakusanError
from kakusan.images import to_pil
from kakusan.noise import SeededNoise
from kakusan.pipeline import Pipeline
from kakusan.run import run
from kakusan.tasks.conditions import of_tokens
from kakusan.tasks.recipe import Recipe
from kakusan.tasks.seeds import Varied, VariedNoise, slerp
from kakusan.tasks.txt2img import Txt2Img, txt2img
from kakusan.tasks.variations import noise_of
from kakusan.types import Cond
from peers import levels, same

SHAPE = (1, 4, 6, 8)


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return Pipeline(tiny_model())


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def columns_on_the_arc(low: Tensor, high: Tensor, amount: float) -> Tensor:
    """Column by column, in double precision, by the textbook's formula."""
    out = torch.empty(low.shape, dtype=torch.float64)
    for c in range(low.shape[1]):
        for w in range(low.shape[3]):
            a, b = low[0, c, :, w].double().numpy(), high[0, c, :, w].double().numpy()
            angle = np.arccos(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
            mix = (np.sin((1 - amount) * angle) * a + np.sin(amount * angle) * b) / np.sin(angle)
            out[0, c, :, w] = torch.from_numpy(mix)
    return out


@pytest.mark.parametrize("amount", [0.0, 0.1, 0.5, 1.0])
def test_noise_lies_on_the_arc_between_the_seeds(amount: float) -> None:
    low, high = normal(1, *SHAPE), normal(2, *SHAPE)
    torch.testing.assert_close(slerp(amount, low, high).double(), columns_on_the_arc(low, high, amount), rtol=1e-5, atol=1e-5)


def test_noise_is_as_strong_between_the_seeds_as_at_them() -> None:
    low, high = normal(1, 1, 4, 64, 64), normal(2, 1, 4, 64, 64)
    assert slerp(0.5, low, high).std().item() == pytest.approx(1, abs=0.02)
    assert torch.lerp(low, high, 0.5).std().item() < 0.75, "which is why it is no straight line"


def test_the_same_noise_twice_is_that_noise() -> None:
    low = normal(1, *SHAPE)
    torch.testing.assert_close(slerp(0.3, low, low), low)


def test_a_variation_starts_between_and_goes_on_with_the_first_seeds_numbers() -> None:
    noise, first = noise_of(Varied(1, 2, 0.25)), SeededNoise(1)
    assert torch.equal(noise.randn(SHAPE), slerp(0.25, first.randn(SHAPE), normal(2, *SHAPE)))
    later = noise.fork()
    like = torch.zeros(SHAPE)
    want = first(like, 1.0, 0.5)
    assert torch.equal(noise(like, 1.0, 0.5), want)
    assert torch.equal(later(like, 1.0, 0.5), want), "a fork has its own place in the stream"


@pytest.mark.parametrize("size", [(6, 4), (4, 8), (10, 12), (10, 4)])
def test_a_resized_seed_keeps_its_middle(size: tuple[int, int]) -> None:
    own, whole = normal(1, 1, 4, *size), normal(1, *SHAPE)
    got = VariedNoise(Varied(1, size=size)).randn(SHAPE)
    for y in range(SHAPE[2]):
        for x in range(SHAPE[3]):
            sy, sx = y - (SHAPE[2] - size[0]) // 2, x - (SHAPE[3] - size[1]) // 2
            inside = 0 <= sy < size[0] and 0 <= sx < size[1]
            want = own[0, :, sy, sx] if inside else whole[0, :, y, x]
            assert torch.equal(got[0, :, y, x], want), (y, x)


def test_strength_leads_from_one_seeds_picture_to_the_others(pipe: Pipeline) -> None:
    def drawn(strength: float) -> np.ndarray:
        return levels(pipe("apple", seed=3, variation_seed=8, variation_strength=strength).images[0])

    one, other = levels(pipe("apple", seed=3).images[0]), levels(pipe("apple", seed=8).images[0])
    assert np.array_equal(drawn(0.0), one)
    assert np.abs(drawn(1.0).astype(int) - other).max() <= 1
    near, far = (np.abs(drawn(strength).astype(int) - one).mean() for strength in (0.1, 0.5))
    assert 0 < near < far


def test_several_variations_are_of_one_seed(pipe: Pipeline) -> None:
    result = pipe("apple", seed=3, count=3, variation_seed=8, variation_strength=0.2)
    assert [(recipe.seed, recipe.variation_seed) for recipe in result.recipes] == [(3, 8), (3, 9), (3, 10)]
    alone = pipe("apple", seed=3, variation_seed=10, variation_strength=0.2).images[0]
    assert same(alone, result.images[2])[0] <= 1


def test_the_text_of_a_picture_says_it_in_the_web_uis_words(pipe: Pipeline) -> None:
    given = {"variation_seed": 8, "variation_strength": 0.25, "seed_width": 8, "seed_height": 24}
    (recipe,) = pipe.recipes("apple", 1, 3, given)
    text = recipe.parameters()
    assert ", Variation seed: 8, Variation seed strength: 0.25, Seed resize from: 8x24, " in text
    assert Recipe.parse(text) == recipe
    for words in ({"blend": 0.5}, {"switch": 2}):
        told = replace(recipe, second='a "pear", green', **words)
        assert Recipe.parse(told.parameters()) == told


def test_what_cannot_be_varied_is_one_line(pipe: Pipeline) -> None:
    for given in ({"variation_strength": 1.5}, {"blend": -0.1}, {"seed_width": 8}, {"seed_width": 7, "seed_height": 8}, {"switch": -1}):
        with pytest.raises(KakusanError) as caught:
            pipe.recipes("apple", 1, 3, given)
        assert "\n" not in str(caught.value)


def test_a_blend_is_the_straight_line_between_the_prompts_states(pipe: Pipeline) -> None:
    (recipe,) = pipe.recipes("apple", 1, 3, {"second": "pear", "blend": 0.25})
    got = run(pipe.task(recipe), pipe.networks)
    model, ids = pipe.model, [pipe.model.tokenizer.padded(text) for text in ("apple", "pear", "")]
    with torch.inference_mode():
        apple, pear, nothing = model.text(torch.tensor(ids))
    states = {"text": lambda rows: torch.stack([apple + 0.25 * (pear - apple), nothing])}
    request = Txt2Img(of_tokens((0,), (1,)), (4, 8, 8), recipe.sampler, pipe.sigmas(recipe), recipe.scale, 3)
    torch.testing.assert_close(got, run(txt2img(request), {**pipe.networks, **states}))


@pytest.mark.parametrize(("blend", "prompt"), [(0.0, "apple"), (1.0, "pear")])
def test_the_ends_of_a_blend_are_the_prompts(pipe: Pipeline, blend: float, prompt: str) -> None:
    (recipe,) = pipe.recipes("apple", 1, 3, {"second": "pear", "blend": blend})
    alone = pipe(prompt, seed=3).images[0]
    assert same(to_pil(run(pipe.task(recipe), pipe.networks)), alone)[0] <= 1


def test_a_prompt_that_follows_leaves_the_first_steps_alone(pipe: Pipeline) -> None:
    steps = 5

    def seen(**given: object) -> list[Tensor]:
        recipes = pipe.recipes("apple", 1, 3, {"steps": steps, "sampler": "euler", **given})
        return [step.latent for step in pipe.steps(recipes) if step.latent is not None]

    first, forked = seen(), seen(second="pear", switch=2)
    assert len(first) == len(forked) == steps
    assert all(torch.equal(a, b) for a, b in zip(first[:2], forked[:2], strict=True))
    assert not torch.allclose(first[2], forked[2])
    late = seen(second="pear", switch=steps)
    assert all(torch.equal(a, b) for a, b in zip(first, late, strict=True))


def test_the_negative_prompt_stays_though_it_be_the_same(pipe: Pipeline) -> None:
    given = {"steps": 3, "sampler": "euler", "negative": "apple", "second": "pear", "switch": 1}
    (recipe,) = pipe.recipes("apple", 1, 3, given)
    unlike: list[bool] = []

    def unet(x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        unlike.append(not torch.equal(cond.context[0], cond.context[1]))
        return pipe.networks["unet"](x, sigma, cond)

    run(pipe.task(recipe), {**pipe.networks, "unet": unet})
    assert unlike == [False, True, True]
