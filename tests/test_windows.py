"""Windows: what they see, how they are blended, and when they change nothing at all."""

from collections.abc import Callable, Mapping
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from kakusan.engine import Engine
from kakusan.run import run
from kakusan.spans import spans, windows
from kakusan.tasks.conditions import of_tokens
from kakusan.tasks.img2img import Img2Img, img2img
from kakusan.tasks.txt2img import Txt2Img, txt2img
from kakusan.types import Cond, Task, Work
from kakusan.windows import blended, endless, seen, windowed
from tasks.both import IDS, NEGATIVE, SCALE, both

Networks = Mapping[str, Callable[..., Tensor]]
MODEL = both(beside=0)


def drawing(shape: tuple[int, int, int] = (4, 8, 24), sampler: str = "dpmpp_2m", seed: int = 3) -> Task:
    return txt2img(Txt2Img(of_tokens(IDS, NEGATIVE), shape, sampler, MODEL.how().sigmas, SCALE, seed))


def pointwise(x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
    """A network that never looks at a neighbour."""
    return x / (1 + sigma[:, None, None, None] ** 2) + 0.1 * torch.tanh(cond.context.mean((1, 2)))[:, None, None, None]


@pytest.mark.parametrize("length", [1, 7, 8, 9, 16, 23, 100])
@pytest.mark.parametrize("overlap", [0, 1, 3, 6])
@pytest.mark.parametrize("round_", [False, True])
def test_shares_sum_to_one_and_neighbours_overlap(length: int, overlap: int, round_: bool) -> None:
    total = torch.zeros(length)
    for window in windows(length, 8, overlap, round_):
        assert len(window.places) == min(8, length)
        assert (window.share > 0).all()
        total.index_add_(0, window.places, window.share)
    torch.testing.assert_close(total, torch.ones(length))
    parts = spans(length, 8, overlap)
    assert parts[0].start == 0
    assert parts[-1].stop == length
    assert all(one.stop - other.start >= overlap for one, other in pairwise(parts))


def test_a_share_falls_as_the_next_one_rises() -> None:
    first, second = windows(12, 8, 4)
    assert first.share[:4].tolist() == [1] * 4
    torch.testing.assert_close(first.share[4:], torch.tensor([0.875, 0.625, 0.375, 0.125]))
    torch.testing.assert_close(second.share[:4], 1 - first.share[4:])


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "euler_ancestral", "pndm", "unipc"])
def test_a_window_as_large_as_the_picture_changes_no_bit(sampler: str) -> None:
    plain = run(drawing(sampler=sampler), MODEL.networks)
    assert torch.equal(run(windowed(drawing(sampler=sampler), 24, 8), MODEL.networks), plain)


@pytest.mark.parametrize("axes", ["", "x", "y", "xy"])
def test_a_network_that_sees_no_neighbours_does_not_notice(axes: str) -> None:
    networks = {**MODEL.networks, **{f"unet{end}": pointwise for end in ("", "@x", "@y", "@xy")}}
    plain, cut = drawing(), drawing()
    if axes:
        plain, cut = endless(plain, axes), endless(cut, axes)
    torch.testing.assert_close(run(windowed(cut, 6, 2), networks), run(plain, networks), atol=1e-5, rtol=1e-5)


def test_windows_that_do_not_overlap_are_pictures_of_their_own() -> None:
    """Until they are decoded: each third of the latent is what would be drawn from that third of the noise alone."""
    latents: list[Tensor] = []

    def told(latent: Tensor) -> Tensor:
        latents.append(latent[0])
        return MODEL.networks["decode"](latent)

    networks = {**MODEL.networks, "decode": told}
    run(windowed(drawing(sampler="ddim"), 8, 0), networks)
    noise = torch.randn(1, 4, 8, 24, generator=torch.Generator().manual_seed(3))[0]
    how = MODEL.how()
    states = MODEL.texts
    for i in range(3):
        x = noise[None, :, :, 8 * i : 8 * i + 8] * (1 + how.sigmas[0] ** 2) ** 0.5
        for sigma, following in pairwise(how.sigmas):
            c, u = (MODEL.networks["unet"](x, torch.tensor([sigma]), Cond(states[k])) for k in ("prompt_embeds", "negative_prompt_embeds"))
            denoised = u + SCALE * (c - u)
            x = denoised + following / sigma * (x - denoised)
        wanted = x[0] / (1 + how.sigmas[-1] ** 2) ** 0.5
        torch.testing.assert_close(latents[0][:, :, 8 * i : 8 * i + 8], wanted, atol=2e-4, rtol=1e-4)


def test_what_lies_beside_x_is_cut_as_x_is() -> None:
    whole = torch.arange(2 * 4 * 12.0).reshape(2, 4, 12)

    def task() -> Task:
        (out,) = yield Work("unet", [(whole, 1.0, Cond(torch.zeros(1, 1), whole + 100))])
        return out

    def unet(x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        assert x.shape == (3, 2, 4, 4)
        assert cond.beside is not None
        return cond.beside - x

    assert torch.equal(run(windowed(task(), 4, 0), {"unet": unet}), torch.full_like(whole, 100))


def test_windows_of_several_tasks_share_calls_and_the_preview_shows_all_of_a_picture() -> None:
    engine = Engine(MODEL.networks, max_rows=64)
    jobs = [engine.submit(windowed(drawing(seed=seed), 8, 4)) for seed in (1, 2)]
    previews = []
    while engine.tick():
        if jobs[0].last and jobs[0].last.model == "unet" and jobs[0].preview is not None:
            previews.append(jobs[0].preview)
    steps = len(MODEL.how().sigmas) - 1
    assert engine.calls == steps + 2
    assert engine.rows == 2 * (steps * 2 * 5 + 2 + 1)
    assert {tuple(p.shape) for p in previews} == {(4, 8, 24)}
    assert all(job.state == "done" for job in jobs)


def test_blending_what_was_seen_gives_it_back() -> None:
    x = torch.randn(4, 9, 13)
    places = [(down, across) for down in windows(9, 4, 1) for across in windows(13, 6, 2, round_=True)]
    torch.testing.assert_close(blended([seen(x, *p) for p in places], places), x)


def test_more_rows_than_fit_are_run_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x, cond, sigma = torch.randn(7, 4, 8, 8), Cond(torch.randn(7, 8, 24)), torch.linspace(1, 5, 7)
    together = MODEL.networks["unet"](x, sigma, cond)
    monkeypatch.setattr("kakusan.networks.ROWS", 4)
    monkeypatch.setattr("kakusan.networks.PIXELS", 3 * 64)
    sizes: list[int] = []
    handle = MODEL.model.unet.conv_in.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    torch.testing.assert_close(MODEL.networks["unet"](x, sigma, cond), together, atol=1e-5, rtol=1e-5)
    handle.remove()
    assert sizes == [3, 3, 1]


@pytest.mark.parametrize("axes", ["x", "y", "xy"])
def test_an_endless_picture_moves_with_its_beginning(axes: str) -> None:
    """What begins shifted round the edge ends shifted round the edge, in those directions and in no other."""
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for axis, by in (("x", (0, 32)), ("y", (32, 0))):
        moved = image.roll(by, (1, 2))
        latents = [MODEL.networks[f"encode@{axes}"](picture[None])[:, 0] for picture in (image, moved)]
        shifted = [latents[0].roll((by[0] // 4, by[1] // 4), (2, 3)), latents[1]]
        pictures = [MODEL.networks[f"decode@{axes}"](z) for z in latents]
        x, context = latents[0], torch.ones(1, 8, 24)
        seen_x = [
            MODEL.networks[f"unet@{axes}"](z, torch.tensor([2.0]), Cond(context)) for z in (x, x.roll((by[0] // 4, by[1] // 4), (2, 3)))
        ]
        same = [
            torch.allclose(*shifted, atol=1e-4),
            torch.allclose(pictures[0].roll(by, (2, 3)), pictures[1], atol=1e-4),
            torch.allclose(seen_x[0].roll((by[0] // 4, by[1] // 4), (2, 3)), seen_x[1], atol=1e-4),
        ]
        assert same == [axis in axes] * 3


def test_endless_work_shares_no_call_with_other_work() -> None:
    engine = Engine(MODEL.networks)
    engine.submit(endless(drawing(), "xy"))
    engine.submit(drawing())
    engine.run()
    steps = len(MODEL.how().sigmas) - 1
    assert engine.calls == 2 * (steps + 1) + 1  # only the words are read together


def test_img2img_in_windows_keeps_what_strength_keeps() -> None:
    image = torch.rand(3, 32, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1
    how = MODEL.how(strength=0.2)
    out = run(windowed(img2img(Img2Img(image, how, 7)), 8, 4), MODEL.networks)
    assert out.shape == image.shape
