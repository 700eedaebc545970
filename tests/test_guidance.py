"""Guidance against the formulas of the papers and diffusers' pipeline arithmetic."""

import math
from collections.abc import Generator
from contextlib import suppress
from itertools import pairwise

import diffusers
import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from torch import Tensor

from kakusan.denoiser import Denoiser
from kakusan.errors import KakusanError
from kakusan.guidance import Composed, composed, guided, of_unet, rescaled
from kakusan.schedules import NoiseSchedule, sigmas_for
from kakusan.types import Cond, Evaluate, Guided, Prediction, Sampler, Task, Work, slope
from toy import eps_net

SD = NoiseSchedule()
COND, UNCOND = Cond(torch.full((3, 4), 0.7)), Cond(torch.zeros(3, 4))
X = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))


def euler(x: Tensor, sigmas) -> Sampler:
    for sigma, sigma_next in pairwise(sigmas):
        x = x + (sigma_next - sigma) * (yield from slope(x, sigma))
    return x


def record(x: Tensor, sigmas, answers: list[Prediction]) -> Sampler:
    for sigma in sigmas:
        answers.append((yield Evaluate(x, sigma)))
    return x


def unet(x: Tensor, t: Tensor, context: Tensor) -> Tensor:
    return eps_net(x + context.mean(1)[:, :, None, None].to(x.dtype), t)


TOY = Denoiser(unet, SD)


def drive(generator: Guided, rows: list[int] | None = None, denoiser: Denoiser = TOY) -> Tensor:
    """Answers each condition on its own."""
    reply = None
    try:
        while True:
            asked = next(generator) if reply is None else generator.send(reply)
            sigma = torch.full((len(asked.x),), asked.sigma)
            reply = [denoiser(asked.x, sigma, cond.context.expand(len(asked.x), -1, -1)) for cond in asked.conds]
            if rows is not None:
                rows.append(len(reply))
    except StopIteration as stop:
        return stop.value


def drive_task(task: Task, batches: list[int]) -> Tensor:
    reply = None
    try:
        while True:
            work = next(task) if reply is None else task.send(reply)
            assert work.model == "unet"
            assert all(x.shape == (4, 8, 8) and isinstance(sigma, float) for x, sigma, _ in work.rows)
            batches.append(len(work.rows))
            xs, sigmas, conds = zip(*work.rows, strict=True)
            reply = list(TOY(torch.stack(xs), torch.tensor(sigmas), torch.stack([c.context for c in conds])))
    except StopIteration as stop:
        return stop.value


@pytest.mark.parametrize("rescale", [0.0, 0.7])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_guided_euler_is_diffusers_pipeline_loop(prediction, rescale):
    """The loop of StableDiffusionPipeline: guide the network's outputs, rescale them, step."""
    schedule = NoiseSchedule(prediction=prediction)
    scheduler = diffusers.EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="leading",
        steps_offset=1,
        prediction_type=prediction,
    )
    scheduler.set_timesteps(8)
    kernel = torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(0)) * 0.1

    def net(x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        return torch.tanh(
            torch.nn.functional.conv2d(x, kernel, padding=1) + context.mean(1)[:, :, None, None] + t[:, None, None, None] / 999
        )

    sigmas = sigmas_for(schedule, "leading", 8)
    x = theirs = X * sigmas[0]
    for t in scheduler.timesteps:
        seen, ts = scheduler.scale_model_input(theirs, t), t.expand(2)
        c, u = (net(seen, ts, cond.context.expand(2, -1, -1)) for cond in (COND, UNCOND))
        out = rescale_noise_cfg(u + 7.5 * (c - u), c, rescale) if rescale else u + 7.5 * (c - u)
        theirs = scheduler.step(out, t, theirs).prev_sample
    ours = drive(guided(euler(x, sigmas), COND, UNCOND, 7.5, rescale, prediction=prediction), denoiser=Denoiser(net, schedule))
    assert (ours - theirs).abs().max() / theirs.std() < 1e-4


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("sigma", [0.05, 1.0, 14.6])
def test_rescaled_is_diffusers_in_the_networks_own_terms(prediction, sigma):
    generator = torch.Generator().manual_seed(2)
    x, p_cond, p_guided = (torch.randn(2, 4, 8, 8, generator=generator, dtype=torch.float64) for _ in range(3))
    a, b = 1 / math.sqrt(1 + sigma**2), sigma / math.sqrt(1 + sigma**2)

    def clean(p: Tensor) -> Tensor:
        return {"epsilon": x - sigma * p, "v_prediction": a * a * x - b * p, "sample": p}[prediction]

    ours = rescaled(clean(3 * p_guided), clean(p_cond), x, sigma, 0.6, prediction)
    torch.testing.assert_close(ours, clean(rescale_noise_cfg(3 * p_guided, p_cond, 0.6)))


def test_scale_one_asks_for_one_row():
    rows: list[int] = []
    sigmas = sigmas_for(SD, "karras", 5)
    alone = drive(guided(euler(X, sigmas), COND, UNCOND, 1.0), rows)
    assert rows == [1] * 5
    same = drive(guided(euler(X, sigmas), COND, COND, 5.0), rows)
    assert rows[5:] == [2] * 5
    torch.testing.assert_close(alone, same, rtol=0, atol=1e-5)


def test_scale_zero_is_the_unguided_picture():
    sigmas = sigmas_for(SD, "karras", 5)
    torch.testing.assert_close(drive(guided(euler(X, sigmas), COND, UNCOND, 0.0)), drive(guided(euler(X, sigmas), UNCOND, COND, 1.0)))


def test_answers_carry_both_estimates():
    answers: list[Prediction] = []
    generator = guided(record(X, (2.0, 1.0), answers), COND, UNCOND, 3.0)
    next(generator)
    c, u = torch.full_like(X, 2.0), torch.full_like(X, 1.0)
    generator.send([c, u])
    assert torch.equal(answers[0].denoised, torch.full_like(X, 4.0))
    assert answers[0].uncond is u


def test_interval_guides_only_inside():
    rows, answers = [], []
    generator = guided(record(X, (4.0, 3.0, 2.0, 1.0), answers), COND, UNCOND, 3.0, interval=(1.0, 3.0))
    assert drive(generator, rows) is X
    assert rows == [1, 2, 2, 1]
    assert [answer.uncond is None for answer in answers] == [True, False, False, True]


def test_of_unet_asks_row_by_row_and_gives_back_conditions():
    sigmas, batches = sigmas_for(SD, "karras", 4), []
    together = drive_task(of_unet(guided(euler(X, sigmas), COND, UNCOND, 4.0)), batches)
    assert batches == [4] * 4
    torch.testing.assert_close(together, drive(guided(euler(X, sigmas), COND, UNCOND, 4.0)), rtol=0, atol=1e-5)
    alone = torch.cat([drive_task(of_unet(guided(euler(x[None], sigmas), COND, UNCOND, 4.0)), []) for x in X])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": math.nan}, "guidance scale is nan"),
        ({"scale": 2.0, "rescale": 1.5}, "guidance rescale is 1.5"),
        ({"scale": 2.0, "interval": (3.0, 1.0)}, "guidance interval is 3.0 to 1.0"),
    ],
)
def test_bad_values_are_named(arguments, message):
    with pytest.raises(KakusanError, match=message):
        next(guided(euler(X, (1.0, 0.0)), COND, UNCOND, **arguments))


def asked_and_answered(composition: Composed, **options: object) -> tuple[list[int], list[Prediction]]:
    """How many rows two evaluations ask for, at sigma 4 and 2 with scale 3, and the answers, where row i is all 1 + i."""
    answers: list[Prediction] = []
    generator = composed(record(X, (4.0, 2.0), answers), lambda evaluation: composition, 3.0, **options)  # type: ignore[arg-type]
    asked, rows = next(generator), []
    with suppress(StopIteration):
        while True:
            rows.append(len(asked.conds))
            asked = generator.send([X * (1 + i) for i in range(len(asked.conds))])
    return rows, answers


def test_prompts_are_added_up_by_their_weights() -> None:
    rows, answers = asked_and_answered(Composed((COND, COND, COND), (1.0, 0.5, -0.25), UNCOND))
    u = 4 * X
    assert rows == [4, 4]
    torch.testing.assert_close(answers[0].denoised, u + 3 * (1 * (X - u) + 0.5 * (2 * X - u) - 0.25 * (3 * X - u)))
    assert torch.equal(answers[0].uncond, u)


def test_outside_the_interval_prompts_are_added_up_at_scale_1() -> None:
    rows, answers = asked_and_answered(Composed((COND, COND), (1.0, 0.5), UNCOND), interval=(3.0, 9.0))
    u = 3 * X
    assert rows == [3, 3], "the weights do not sum to 1, so the unguided row counts"
    torch.testing.assert_close(answers[1].denoised, u + (X - u) + 0.5 * (2 * X - u))
    rows, answers = asked_and_answered(Composed((COND, COND), (0.25, 0.75), UNCOND), interval=(3.0, 9.0))
    assert rows == [3, 2]
    torch.testing.assert_close(answers[1].denoised, 0.25 * X + 0.75 * 2 * X)


def test_the_contrast_of_a_composition_is_that_at_scale_1() -> None:
    composition = Composed((COND, COND), (1.0, 0.5), UNCOND)
    u = 3 * X
    prompted = u + (X - u) + 0.5 * (2 * X - u)
    _, answers = asked_and_answered(composition, rescale=0.7)
    torch.testing.assert_close(answers[0].denoised, rescaled(u + 3 * (prompted - u), prompted, X, 4.0, 0.7))


def test_what_is_told_may_change_with_every_evaluation() -> None:
    told = []
    for scale in (1.0, 2.0):
        generator = composed(euler(X, (3.0, 2.0, 1.0, 0.0)), lambda i: told.append(i) or Composed((COND,), (1.0,), UNCOND), scale)
        drive(generator)
    assert told == [0, 1, 2] * 2


def test_other_work_is_done_before_the_sampler_hears_the_answer() -> None:
    done: list[str] = []

    def other() -> Generator[Work, list[Tensor], None]:
        done.extend(map(str, (yield Work("text", [(COND.context,)]))[0].shape))

    task = of_unet(guided(record(X[:1], (2.0, 1.0), []), COND, UNCOND, 2.0), {1: other})
    work, models = next(task), []
    with suppress(StopIteration):
        while True:
            models.append(work.model)
            work = task.send([torch.zeros(3, 4)] if work.model == "text" else [X[0], X[0]])
    assert models == ["unet", "text", "unet"]
    assert done == ["3", "4"]
