"""Two passes, windows and endless pictures as recipes ask for them."""

import pytest
import torch

from formats.tiny import tiny_model
from kakusan.errors import KakusanError
from kakusan.images import to_tensor
from kakusan.pipeline import Pipeline, Step
from kakusan.run import run
from kakusan.schedules import strength
from kakusan.tasks.conditions import of_tokens
from kakusan.tasks.hires import TwoPasses, hires, lanczos
from kakusan.tasks.img2img import Img2Img, img2img
from kakusan.tasks.large import PLAIN, Large, asked, first_size, sized
from kakusan.tasks.recipe import Recipe
from kakusan.tasks.txt2img import Txt2Img, txt2img
from tasks.both import IDS, NEGATIVE, SCALE, both

PIPE = Pipeline(tiny_model())  # 16 pixels by its own
SMALL = {"prompt": "an apple", "seed": 3, "steps": 3, "scale": 2.0}


def test_the_second_pass_is_image_to_image_of_the_first() -> None:
    """With noise of its own: here the one that image to image would draw is put in its place."""
    model = both(beside=0)
    levels = model.how().sigmas
    first = Txt2Img(of_tokens(IDS, NEGATIVE), (4, 8, 8), "ddim", levels, SCALE, 3)
    tail = strength(levels, 0.5)
    small = run(txt2img(first), model.networks)
    found = run(hires(TwoPasses(first, (16, 24), 4, tail, "pixels")), model.networks)
    generator = torch.Generator().manual_seed(3)
    torch.randn(1, 4, 8, 8, generator=generator)
    drawn = [torch.randn(1, 4, 16, 24, generator=generator)[0] for _ in range(2)]

    class Same:
        def randn(self, shape: tuple[int, ...]) -> torch.Tensor:
            return drawn.pop(0)[None]

        posterior = randn

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kakusan.tasks.img2img.noise_of", lambda seed: Same())
        how = model.how(strength=0.5)
        assert tuple(how.sigmas) == tuple(tail)
        wanted = run(img2img(Img2Img(lanczos(small, 96, 64), how, 3)), model.networks)
    torch.testing.assert_close(found, wanted)


def test_the_latent_is_made_larger_without_a_detour() -> None:
    model = both(beside=0)
    asked_for: list[str] = []
    networks = {
        name: lambda *given, name=name, call=call: (asked_for.append(name), call(*given))[1] for name, call in model.networks.items()
    }
    first = Txt2Img(of_tokens(IDS, NEGATIVE), (4, 8, 8), "ddim", model.how().sigmas, SCALE, 3)
    assert run(hires(TwoPasses(first, (16, 24), 4, model.how().sigmas[-3:])), networks).shape == (3, 64, 96)
    assert [name for name in asked_for if name != "unet"] == ["text", "text", "decode"]


@pytest.mark.parametrize(
    "how", [{"window": 16}, {"window": True}, {"hires": True}, {"hires": "pixels"}, {"tileable": True}, {"tileable": "y"}]
)
def test_every_way_draws_counts_its_steps_and_is_told_in_the_recipe(how: dict[str, object]) -> None:
    steps: list[Step] = []
    result = PIPE(**SMALL, width=48, height=32, on_step=steps.append, **how)
    (recipe,) = result.recipes
    assert result.images[0].size == (48, 32)
    assert steps[-1].done == steps[-1].total == PIPE.evaluations(recipe)
    if "window" in how:
        assert {tuple(step.latent.shape) for step in steps if step.latent is not None} == {(4, 16, 24)}, "previews show all of it"
    again = Recipe.parse(recipe.parameters())
    assert again == recipe
    assert recipe.large != PLAIN
    plain, repeated = (to_tensor(p.images[0]) for p in (PIPE(**SMALL, width=48, height=32), result))
    assert not torch.equal(plain, repeated)


def test_what_a_small_picture_does_not_need_is_left_out_of_its_recipe() -> None:
    result = PIPE(**SMALL, window=True, hires=True)
    assert result.recipes[0].large == PLAIN
    assert result.recipes[0].strength == 1
    assert torch.equal(to_tensor(result.images[0]), to_tensor(PIPE(**SMALL).images[0]))


def test_copies_of_an_endless_picture_fit() -> None:
    """The step across the edge is as those within; in an ordinary picture of random weights it is larger."""
    options = {**SMALL, "width": 32, "height": 32}
    for axes in ("x", "xy"):
        image = to_tensor(PIPE(**options, tileable=axes).images[0])
        steps = (image - image.roll(1, 2)).abs().mean((0, 1))
        assert steps[0] < 1.5 * steps[1:].max()


def test_sizes() -> None:
    assert first_size(96, 64, 64, 8) == (80, 56)
    assert first_size(512, 512, 64, 8) == (64, 64)
    assert first_size(4096, 64, 64, 8) == (512, 8)
    assert sized(asked(True), 1280, 512, 512, False) == Large(512)
    assert sized(asked(768), 1280, 512, 512, False) == Large(768)
    assert sized(asked(1280), 1280, 512, 512, False) == PLAIN
    assert sized(asked(), 2048, 2048, 512, True) == Large(512), "upscaling is in windows unasked"
    assert sized(asked(hires=True), 512, 512, 512, False) == PLAIN


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"window": 4}, "window is 4; it must be a multiple of 16, and at least 16"),
        ({"window": 17}, "window is 17"),
        ({"tileable": "z"}, "tileable is 'z'; it must be one of x, y, xy"),
        ({"hires": "twice"}, "hires is 'twice'; it must be one of latent, pixels"),
    ],
)
def test_what_cannot_be_is_said(how: dict[str, object], words: str) -> None:
    with pytest.raises(KakusanError, match=words):
        PIPE(**SMALL, width=48, height=32, **how)
