"""Noise schedules against diffusers, scipy and formulas written a second time."""

import itertools
import math
import subprocess
import sys

import diffusers
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from kakusan.errors import KakusanError
from kakusan.schedules import (
    DESCRIPTIONS,
    SCHEDULES,
    NoiseSchedule,
    align_your_steps,
    beta_cumulative,
    beta_quantile,
    beta_sigma,
    exponential,
    karras,
    midpoints,
    polyexponential,
    sigmas_for,
    strength,
    timesteps,
)

SD = NoiseSchedule()
X4 = NoiseSchedule(beta_start=1e-4, beta_end=0.02)
FLAT = NoiseSchedule(zero_terminal_snr=True, prediction="v_prediction", spacing="trailing")
SHORT = NoiseSchedule(kind="linear", steps=60)
COUNTS = (1, 2, 3, 5, 7, 10, 20, 30, 31, 50, 60, 75, 100, 150, 250, 333, 500, 999)


def config(schedule: NoiseSchedule, **more):
    return {
        "num_train_timesteps": schedule.steps,
        "beta_start": schedule.beta_start,
        "beta_end": schedule.beta_end,
        "beta_schedule": schedule.kind,
        "steps_offset": schedule.steps_offset,
        **more,
    }


@pytest.mark.parametrize("schedule", [SD, X4, FLAT, SHORT], ids=["sd", "x4", "zero-snr", "linear"])
def test_table_is_diffusers(schedule):
    theirs = diffusers.DDIMScheduler(**config(schedule, rescale_betas_zero_snr=schedule.zero_terminal_snr)).alphas_cumprod
    assert np.abs(np.array(schedule.alphas_cumprod()) - theirs.double().numpy()).max() < 1e-6
    if schedule.zero_terminal_snr:
        euler = diffusers.EulerDiscreteScheduler(**config(schedule, rescale_betas_zero_snr=True))
        assert schedule.sigma_max == pytest.approx(float(euler.sigmas.max()), rel=1e-6)
        assert schedule.sigma_max == pytest.approx(4096, rel=1e-6)


def test_table_at_published_points():
    assert [SD.alphas_cumprod()[t] for t in (0, 499, 999)] == pytest.approx([0.99915, 0.27766965045646763, 0.004660098513077238], rel=1e-9)
    assert [X4.alphas_cumprod()[t] for t in (0, 499, 999)] == pytest.approx([0.9999, 0.3331877673563, 0.0007334124595808148], rel=1e-9)
    assert (SD.sigma_min, SD.sigma_max) == pytest.approx((0.0291672, 14.614641), rel=1e-5)


def test_table_is_the_written_out_product():
    betas = np.linspace(SD.beta_start**0.5, SD.beta_end**0.5, 1000) ** 2
    alphas = np.cumprod(1 - betas)
    np.testing.assert_allclose(SD.sigmas(), np.sqrt((1 - alphas) / alphas), rtol=1e-12)


@pytest.mark.parametrize("schedule", [SD, FLAT])
def test_zero_terminal_snr_keeps_the_first_level(schedule):
    assert schedule.sigma_min == pytest.approx(SD.sigma_min, rel=1e-9)
    assert all(a < b for a, b in itertools.pairwise(schedule.sigmas()))


@given(st.floats(0, 999))
def test_t_of_inverts_sigma_of(t):
    assert SD.t_of(SD.sigma_of(t)) == pytest.approx(t, abs=1e-9)


@given(st.floats(0.03, 14.6))
def test_t_of_is_diffusers_log_interpolation(sigma):
    euler = diffusers.EulerDiscreteScheduler(**config(SD))
    assert SD.t_of(sigma) == pytest.approx(float(euler._sigma_to_t(np.array([sigma]), np.log(SD.sigmas()))[0]), abs=1e-6)


def test_levels_beyond_the_table_are_its_ends():
    assert (SD.t_of(0), SD.t_of(1e-9), SD.t_of(100)) == (0, 0, 999)
    assert (SD.sigma_of(-3), SD.sigma_of(1200)) == (SD.sigma_min, SD.sigma_max)
    assert [SD.sigma_of(t) for t in range(1000)] == list(SD.sigmas())


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("steps", COUNTS)
def test_timesteps_are_diffusers(spacing, steps):
    if (spacing, steps) == ("linspace", 1):
        assert timesteps(SD, 1, "linspace") == (999,)
        return
    ddim = diffusers.DDIMScheduler(**config(SD, timestep_spacing=spacing))
    ddim.set_timesteps(steps)
    assert list(timesteps(SD, steps, spacing)) == ddim.timesteps.tolist()
    pndm = diffusers.PNDMScheduler(**config(SD, timestep_spacing=spacing, skip_prk_steps=True))
    pndm.set_timesteps(steps)
    assert list(timesteps(SD, steps, spacing)) == pndm._timesteps[::-1].tolist()
    if spacing != "linspace":  # there Euler does not round
        euler = diffusers.EulerDiscreteScheduler(**config(SD, timestep_spacing=spacing))
        euler.set_timesteps(steps)
        assert list(timesteps(SD, steps, spacing)) == euler.timesteps.tolist()
        np.testing.assert_allclose(sigmas_for(SD, spacing, steps), euler.sigmas.numpy(), rtol=5e-5)


def test_every_count_of_timesteps_stays_in_the_table():
    for spacing, steps in itertools.product(("leading", "trailing", "linspace"), range(1, 1001)):
        ts = timesteps(SD, steps, spacing)
        assert len(ts) == steps
        assert ts[0] <= 999
        assert ts[-1] >= 0
        assert all(a > b for a, b in itertools.pairwise(ts))


@pytest.mark.parametrize("steps", [2, 5, 20, 50])
def test_sigma_ranges_are_diffusers(steps):
    def theirs(**use):
        euler = diffusers.EulerDiscreteScheduler(**config(SD, timestep_spacing="linspace", **use))
        euler.set_timesteps(steps)
        return euler.sigmas.double().numpy()

    ends = (steps, SD.sigma_min, SD.sigma_max)
    np.testing.assert_allclose(karras(*ends), theirs(use_karras_sigmas=True), rtol=2e-5)
    np.testing.assert_allclose(exponential(*ends), theirs(use_exponential_sigmas=True), rtol=2e-5)
    np.testing.assert_allclose(beta_sigma(*ends), theirs(use_beta_sigmas=True), rtol=2e-5)
    np.testing.assert_allclose(sigmas_for(SD, "normal", steps), theirs(), rtol=1e-3)  # theirs is linear in sigma, not log sigma


@pytest.mark.parametrize("steps", [1, 2, 7, 20, 64])
def test_published_formulas(steps):
    """k-diffusion's get_sigmas_* and the table walks of the well-known programs, in numpy."""
    table, low, high = np.array(SD.sigmas()), SD.sigma_min, SD.sigma_max

    def by_t(ts):
        return np.exp(np.interp(ts, np.arange(1000), np.log(table)))

    ramp = np.linspace(0, 1, steps)
    expected = {
        "karras": (high ** (1 / 7) + ramp * (low ** (1 / 7) - high ** (1 / 7))) ** 7,
        "exponential": np.exp(np.linspace(math.log(high), math.log(low), steps)),
        "polyexponential": np.exp(np.linspace(1, 0, steps) * (math.log(high) - math.log(low)) + math.log(low)),
        "normal": by_t(np.linspace(999, 0, steps)),
        "sgm_uniform": by_t(np.linspace(999, 0, steps + 1)[:-1]),
        "simple": table[[-(1 + int(i * (1000 / steps))) for i in range(steps)]],
        "ddim": table[[1 + i * (1000 // steps) for i in range(steps)][::-1]],
        "kl_optimal": np.tan(ramp * math.atan(low) + (1 - ramp) * math.atan(high)),
        "beta": by_t(999 * scipy.stats.beta.ppf(1 - np.linspace(0, 1, steps, endpoint=False), 0.6, 0.6)),
        "beta_sigma": low + scipy.stats.beta.ppf(1 - ramp, 0.6, 0.6) * (high - low),
    }
    for name, levels in expected.items():
        np.testing.assert_allclose(sigmas_for(SD, name, steps), [*levels, 0.0], rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(polyexponential(steps, low, high, 2.0)[:-1], np.exp((1 - ramp) ** 2 * math.log(high / low)) * low, rtol=1e-9)


def test_align_your_steps_is_the_published_table():
    published = diffusers.schedulers.AysSchedules["StableDiffusionSigmas"]
    assert align_your_steps(SD, 10) == pytest.approx(published, rel=1e-9)
    table = [*published[:-1], 0.029]
    between = np.exp(np.interp(np.linspace(0, 10, 26), np.arange(11), np.log(table)))
    assert align_your_steps(SD, 25) == pytest.approx([*between[:-1], 0.0], rel=1e-9)
    stretched = align_your_steps(X4, 10)
    assert stretched[0] == pytest.approx(X4.sigma_max)
    assert stretched[-2] > X4.sigma_min


@given(st.sampled_from(list(SCHEDULES)), st.integers(1, 60), st.sampled_from([SD, X4, FLAT, SHORT]))
@settings(deadline=None)
def test_every_schedule_falls_to_zero_within_the_table(name, steps, schedule):
    sigmas = sigmas_for(schedule, name, steps)
    assert len(sigmas) == steps + 1
    assert sigmas[-1] == 0
    assert all(a > b for a, b in itertools.pairwise(sigmas))
    assert sigmas[0] <= max(schedule.sigma_max, 14.615) * (1 + 1e-9)
    assert sigmas[-2] >= min(schedule.sigma_min, 0.029) * (1 - 1e-9)
    assert all(type(sigma) is float for sigma in sigmas)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_most_steps_still_fall(name):
    assert all(a > b for a, b in itertools.pairwise(sigmas_for(SD, name, 1000)))


def test_names_and_labels():
    assert set(DESCRIPTIONS) == set(SCHEDULES)
    for name, about in DESCRIPTIONS.items():
        assert about.en
        assert about.ja
        if name != "beta_sigma":
            assert sigmas_for(SD, about.label, 4) == sigmas_for(SD, name, 4)
    with pytest.raises(KakusanError, match="did you mean 'karras'") as error:
        sigmas_for(SD, "Karas", 4)
    assert "'karras' ではありませんか" in error.value.ja


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_steps_out_of_range(steps):
    with pytest.raises(KakusanError, match=f"steps is {steps}; it must be from 1 to 1000"):
        sigmas_for(SD, "karras", steps)
    with pytest.raises(KakusanError, match="from 1 to 60"):
        sigmas_for(SHORT, "leading", 61)


def test_bad_values_are_named():
    with pytest.raises(KakusanError, match="kind is 'cosine'"):
        NoiseSchedule(kind="cosine")
    with pytest.raises(KakusanError, match="beta_start=0"):
        NoiseSchedule(beta_start=0)
    with pytest.raises(KakusanError, match="unknown timestep spacing 'middle'"):
        timesteps(SD, 5, "middle")
    with pytest.raises(ValueError, match="sigma_min=2, sigma_max=1"):
        karras(5, 2, 1)


@pytest.mark.parametrize("steps", [1, 7, 20, 50])
@given(amount=st.floats(0, 1))
@settings(deadline=None)
def test_strength_counts_as_diffusers(steps, amount):
    pipeline = type("Pipeline", (), {"scheduler": diffusers.DDIMScheduler(**config(SD))})()
    pipeline.scheduler.set_timesteps(steps)
    left, count = diffusers.StableDiffusionImg2ImgPipeline.get_timesteps(pipeline, steps, amount, None)
    tail = strength(sigmas_for(SD, "leading", steps), amount)
    assert len(tail) - 1 == count
    assert tail[:-1] == tuple(SD.sigmas()[t] for t in left.tolist())


def test_strength_ends():
    sigmas = sigmas_for(SD, "karras", 8)
    assert strength(sigmas, 1) == sigmas
    assert strength(sigmas, 0) == (0.0,)
    assert len(strength(sigmas_for(SD, "karras", 50), 0.75)) == 38
    with pytest.raises(KakusanError, match=r"strength is 1.5"):
        strength(sigmas, 1.5)


@pytest.mark.parametrize("steps", [4, 5, 7, 20, 30, 50, 300])
def test_midpoints_are_those_of_diffusers_runge_kutta_steps(steps):
    pndm = diffusers.PNDMScheduler(**config(SD))
    pndm.set_timesteps(steps)
    asked = [round(SD.t_of(sigma), 6) for sigma in midpoints(SD, sigmas_for(SD, "leading", steps))]
    odd = 1000 // steps % 2  # there the state moves to `asked`, but the network is told one less
    assert asked == [t + odd for t in pndm.prk_timesteps[1::4].tolist()]
    assert asked == [t - 1000 // steps // 2 for t in timesteps(SD, steps)[:3]]


def test_midpoints_lie_between():
    sigmas = sigmas_for(SD, "karras", 3)
    middle = midpoints(SD, sigmas)
    assert len(middle) == 2
    assert all(a > m > b for m, (a, b) in zip(middle, itertools.pairwise(sigmas), strict=False))
    assert midpoints(SD, sigmas_for(SD, "karras", 1)) == ()


@given(st.floats(0, 1), st.floats(0.2, 5), st.floats(0.2, 5))
def test_beta_distribution_is_scipys(x, a, b):
    assert beta_cumulative(x, a, b) == pytest.approx(scipy.stats.beta.cdf(x, a, b), rel=1e-9, abs=1e-12)


@given(st.floats(1e-3, 1))
@settings(deadline=None)
def test_beta_quantile_is_scipys(q):
    assert beta_quantile(q, 0.6, 0.6) == pytest.approx(scipy.stats.beta.ppf(q, 0.6, 0.6), rel=1e-9, abs=1e-12)


def test_import_is_light():
    code = "import sys, kakusan.schedules; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
