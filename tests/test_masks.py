"""Masks out of words: mechanics on tiny random models, sense on pictures that the embedded model draws itself."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

import kakusan
from formats.tiny import tiny_model
from kakusan.engine import Engine
from kakusan.errors import KakusanError
from kakusan.images import to_pil
from kakusan.masks import attending, grown, preview, proposed
from kakusan.pipeline import Pipeline, Step
from kakusan.run import run
from kakusan.tasks.attribution import SIGMAS, Attribution, attribution
from kakusan.types import Cond

PICTURE = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
IDS, EMPTY = (512, 5, 9, 7, *[513] * 73), (512, *[513] * 76)


@pytest.fixture(scope="module")
def tiny() -> Pipeline:
    return Pipeline(tiny_model())


@pytest.fixture(scope="module")
def embedded() -> Pipeline:
    return kakusan.load(device="cpu")


@torch.no_grad()
def test_the_network_gives_what_the_unet_gives_and_where_it_looked(tiny: Pipeline) -> None:
    generator = torch.Generator().manual_seed(0)
    x, sigma = torch.randn(2, 4, 8, 12, generator=generator), torch.tensor([1.0, 3.0])
    cond = Cond(torch.randn(2, 5, 24, generator=generator))
    out = attending(tiny)(x, sigma, cond)
    assert out.shape == (2, 4 + 5, 8, 12)
    assert torch.equal(out[:, :4], tiny.networks["unet"](x, sigma, cond))
    assert torch.allclose(out[:, 4:].sum(1), torch.ones(2, 8, 12), atol=1e-2)
    alone = attending(tiny)(x[1:], sigma[1:], Cond(cond.context[1:]))
    assert torch.allclose(out[1], alone[0], atol=1e-5)


def test_requests_in_one_engine_get_the_maps_they_get_alone(tiny: Pipeline) -> None:
    networks = tiny.networks | {"attention": attending(tiny)}
    requests = [Attribution(PICTURE, IDS, EMPTY, seed) for seed in (0, 1, 2)]
    engine = Engine(networks, max_rows=16)
    jobs = [engine.submit(attribution(request)) for request in requests]
    engine.run()
    assert engine.calls == 2 + len(SIGMAS)
    for job, request in zip(jobs, requests, strict=True):
        alone = run(attribution(request), networks)
        assert job.result is not None
        assert torch.allclose(job.result, alone, atol=1e-4)
        assert alone.shape == (2, 16, 24)
        assert [(float(part.min()), float(part.max())) for part in alone] == [(0.0, 1.0)] * 2


def test_words_that_are_none_make_no_difference(tiny: Pipeline) -> None:
    maps = run(attribution(Attribution(PICTURE, EMPTY, EMPTY, 0)), tiny.networks | {"attention": attending(tiny)})
    assert maps[1].abs().max() == 0


@pytest.mark.parametrize("beside", [0, 5, 1], ids=["ordinary", "inpainting", "depth"])
def test_models_that_see_more_than_the_picture_propose_too(beside: int) -> None:
    model = tiny_model(channels_in=4 + beside)
    if beside == 1:
        model.depth = Low()
    mask = proposed(Pipeline(model), picture(), "ab c")
    assert (mask.mode, mask.size) == ("L", (48, 32))
    assert set(np.unique(mask)) <= {0, 255}


def test_a_mask_has_the_size_of_its_picture_and_steps_are_told(tiny: Pipeline) -> None:
    steps: list[Step] = []
    mask = proposed(tiny, picture().resize((101, 67)), "ab", on_step=steps.append)
    assert mask.size == (101, 67)
    assert [(step.done, step.total) for step in steps] == [(i + 1, len(SIGMAS)) for i in range(len(SIGMAS))]


def test_growing_and_shrinking_are_by_pixels() -> None:
    mask = Image.new("L", (40, 30))
    mask.paste(255, (10, 10, 20, 15))
    assert grown(mask, 3).getbbox() == (7, 7, 23, 18)
    assert grown(mask, -2).getbbox() == (12, 12, 18, 13)
    assert grown(mask, 0) == mask


@pytest.mark.parametrize("pixels", [3, -2])
def test_growing_is_what_pillows_filters_do(pixels: int) -> None:
    mask = expected = Image.fromarray(
        np.where(np.random.default_rng(0).random((60, 90)) > (0.97 if pixels > 0 else 0.05), 255, 0).astype(np.uint8)
    )
    for _ in range(abs(pixels)):
        expected = expected.filter(ImageFilter.MaxFilter(3) if pixels > 0 else ImageFilter.MinFilter(3))
    assert 0 < np.asarray(expected).mean() < 255
    assert np.array_equal(grown(mask, pixels), expected)


def test_a_preview_shows_the_rest_as_it_is() -> None:
    mask = Image.new("L", (48, 32))
    mask.paste(255, (0, 0, 24, 32))
    shown = preview(picture(), mask)
    assert shown.size == (48 * 5, 32 * 5)
    small = np.asarray(shown)[2::5, 2::5]
    assert np.array_equal(small[:, 24:], np.asarray(picture())[:, 24:])
    assert (small[:, :24, 0].astype(int) - small[:, :24, 1] > 60).all()
    assert np.asarray(shown)[80, 119:121].tolist() == [[255] * 3, [0] * 3]


@pytest.mark.parametrize(
    ("words", "options", "said"),
    [
        ("", {}, "no words"),
        ("ab", {"threshold": 1.0}, "threshold is 1.0"),
        ("ab", {"threshold": float("nan")}, "threshold is nan"),
        ("ab", {"grow": 49}, "cannot grow by 49"),
        ("ab", {"grow": -48}, "nothing in the picture answers to 'ab'"),
    ],
)
def test_what_cannot_be_is_one_line(tiny: Pipeline, words: str, options: dict[str, float], said: str) -> None:
    with pytest.raises(KakusanError, match=said):
        proposed(tiny, picture(), words, **options)  # type: ignore[arg-type]


def test_an_upscaling_model_says_that_it_cannot() -> None:
    with pytest.raises(KakusanError, match="upscaling"):
        proposed(Pipeline(tiny_model(channels_in=7)), picture(), "ab")


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a cat on a blue background", "the cat"),
        ("a red apple on a white background", "the apple"),
        ("a star on a purple background", "星"),
        ("a mushroom on a green background", "the mushroom"),
    ],
)
def test_the_embedded_model_finds_what_it_drew(embedded: Pipeline, prompt: str, words: str) -> None:
    """On plain backgrounds what is of another colour than the corners is the thing, but for a rim."""
    image = embedded(prompt, seed=11, steps=12).images[0]
    found = np.asarray(proposed(embedded, image, words)) > 127
    pixels = np.asarray(image).astype(float)
    corners = np.median(pixels[[0, 0, -1, -1], [0, -1, 0, -1]], axis=0)
    thing = np.linalg.norm(pixels - corners, axis=2) > 60
    assert (found & thing).sum() / (found | thing).sum() > 0.7


class Low(torch.nn.Module):
    """A depth network: what is lower is nearer."""

    config = SimpleNamespace(size=16)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.arange(16.0)[:, None].expand(len(image), 16, 16)


def picture() -> Image.Image:
    return to_pil(PICTURE)
