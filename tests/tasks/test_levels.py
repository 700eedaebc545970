"""Noise levels of other programs, beside their own formulas written out in numpy and torch, and beside diffusers itself."""

import itertools
from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch
from scipy import stats

from kakusan.errors import KakusanError
from kakusan.schedules import NoiseSchedule
from kakusan.tasks.levels import above, counted, levels, second, whole
from kakusan.tasks.like import Like
from kakusan.tasks.profiles import PROFILES, automatic
from kakusan.tasks.recipe import Recipe
from kakusan.types import Sigmas

SD = NoiseSchedule()
BETAS = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
TABLE = np.sqrt((1 - np.cumprod(1 - BETAS)) / np.cumprod(1 - BETAS))
LOW, HIGH = TABLE[0], TABLE[-1]


def recipe(like: str, sampler: str = "euler", schedule: str = "", steps: int = 20, strength: float | None = None) -> Recipe:
    plain = Recipe("", "", 64, 64, steps, sampler, schedule or automatic(like, sampler), 7.0, 0, like=Like(like))
    return plain if strength is None else replace(plain, mode="img2img", strength=strength)


def log_interpolated(t: np.ndarray) -> np.ndarray:
    """t_to_sigma of k-diffusion's DiscreteSchedule and of ComfyUI's ModelSamplingDiscrete."""
    return np.exp(np.interp(t, np.arange(1000), np.log(TABLE)))


def with_zero(sigmas: np.ndarray) -> list[float]:
    return [*map(float, sigmas), 0.0]


def k_diffusion(name: str, n: int) -> list[float]:
    """What A1111's sd_schedulers.py calls for a label, and ComfyUI for a word of KSampler."""
    ramp = np.linspace(0, 1, n)
    if name == "karras":
        return with_zero((HIGH ** (1 / 7) + ramp * (LOW ** (1 / 7) - HIGH ** (1 / 7))) ** 7)
    if name == "exponential":
        return with_zero(np.exp(np.linspace(np.log(HIGH), np.log(LOW), n)))
    if name == "normal":
        return with_zero(log_interpolated(np.linspace(999, 0, n)))
    if name == "sgm_uniform":
        return with_zero(log_interpolated(np.linspace(999, 0, n + 1)[:-1]))
    if name == "simple":
        return with_zero(np.array([TABLE[-(1 + int(x * (1000 / n)))] for x in range(n)]))
    assert name == "ddim"
    return with_zero(TABLE[1 :: max(1000 // n, 1)][::-1])


def close(ours: Sigmas, theirs: object) -> None:
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("like", ["a1111", "comfyui"])
@pytest.mark.parametrize("name", ["karras", "exponential", "normal", "sgm_uniform", "simple", "ddim"])
@pytest.mark.parametrize("steps", [1, 7, 20, 30])
def test_schedules_of_k_diffusion(like: str, name: str, steps: int) -> None:
    if steps > 1 or name not in ("karras", "exponential", "normal"):
        close(whole(recipe(like, "euler", name), SD, steps), k_diffusion(name, steps))


def test_automatic_is_what_a1111_1_10_lists_for_each_sampler() -> None:
    listed = {"dpmpp_2m": "karras", "dpmpp_sde": "karras", "dpmpp_2m_sde": "exponential", "dpmpp_2s_ancestral": "karras"}
    listed |= {"dpmpp_3m_sde": "exponential", "dpm_2": "karras", "dpm_2_ancestral": "karras", "restart": "karras"}
    for sampler in ("euler", "euler_ancestral", "lms", "heun", "dpm_fast", "dpm_adaptive"):
        listed[sampler] = "normal"
    assert {sampler: automatic("a1111", sampler) for sampler in listed} == listed


@pytest.mark.parametrize(
    ("like", "sampler", "left_out"),
    [
        *(("a1111", sampler, sampler in ("dpm_2", "dpm_2_ancestral", "dpmpp_3m_sde")) for sampler in ("dpm_2", "dpmpp_3m_sde", "dpmpp_2m")),
        *(("comfyui", sampler, sampler != "dpmpp_3m_sde") for sampler in ("dpm_2", "dpm_2_ancestral", "unipc", "dpmpp_3m_sde")),
    ],
)
def test_the_last_level_but_one_is_left_out_of_one_step_more(like: str, sampler: str, left_out: bool) -> None:
    theirs = k_diffusion("karras", 20 + left_out)
    close(whole(recipe(like, sampler, "karras"), SD, 20), [*theirs[:-2], theirs[-1]] if left_out else theirs)
    always = replace(recipe(like, sampler, "karras"), like=Like(like, discard=True))
    theirs = k_diffusion("karras", 21)
    close(whole(always, SD, 20), [*theirs[:-2], 0.0])


def test_a1111s_own_schedules() -> None:
    ends = LOW + stats.beta.ppf(1 - np.linspace(0, 1, 12), 0.6, 0.6) * (HIGH - LOW)
    np.testing.assert_allclose(whole(recipe("a1111", schedule="beta"), SD, 12), with_zero(ends), rtol=1e-4, atol=1e-3)
    arc = np.tan(np.arange(13) / 12 * np.arctan(LOW) + (1 - np.arange(13) / 12) * np.arctan(HIGH))
    close(whole(recipe("a1111", schedule="kl_optimal"), SD, 12), arc)
    published = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]
    for steps in (5, 11, 20):
        logs = np.interp(np.linspace(0, 1, steps), np.linspace(0, 1, 11), np.log(published[::-1]))
        close(whole(recipe("a1111", schedule="align_your_steps"), SD, steps), with_zero(np.exp(logs)[::-1]))


def test_comfyuis_beta_drops_timesteps_that_fall_together() -> None:
    for steps in (10, 300):
        places = np.rint(stats.beta.ppf(1 - np.linspace(0, 1, steps, endpoint=False), 0.6, 0.6) * 999)
        kept = [int(t) for t, _ in itertools.groupby(places)]
        close(whole(recipe("comfyui", schedule="beta"), SD, steps), with_zero(TABLE[kept]))
    assert len(kept) < 300


@pytest.mark.parametrize("steps", [10, 20, 30, 37])
@pytest.mark.parametrize("strength", [0.1, 0.33, 0.5, 0.75, 1.0])
def test_strength_as_a1111_counts(steps: int, strength: float) -> None:
    """setup_img2img_steps, sample_img2img: sigma_sched = sigmas[steps - t_enc - 1:]."""
    t_enc = int(min(strength, 0.999) * steps)
    close(levels(recipe("a1111", "dpmpp_2m", steps=steps, strength=strength), SD), k_diffusion("karras", steps)[steps - t_enc - 1 :])


@pytest.mark.parametrize("steps", [10, 20, 30])
@pytest.mark.parametrize("strength", [0.3, 0.5, 0.75, 1.0])
def test_a1111s_ddim_walks_timesteps(steps: int, strength: float) -> None:
    """Its loop makes len(timesteps) - 1 steps and ends at timestep 1; a picture is noised to timesteps[t_enc], walked from below."""
    timesteps = np.clip(np.asarray(list(range(0, 1000, 1000 // steps))) + 1, 0, 999)
    close(levels(recipe("a1111", "ddim", steps=steps), SD), TABLE[timesteps[::-1]])
    t_enc = int(min(strength, 0.999) * steps)
    asked = recipe("a1111", "ddim", steps=steps, strength=strength)
    assert above(asked)
    close(levels(asked, SD), TABLE[[timesteps[t_enc], *timesteps[:t_enc][::-1]]])


def test_a1111s_unipc_is_even_in_time() -> None:
    """NoiseScheduleVP: t from 1 to 1/1000, log alpha (half of log alpha-bar) linear between the table's."""
    found = whole(recipe("a1111", "unipc"), SD, 20)
    t = np.linspace(1, 1 / 1000, 21)
    log_alpha = np.interp(t, np.linspace(0, 1, 1001)[1:], 0.5 * np.log(np.cumprod(1 - BETAS)))
    close(found, np.sqrt(1 - np.exp(2 * log_alpha)) / np.exp(log_alpha))
    asked = recipe("a1111", "unipc", strength=0.5)
    timesteps = np.clip(np.asarray(list(range(0, 1000, 50))) + 1, 0, 999)
    t = np.linspace(timesteps[9] / 1000 + 1 / 1000, 1 / 1000, 11)
    log_alpha = np.interp(t, np.linspace(0, 1, 1001)[1:], 0.5 * np.log(np.cumprod(1 - BETAS)))
    close(levels(asked, SD), [TABLE[timesteps[10]], *np.sqrt(1 - np.exp(2 * log_alpha)) / np.exp(log_alpha)])


def test_a1111s_second_pass_makes_all_the_steps() -> None:
    asked = replace(recipe("a1111", "dpmpp_2m"), strength=0.6)
    close(second(asked, SD), k_diffusion("karras", int(20 / 0.6))[-21:])


@pytest.mark.parametrize("denoise", [0.2, 0.5, 0.87, 1.0])
@pytest.mark.parametrize("name", ["normal", "karras"])
def test_denoise_as_comfyui_counts(denoise: float, name: str) -> None:
    """KSampler.set_steps: the last steps + 1 levels of a schedule of int(steps / denoise) steps."""
    theirs = k_diffusion(name, 20) if denoise > 0.9999 else k_diffusion(name, int(20 / denoise))[-21:]
    close(levels(recipe("comfyui", schedule=name, strength=denoise), SD), theirs)


@pytest.mark.parametrize("strength", [0.0, 0.01])
def test_a_strength_too_small_for_comfyuis_way_is_one_line(strength: float) -> None:
    with pytest.raises(KakusanError, match="strength is") as caught:
        levels(recipe("comfyui", strength=strength), SD)
    assert "\n" not in str(caught.value)


CLASSES = {
    "ddim": "DDIMScheduler",
    "plms": "PNDMScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler_ancestral": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "lms": "LMSDiscreteScheduler",
    "dpmpp_2m": "DPMSolverMultistepScheduler",
    "unipc": "UniPCMultistepScheduler",
    "deis": "DEISMultistepScheduler",
}


@pytest.mark.parametrize("like", ["diffusers", "invokeai"])
@pytest.mark.parametrize("sampler", CLASSES)
@pytest.mark.parametrize("steps", [5, 20])
def test_levels_of_diffusers_schedulers(like: str, sampler: str, steps: int) -> None:
    """Made from Stable Diffusion 1's own scheduler file, as a user changes schedulers: from_config(pipe.scheduler.config)."""
    file = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1, "set_alpha_to_one": False}
    scheduler = getattr(diffusers, CLASSES[sampler]).from_config(
        diffusers.PNDMScheduler.from_config({**file, "skip_prk_steps": True}).config
    )
    scheduler.set_timesteps(steps)
    found = levels(recipe(like, sampler, steps=steps), SD)
    if hasattr(scheduler, "sigmas"):
        sigmas = scheduler.sigmas[::2] if sampler == "heun" else scheduler.sigmas
        if sampler == "heun":
            sigmas = [scheduler.sigmas[0], *scheduler.sigmas[1::2]]
        close(found, [*sigmas[:-1], 0.0])
        return
    close(found, [*TABLE[[int(t) for t in dict.fromkeys(scheduler.timesteps.tolist())]], LOW])


@pytest.mark.parametrize("strength", [0.1, 0.45, 0.75, 1.0])
def test_strength_as_invokeai_counts(strength: float) -> None:
    """init_scheduler: the timesteps below round(1000 * (1 - denoising_start))."""
    scheduler = diffusers.EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    scheduler.set_timesteps(20)
    start = sum(t >= round(1000 * strength) for t in scheduler.timesteps.tolist())
    close(levels(recipe("invokeai", strength=strength), SD), scheduler.sigmas[start:])


@pytest.mark.parametrize("steps", [20, 30, 50])
def test_levels_of_compvis(steps: int) -> None:
    """make_ddim_timesteps and make_ddim_sampling_parameters: the way ends at the table's first alpha."""
    ddim = np.asarray(list(range(0, 1000, 1000 // steps))) + 1
    close(levels(recipe("compvis", "ddim", steps=steps), SD), [*TABLE[ddim[::-1]], LOW])
    assert len(counted(SD, 30)) == 31
    t_enc = int(0.75 * steps)
    asked = recipe("compvis", "ddim", steps=steps, strength=0.75)
    assert above(asked)
    close(levels(asked, SD), [TABLE[ddim[t_enc]], *TABLE[ddim[:t_enc][::-1]], LOW])


def test_every_profile_gives_falling_levels_for_every_sampler() -> None:
    from kakusan.samplers import NAMES
    from kakusan.schedules import SCHEDULES

    for like, entry, name in itertools.product(PROFILES, NAMES, SCHEDULES):
        for strength in (None, 0.4):
            found = levels(recipe(like, entry.name, name, 12, strength), SD)
            assert len(found) >= 2, (like, entry.name, name)
            assert all(a > b >= 0 for a, b in itertools.pairwise(found)), (like, entry.name, name)
    assert torch.tensor(found).isfinite().all()
