"""Every scheduler beside diffusers' class of that name: each latent of whole loops, whatever the settings.

diffusers rounds its tables and weights to float32. Settings are compared to 1e-5 as they are, and to 1e-7 with its rounding taken away.
"""

from typing import Any

import pytest
import torch

from compat.scheduler_loop import NAMES, STABLE, Loop, compare, in_float64, pair

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs

COARSE = {"DEISMultistepScheduler": 1e-4, "KDPM2AncestralDiscreteScheduler": 3e-5}  # float32 weights lose digits there, in diffusers

SPACINGS = [{"timestep_spacing": spacing, "steps_offset": offset} for spacing in ("linspace", "leading", "trailing") for offset in (0, 1)]
RAMPS = [{"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True}]
BETAS = [{"beta_schedule": "linear"}, {"trained_betas": [0.0004 + 0.00001 * i for i in range(1000)]}, {"num_train_timesteps": 600}]
V = {"prediction_type": "v_prediction"}
X0 = {"prediction_type": "sample"}
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
ENDS = [{"final_sigmas_type": "sigma_min"}, {"final_sigmas_type": "sigma_min", "use_karras_sigmas": True}]

Cases = list[dict[str, Any]]
K_DIFFUSION: Cases = [{}, V, *BETAS, *SPACINGS, *RAMPS, {"timestep_spacing": "leading", "steps_offset": 1, "use_karras_sigmas": True}]
DPM: Cases = [
    {"solver_order": order, "solver_type": kind, "algorithm_type": algorithm, "final_sigmas_type": "sigma_min"}
    for order in (1, 2, 3)
    for kind in ("midpoint", "heun")
    for algorithm in ("dpmsolver++", "sde-dpmsolver++", "dpmsolver")
]
SETTINGS: dict[str, Cases] = {
    "DDIMScheduler": [
        *({"clip_sample": False, **case} for case in ({}, V, X0, *BETAS, *SPACINGS, {"set_alpha_to_one": False}, {**V, **ZERO_SNR})),
        {"beta_schedule": "squaredcos_cap_v2"},
        {"clip_sample_range": 0.7},
    ],
    "DDPMScheduler": [
        *({"clip_sample": False, **case} for case in ({}, V, X0, *BETAS, *SPACINGS, {**V, **ZERO_SNR})),
        {"beta_schedule": "squaredcos_cap_v2"},
        {"variance_type": "fixed_large"},
        {"variance_type": "fixed_small_log", "clip_sample_range": 0.7},
    ],
    "PNDMScheduler": [
        {"skip_prk_steps": skip, **case} for skip in (True, False) for case in ({}, V, *BETAS, *SPACINGS, {"set_alpha_to_one": True})
    ],
    "LMSDiscreteScheduler": [*K_DIFFUSION, X0],
    "EulerDiscreteScheduler": [
        *(*K_DIFFUSION, X0, *ENDS, ZERO_SNR, {"interpolation_type": "log_linear"}),
        {"use_karras_sigmas": True, "sigma_min": 0.1, "sigma_max": 10.0},
        {**V, "timestep_type": "continuous"},
    ],
    "EulerAncestralDiscreteScheduler": [{}, V, *BETAS, *SPACINGS, ZERO_SNR],
    "HeunDiscreteScheduler": [*K_DIFFUSION, X0, {"clip_sample": True, "clip_sample_range": 0.7}],
    "KDPM2DiscreteScheduler": K_DIFFUSION,
    "KDPM2AncestralDiscreteScheduler": K_DIFFUSION,
    "DPMSolverMultistepScheduler": [
        *({}, V, X0, *BETAS, *SPACINGS, *RAMPS, *ENDS, ZERO_SNR, *DPM),
        {"algorithm_type": "sde-dpmsolver", "final_sigmas_type": "sigma_min"},
        {"algorithm_type": "sde-dpmsolver", "final_sigmas_type": "sigma_min", "solver_type": "heun"},
        *({"solver_order": 3, "lower_order_final": lower, "euler_at_final": not lower} for lower in (True, False)),
        {"use_lu_lambdas": True},
        {"lambda_min_clipped": -2.5},
        {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1},
    ],
    "DPMSolverSinglestepScheduler": [
        *({}, V, X0, *BETAS, *RAMPS, *ENDS, *DPM, {"lambda_min_clipped": -2.5}),
        *({"solver_order": order, "lower_order_final": True} for order in (1, 2, 3)),
    ],
    "UniPCMultistepScheduler": [
        *({}, V, X0, *BETAS, *SPACINGS, *RAMPS, *ENDS, ZERO_SNR),
        *({"solver_order": order, "solver_type": kind, **ENDS[0]} for order in (1, 2, 3) for kind in ("bh1", "bh2")),
        *({"solver_order": order, "predict_x0": False, **ENDS[0]} for order in (1, 2, 3)),
        {"lower_order_final": False, **ENDS[0]},
        {"disable_corrector": [0, 3]},
    ],
    "DEISMultistepScheduler": [{}, V, X0, *BETAS, *SPACINGS, *RAMPS, *({"solver_order": order} for order in (1, 2, 3))],
}
CASES = [(name, case) for name in NAMES for case in SETTINGS[name]]


@pytest.mark.parametrize(("name", "case"), CASES)
def test_equal(name: str, case: dict[str, Any]) -> None:
    compare(*pair(name, **{**STABLE, **case}), Loop(steps=18), COARSE.get(name, 1e-5))


@pytest.mark.parametrize(("name", "case"), [(n, c) for n, c in CASES if not {"use_exponential_sigmas", "timestep_type"} & {*c}])
def test_the_same_but_for_rounding(name: str, case: dict[str, Any]) -> None:
    with in_float64():
        compare(*pair(name, **{**STABLE, **case}), Loop(steps=5), tolerance=1e-7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fifty_steps(name: str, prediction: str, dtype: torch.dtype) -> None:
    settings = {**STABLE, "prediction_type": prediction, **({"skip_prk_steps": True} if name.startswith("PNDM") else {})}
    compare(*pair(name, **settings), Loop(steps=50, dtype=dtype), COARSE.get(name, 1e-5))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps(name: str, steps: int) -> None:
    settings = {**STABLE, **({"skip_prk_steps": True} if name.startswith("PNDM") else {})}
    with in_float64():
        compare(*pair(name, **settings), Loop(steps=steps), tolerance=1e-7)


@pytest.mark.parametrize(("name", "case"), [(n, c) for n in NAMES for c in SETTINGS[n][:1] + SETTINGS[n][-2:]])
@pytest.mark.parametrize(("begin", "told"), [(1, True), (2, False), (11, False), (17, True)])
def test_from_the_middle_and_tampered_with(name: str, case: dict[str, Any], begin: int, told: bool) -> None:
    """As for pictures made from others, and with latents that are overwritten between the steps, as when only a part is drawn."""
    loop = Loop(steps=18, begin=begin, changed=begin % 2 == 1, set_begin_index=told)
    compare(*pair(name, **{**STABLE, **case}), loop, COARSE.get(name, 1e-5))


OPTIONS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    *(("DDIMScheduler", {"clip_sample": clip}, {"eta": eta}) for clip in (True, False) for eta in (0.3, 1.0)),
    *(("DDIMScheduler", {}, {"eta": eta, "use_clipped_model_output": True}) for eta in (0.0, 0.6)),
    *(("LMSDiscreteScheduler", {}, {"order": order}) for order in (1, 2, 3, 6)),
    ("EulerDiscreteScheduler", {}, {"s_churn": 5.0, "s_noise": 1.01}),
    ("EulerDiscreteScheduler", {"prediction_type": "v_prediction"}, {"s_churn": 30.0, "s_tmin": 0.1, "s_tmax": 5.0}),
]


@pytest.mark.parametrize(("name", "settings", "options"), OPTIONS)
@pytest.mark.parametrize("begin", [0, 7])
def test_options_of_step(name: str, settings: dict[str, Any], options: dict[str, Any], begin: int) -> None:
    compare(*pair(name, **STABLE, **settings), Loop(options=options, begin=begin))


CHOSEN: list[tuple[str, dict[str, Any]]] = [
    ("DDPMScheduler", {"timesteps": [900, 700, 333, 10]}),
    ("EulerDiscreteScheduler", {"timesteps": [999, 850, 736, 645, 545, 455, 343, 233, 124, 24]}),
    ("EulerDiscreteScheduler", {"sigmas": [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.0]}),
    ("HeunDiscreteScheduler", {"timesteps": [999, 700, 400, 100]}),
    ("DPMSolverMultistepScheduler", {"timesteps": [999, 850, 736, 645, 545, 455, 343, 233, 124, 24]}),
    ("DPMSolverSinglestepScheduler", {"timesteps": [999, 700, 400, 100]}),
]


@pytest.mark.parametrize(("name", "chosen"), CHOSEN)
def test_chosen_timesteps_and_levels(name: str, chosen: dict[str, Any]) -> None:
    compare(*pair(name, **STABLE), Loop(chosen=chosen))


@pytest.mark.parametrize("name", NAMES)
def test_before_set_timesteps(name: str) -> None:
    theirs, ours = pair(name, **STABLE)
    for what in ("betas", "alphas", "alphas_cumprod", "init_noise_sigma", "sigmas", "timesteps"):
        wanted = getattr(theirs, what, None)
        if wanted is not None:
            torch.testing.assert_close(
                torch.as_tensor(getattr(ours, what)), torch.as_tensor(wanted), rtol=1e-6, atol=1e-4, check_dtype=False
            )
    assert ours.order == theirs.order
    assert len(ours) == len(theirs) == 1000
    assert ours.num_inference_steps == theirs.num_inference_steps
