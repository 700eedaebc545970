"""How notebooks handle schedulers: again and again, copied, out of order, with noise of their own, in half precision."""

import copy
from typing import Any

import diffusers
import pytest
import torch

from compat.scheduler_loop import NAMES, NOISE, PICTURE, STABLE, Loop, compare, gap, network, pair, trace
from kakusan.compat.diffusers import schedulers
from kakusan.errors import KakusanError

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs

ONE_STEP = ("DDIMScheduler", "DDPMScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler")


def ours(name: str, **settings: Any) -> Any:
    return getattr(schedulers, name)(**{**STABLE, **settings})


def answer(scheduler: Any, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return network(scheduler.scale_model_input(x, t), t)


@pytest.mark.parametrize("name", NAMES)
def test_used_again(name: str) -> None:
    """After a whole run, and after one given up in the middle."""
    used, fresh = ours(name), ours(name)
    trace(used, Loop(steps=9, begin=2))
    used.set_timesteps(9)
    x = NOISE * used.init_noise_sigma
    for t in used.timesteps[:3]:
        x = used.step(answer(used, x, t), t, x).prev_sample
    again, once = trace(used, Loop(steps=7)), trace(fresh, Loop(steps=7))
    assert all(torch.equal(a, b) for a, b in zip(again.latents, once.latents, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_copied(name: str) -> None:
    """Before a run, and after one; but a sampler in mid-run cannot be copied."""
    scheduler = ours(name)
    first = trace(copy.deepcopy(scheduler), Loop(steps=6))
    for begin in (0, 2):
        trace(scheduler, Loop(steps=6, begin=begin))
        assert torch.equal(trace(copy.deepcopy(scheduler), Loop(steps=6)).latents[-1], first.latents[-1])
    scheduler.set_timesteps(6)
    t, x = scheduler.timesteps[0], NOISE
    scheduler.step(answer(scheduler, x, t), t, x)
    if name in ONE_STEP:
        copy.deepcopy(scheduler)
    else:
        with pytest.raises(KakusanError, match="in the middle of a run"):
            copy.deepcopy(scheduler)


@pytest.mark.parametrize("name", ["DDIMScheduler", "DDPMScheduler", "PNDMScheduler"])
def test_out_of_order(name: str) -> None:
    """Those at home on timesteps step from wherever they are told to be."""
    both = pair(name, **STABLE, **({"skip_prk_steps": True} if name == "PNDMScheduler" else {}))
    results = []
    for scheduler in both:
        scheduler.set_timesteps(10)
        x, generator = NOISE, torch.Generator().manual_seed(3)
        for place in (0, 3, 2, 7, 7, 4):
            t = scheduler.timesteps[place]
            options = {} if name != "DDPMScheduler" else {"generator": generator}
            x = scheduler.step(network(x, t), t, x, **options).prev_sample
        results.append(x)
    assert gap(*results) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_any_form_of_timestep(name: str) -> None:
    """Tensors of any kind and Python numbers."""
    results = []
    for form in (lambda t: t, float, int, lambda t: t.to(torch.float64), lambda t: t[None]):
        scheduler = ours(name)
        scheduler.set_timesteps(10)
        x = NOISE * scheduler.init_noise_sigma
        t = scheduler.timesteps[0]
        results.append(scheduler.step(answer(scheduler, x, t), form(t), x, return_dict=False)[0])
    if "DDPM" not in name and "Ancestral" not in name:
        assert all(torch.equal(result, results[0]) for result in results)


@pytest.mark.parametrize("name", NAMES)
def test_a_timestep_of_another_list(name: str) -> None:
    scheduler = ours(name)
    scheduler.set_timesteps(10)
    if name.startswith(("DPM", "UniPC", "DEIS", "DDIM", "PNDM")):
        scheduler.step(NOISE, 123, NOISE)
    else:
        with pytest.raises(KakusanError, match="is none of scheduler"):
            scheduler.step(NOISE, 123, NOISE)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("DDIMScheduler", "DDPMScheduler", "PNDMScheduler")])
def test_tells_where_it_is(name: str) -> None:
    for scheduler in pair(name, **STABLE):
        assert (scheduler.step_index, scheduler.begin_index) == (None, None)
        scheduler.set_timesteps(10)
        scheduler.set_begin_index(4)
        t = scheduler.timesteps[4]
        scheduler.step(answer(scheduler, NOISE, t), t, NOISE)
        assert (scheduler.step_index, scheduler.begin_index) == (5, 4)
        scheduler.set_timesteps(10)
        assert (scheduler.step_index, scheduler.begin_index) == (None, None)


@pytest.mark.parametrize("name", NAMES)
def test_add_noise(name: str) -> None:
    theirs, mine = pair(name, **STABLE)
    for begin in (None, 4):
        for scheduler in (theirs, mine):
            scheduler.set_timesteps(10)
            if begin is not None and hasattr(scheduler, "set_begin_index"):
                scheduler.set_begin_index(begin)
        t = theirs.timesteps[[2, 6]]
        assert gap(theirs.add_noise(PICTURE, NOISE, t), mine.add_noise(PICTURE, NOISE, mine.timesteps[[2, 6]])) < 1e-6


@pytest.mark.parametrize("name", ["DDIMScheduler", "DDPMScheduler", "EulerDiscreteScheduler"])
def test_get_velocity(name: str) -> None:
    theirs, mine = pair(name, **STABLE)
    for scheduler in (theirs, mine):
        scheduler.set_timesteps(20)
    t = theirs.timesteps[[2, 16]]
    assert gap(theirs.get_velocity(PICTURE, NOISE, t), mine.get_velocity(PICTURE, NOISE, t)) < 1e-6


def test_ddpm_takes_any_timestep_before_set_timesteps() -> None:
    results = []
    for scheduler in pair("DDPMScheduler", **STABLE, clip_sample=False):
        for t in (999, 500, 0):
            out = scheduler.step(network(NOISE, torch.tensor(t)), t, NOISE, generator=torch.Generator().manual_seed(3))
            results.append(out.prev_sample)
    for x, y in zip(results[:3], results[3:], strict=True):
        assert gap(x, y) < 1e-5


@pytest.mark.parametrize(
    ("name", "settings"), [("DDIMScheduler", {}), ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"})]
)
def test_noise_of_ones_own(name: str, settings: dict[str, Any]) -> None:
    options = {"variance_noise": NOISE.flip(0)} | ({"eta": 0.8} if name == "DDIMScheduler" else {})
    compare(*pair(name, **STABLE, **settings), Loop(steps=9, options=options))


@pytest.mark.parametrize("name", ["DDPMScheduler", "EulerAncestralDiscreteScheduler", "KDPM2AncestralDiscreteScheduler"])
def test_a_generator_for_each_picture(name: str) -> None:
    seeds = lambda: [torch.Generator().manual_seed(seed) for seed in (5, 6)]  # noqa: E731
    runs = [trace(scheduler, Loop(steps=5, dtype=torch.float32, options={})) for scheduler in pair(name, **STABLE)]
    assert gap(runs[0].latents[-1], runs[1].latents[-1]) < 3e-5
    results = []
    for scheduler in pair(name, **STABLE):
        scheduler.set_timesteps(5)
        x, generators = NOISE.float() * scheduler.init_noise_sigma, seeds()
        for t in scheduler.timesteps:
            x = scheduler.step(answer(scheduler, x, t), t, x, generator=generators).prev_sample
        results.append(x)
    assert gap(*results) < 3e-5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(name: str, dtype: torch.dtype) -> None:
    """Latents stay in their dtype; the sampler works in float32, so that it is no further from the truth than diffusers is."""
    settings = {**STABLE, **({"skip_prk_steps": True} if name == "PNDMScheduler" else {})}
    stochastic = "Ancestral" in name or name == "DDPMScheduler"
    theirs, mine, exact = (
        trace(scheduler, Loop(steps=8, dtype=kind)).latents[-1]
        for scheduler, kind in (
            (getattr(diffusers, name)(**settings), dtype),
            (ours(name, **settings), dtype),
            (ours(name, **settings), torch.float32),
        )
    )
    assert mine.dtype == dtype
    assert gap(theirs.float(), mine.float()) < (0.2 if dtype == torch.bfloat16 else 0.02)
    if not stochastic:  # draws in half precision are others
        assert gap(exact, mine.float()) < (0.2 if dtype == torch.bfloat16 else 0.02)


@pytest.mark.parametrize("name", NAMES)
def test_the_users_tensors_stay_as_they_are(name: str) -> None:
    """Latents that were handed out are kept by callbacks; the sampler that goes on in mid-run must not write into them."""
    scheduler = ours(name)
    scheduler.set_timesteps(8)
    x, kept = NOISE * scheduler.init_noise_sigma, []
    for t in scheduler.timesteps:
        said = answer(scheduler, x, t)
        kept += [(value, value.clone()) for value in (x, said)]
        x = 0.5 * scheduler.step(said, t, x).prev_sample
        kept.append((x, x.clone()))
    assert all(torch.equal(value, then) for value, then in kept)


@pytest.mark.parametrize("name", ["LMSDiscreteScheduler", "DDIMScheduler", "EulerDiscreteScheduler"])
def test_gradients_pass_through(name: str) -> None:
    """For guidance by gradients: `step` asked twice at one place, first only for the estimate."""
    scheduler = ours(name)
    scheduler.set_timesteps(5)
    x = (NOISE * scheduler.init_noise_sigma).requires_grad_()
    t = scheduler.timesteps[0]
    scheduler.step(answer(scheduler, x, t), t, x).pred_original_sample.square().sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().sum()) > 0
    if name != "DDIMScheduler":
        scheduler._step_index -= 1  # as notebooks do
    again = scheduler.step(answer(scheduler, x.detach(), t), t, x.detach()).prev_sample
    assert torch.equal(again, trace(ours(name), Loop(steps=5)).latents[0])


@pytest.mark.parametrize("name", NAMES)
def test_inference_mode_may_come_and_go(name: str) -> None:
    settings = {"skip_prk_steps": True} if name == "PNDMScheduler" else {}
    scheduler, expected = ours(name, **settings), trace(ours(name, **settings), Loop(steps=6)).latents[-1]
    scheduler.set_timesteps(6)
    x, generator = NOISE * scheduler.init_noise_sigma, torch.Generator().manual_seed(7)
    options = {"generator": generator} if "Ancestral" in name or name == "DDPMScheduler" else {}
    for i, t in enumerate(scheduler.timesteps):
        with torch.inference_mode(i % 3 == 1):
            x = scheduler.step(answer(scheduler, x, t), t, x, **options).prev_sample
    assert torch.equal(x, expected)


def test_another_shape_in_mid_run() -> None:
    scheduler = ours("UniPCMultistepScheduler")
    scheduler.set_timesteps(5)
    scheduler.step(NOISE, scheduler.timesteps[0], NOISE)
    with pytest.raises(KakusanError, match="latents of another shape"):
        scheduler.step(NOISE[:1], scheduler.timesteps[1], NOISE[:1])
    with pytest.raises(KakusanError, match="model_output and sample"):
        scheduler.step(NOISE[:1], scheduler.timesteps[1], NOISE)


def test_lms_keeps_its_order() -> None:
    scheduler = ours("LMSDiscreteScheduler")
    scheduler.set_timesteps(5)
    x = NOISE * scheduler.init_noise_sigma
    scheduler.step(NOISE, scheduler.timesteps[0], x, order=2)
    with pytest.raises(KakusanError, match="mid-run"):
        scheduler.step(NOISE, scheduler.timesteps[1], x, order=3)


def test_outputs() -> None:
    for scheduler in pair("EulerDiscreteScheduler", **STABLE):
        scheduler.set_timesteps(5)
        t = scheduler.timesteps[0]
        out = scheduler.step(NOISE, t, NOISE)
        assert torch.equal(out[0], out.prev_sample)
        assert torch.equal(out["pred_original_sample"], out.pred_original_sample)
        assert [*out] == ["prev_sample", "pred_original_sample"]
        scheduler.set_timesteps(5)
        assert len(scheduler.step(NOISE, t, NOISE, return_dict=False)) == 2
