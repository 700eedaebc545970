"""Settings that several classes have, with their usual values; the order is that of diffusers' constructors."""

import math

BETAS: dict[str, object] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
}
STABLE_BETAS = {**BETAS, "beta_start": 0.00085, "beta_end": 0.012}
EPSILON: dict[str, object] = {"prediction_type": "epsilon"}
RAMPS: dict[str, object] = {"use_karras_sigmas": False, "use_exponential_sigmas": False, "use_beta_sigmas": False}
LINSPACE: dict[str, object] = {"timestep_spacing": "linspace", "steps_offset": 0}
LEADING: dict[str, object] = {"timestep_spacing": "leading", "steps_offset": 0}
THRESHOLDS: dict[str, object] = {
    "thresholding": False,
    "dynamic_thresholding_ratio": 0.995,
    "clip_sample_range": 1.0,
    "sample_max_value": 1.0,
}
SOLVER: dict[str, object] = {
    **BETAS,
    "solver_order": 2,
    **EPSILON,
    "thresholding": False,
    "dynamic_thresholding_ratio": 0.995,
    "sample_max_value": 1.0,
}
DPM: dict[str, object] = {**SOLVER, "algorithm_type": "dpmsolver++", "solver_type": "midpoint"}
FLOW: dict[str, object] = {"use_flow_sigmas": False, "flow_shift": 1.0}
SHIFT: dict[str, object] = {"use_dynamic_shifting": False, "time_shift_type": "exponential"}
ENDS: dict[str, object] = {"final_sigmas_type": "zero", "lambda_min_clipped": -math.inf, "variance_type": None}
