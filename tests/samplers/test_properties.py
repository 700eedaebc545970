"""What must hold of every sampler: replay, batches, short schedules, no noise, order of convergence."""

import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kakusan.errors import KakusanError
from kakusan.samplers import NAMES, SAMPLERS, needs_noise, sample
from kakusan.types import Evaluate, Prediction, Sampler
from toy import ToyNoise, predict, run

ALL = list(SAMPLERS)
SIGMAS = [14.0, 6.0, 2.5, 1.0, 0.4, 0.1, 0.0]
LONG = [14.0 * (1 - i / 24) ** 3 for i in range(24)] + [0.0]  # long enough for `restart` to go back
X = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(5))


def start(name: str, sigmas: list[float], x: Tensor = X, seeds: tuple[int, ...] = (1, 2, 3), **options: Any) -> Sampler:
    return sample(name, x * sigmas[0], sigmas, ToyNoise(*seeds), **options)


def test_every_sampler_is_named_and_every_name_is_a_sampler() -> None:
    assert [entry.name for entry in NAMES] == ALL
    for entry in NAMES:
        assert SAMPLERS[entry.name].__name__ == entry.name
        assert entry.en
        assert entry.ja
    assert len({entry.label for entry in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", ALL)
def test_needs_noise_is_true_of_those_that_draw_some(name: str) -> None:
    draws = []

    def noise(like: Tensor, sigma: float, sigma_next: float) -> Tensor:
        draws.append((sigma, sigma_next))
        return torch.zeros_like(like)

    run(sample(name, X * LONG[0], LONG, noise))
    assert bool(draws) == needs_noise(name)


def test_names_need_no_torch() -> None:
    code = (
        "import sys, kakusan.samplers as s; s.needs_noise('lcm'); assert len(s.NAMES) == 22; assert not {'torch', 'numpy'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("sigmas", [SIGMAS, SIGMAS[:-1], LONG, [14.0, 0.0], [14.0, 3.0], [14.0, 3.0, 0.0], [14.0]], ids=len)
def test_any_schedule_gives_finite_float32(name: str, sigmas: list[float]) -> None:
    journal: list[tuple[Evaluate, Prediction]] = []
    x = run(start(name, sigmas), journal=journal)
    assert x.shape == X.shape
    assert x.dtype == torch.float32
    assert x.isfinite().all()
    assert all(isinstance(asked.sigma, float) and asked.sigma > 0 for asked, _ in journal)


@pytest.mark.parametrize("name", ALL)
def test_one_step_to_zero_is_the_models_estimate(name: str) -> None:
    x = run(start(name, [14.0, 0.0]))
    torch.testing.assert_close(x, predict(X * 14, torch.full((3,), 14.0)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_replay_of_recorded_replies_is_the_run(name: str) -> None:
    journal: list[tuple[Evaluate, Prediction]] = []
    x = run(start(name, LONG), journal=journal)
    sampler = start(name, LONG)
    asked = next(sampler)
    for before, reply in journal[:-1]:
        assert asked.sigma == before.sigma
        assert torch.equal(asked.x, before.x)
        asked = sampler.send(reply)
    with pytest.raises(StopIteration) as stop:
        sampler.send(journal[-1][1])
    assert torch.equal(stop.value.value, x)


@pytest.mark.parametrize("name", [name for name in ALL if name != "dpm_adaptive"])  # whose images share the length of steps
def test_each_image_of_a_batch_is_as_if_alone(name: str) -> None:
    together = run(start(name, LONG, X.double()))
    alone = torch.cat([run(start(name, LONG, X[i : i + 1].double(), (i + 1,))) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "ode", "options"),
    [
        ("ddim", "euler", {}),
        ("euler_ancestral", "euler", {}),
        ("dpm_2_ancestral", "dpm_2", {}),
        ("dpmpp_2m_sde", "dpmpp_2m", {"solver_type": "midpoint"}),
        ("dpmpp_2s_ancestral", "dpmpp_sde", {}),
    ],
)
@pytest.mark.parametrize("sigmas", [SIGMAS, SIGMAS[:-1]], ids=len)
def test_without_noise_the_sde_solver_is_the_ode_solver(name: str, ode: str, options: dict[str, str], sigmas: list[float]) -> None:
    x = X.double() * 14
    without = run(SAMPLERS[name](x, sigmas, ToyNoise(1, 2, 3), eta=0.0, **options))
    other = SAMPLERS[ode](x, sigmas, ToyNoise(1, 2, 3), eta=0.0) if ode == "dpmpp_sde" else SAMPLERS[ode](x, sigmas)
    torch.testing.assert_close(without, run(other))


def test_full_noise_makes_ddim_and_euler_ancestral_ddpm() -> None:
    ddpm = run(start("ddpm", SIGMAS, X.double()))
    torch.testing.assert_close(run(start("ddim", SIGMAS, X.double(), eta=1.0)), ddpm)
    torch.testing.assert_close(run(start("euler_ancestral", SIGMAS, X.double(), eta=1.0)), ddpm)


MEAN, SPREAD = 0.7, 0.8  # of the known data: a Gaussian, for which the perfect denoiser and the ODE's solution are known


def perfect(x: Tensor, sigma: Tensor) -> Tensor:
    return MEAN + SPREAD**2 / (SPREAD**2 + sigma[:, None, None, None] ** 2) * (x - MEAN)


def error_on_known_ode(name: str, steps: int, spacing: str, **options: Any) -> float:
    high, low = 5.0, 0.5
    sigmas = [high + i / steps * (low - high) if spacing == "linear" else high * (low / high) ** (i / steps) for i in range(steps + 1)]
    x = torch.full((1, 1, 1, 1), MEAN + 4.0, dtype=torch.float64)
    exact = MEAN + 4.0 * math.sqrt((SPREAD**2 + low**2) / (SPREAD**2 + high**2))
    return abs(float(run(sample(name, x, sigmas, ToyNoise(1), **options), perfect)) - exact)


@pytest.mark.parametrize(
    ("name", "order", "spacing", "options"),
    [
        ("euler", 1, "log", {}),
        ("ddim", 1, "log", {}),
        ("euler_ancestral", 1, "log", {"eta": 0.0}),
        ("euler_cfg_pp", 1, "log", {}),
        ("heun", 2, "log", {}),
        ("restart", 2, "log", {"restarts": ()}),
        ("dpm_2", 2, "log", {}),
        ("dpm_2_ancestral", 2, "log", {"eta": 0.0}),
        ("dpmpp_2m", 2, "log", {}),
        ("dpmpp_2s_ancestral", 2, "log", {"eta": 0.0}),
        ("dpmpp_sde", 2, "log", {"eta": 0.0}),
        ("dpmpp_2m_sde", 2, "log", {"eta": 0.0}),
        ("dpmpp_3m_sde", 2, "log", {"eta": 0.0}),
        ("unipc", 2, "log", {}),
        ("unipc", 2, "log", {"order": 3}),
        ("lms", 2, "log", {}),
        ("deis", 2, "log", {}),
        ("dpm_fast", 3, "log", {}),
        ("plms", 3, "linear", {}),
        ("pndm", 4, "linear", {}),
    ],
    ids=str,
)
def test_order_of_convergence(name: str, order: int, spacing: str, options: dict[str, Any]) -> None:
    """The error falls as the step's length to the power `order` or more (multistep methods start, some end, on lower orders)."""
    few, many = 83, 167  # alike modulo 3, which decides how `dpm_fast` ends
    errors = [error_on_known_ode(name, steps, spacing, **options) for steps in (few, many)]
    assert math.log(errors[0] / errors[1]) / math.log(many / few) > order - 0.15, errors


def test_adaptive_steps_keep_to_the_tolerance_asked_for() -> None:
    errors = [error_on_known_ode("dpm_adaptive", 1, "log", rtol=rtol, atol=rtol) for rtol in (1e-2, 1e-4, 1e-6)]
    assert all(error < 3 * rtol for error, rtol in zip(errors, (1e-2, 1e-4, 1e-6), strict=True)), errors


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("euler_cfg_pp", "dpm_adaptive")])
def test_samples_of_known_data_have_its_mean_and_spread(name: str) -> None:
    """Many steps from pure noise, with the perfect denoiser, draw from the data's own distribution."""
    x = torch.randn(1, 1, 160, 160, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    sigmas = [80.0 * (0.02 / 80) ** (i / 119) for i in range(120)] + [0.0]
    out = run(sample(name, x * 80, sigmas, ToyNoise(4)), perfect)
    assert abs(float(out.mean()) - MEAN) < 0.04
    assert abs(float(out.std()) - SPREAD) < (0.8 if name == "lcm" else 0.04)  # lcm ends on the estimate itself


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.02, 80), min_size=2, max_size=9, unique_by=lambda s: round(s, 2)), st.booleans(), st.sampled_from(ALL))
def test_any_falling_levels_will_do(levels: list[float], to_zero: bool, name: str) -> None:
    sigmas = sorted(levels, reverse=True) + [0.0] * to_zero
    assert run(sample(name, X.double()[:1] * sigmas[0], sigmas, ToyNoise(1)), perfect).isfinite().all()


def test_adaptive_steps_stop_on_answers_that_are_not_numbers() -> None:
    with pytest.raises(ValueError, match="not finite"):
        run(SAMPLERS["dpm_adaptive"](X, SIGMAS), lambda x, sigma: x * math.nan)


@pytest.mark.parametrize(
    ("name", "sigmas", "options", "said"),
    [
        ("eulr_ancestral", SIGMAS, {}, "did you mean euler_ancestral"),
        ("plms", SIGMAS, {"eta": 1.0}, "plms has no option 'eta'; its options: none"),
        ("euler", SIGMAS, {"churn": 1.0}, "s_churn, s_tmin, s_tmax, s_noise"),
        ("euler", [1.0, 1.0, 0.0], {}, "must fall"),
        ("euler", [1.0, -1.0], {}, "must fall"),
        ("euler", [], {}, "got none"),
    ],
)
def test_what_cannot_be_done_is_said(name: str, sigmas: list[float], options: dict[str, float], said: str) -> None:
    with pytest.raises(KakusanError) as error:
        sample(name, X, sigmas, ToyNoise(1, 2, 3), **options)
    assert said in error.value.en


def test_options_that_need_noise_say_so() -> None:
    with pytest.raises(ValueError, match="pass noise"):
        run(SAMPLERS["euler"](X, SIGMAS, s_churn=1.0))
    with pytest.raises(ValueError, match="'midpoint' or 'heun'"):
        next(SAMPLERS["dpmpp_2m_sde"](X, SIGMAS, ToyNoise(1), solver_type="simpson"))
    with pytest.raises(ValueError, match="order is 4"):
        next(SAMPLERS["dpm_adaptive"](X, SIGMAS, order=4))
