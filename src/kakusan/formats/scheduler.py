"""scheduler_config.json: the noise a model was trained on, in the words of diffusers' scheduler of whatever class."""

from pathlib import Path

from ..errors import FileError, KakusanError
from ..schedules import NoiseSchedule
from .configs import DIFFUSERS
from .fields import Fields

LEADING = ("PNDMScheduler", "DDIMScheduler", "DDPMScheduler", "UniPCMultistepScheduler")
LINSPACE = (
    *("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "LMSDiscreteScheduler", "HeunDiscreteScheduler"),
    *("KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"),
    *("DPMSolverSDEScheduler", "DEISMultistepScheduler"),
)

SAME: dict[str, tuple[object, ...]] = {
    "trained_betas": (None, []),
    "thresholding": (False,),
    "predict_epsilon": (True,),  # before there was prediction_type
    "sigma_min": (None,),
    "sigma_max": (None,),
    "timestep_type": ("discrete",),
    "use_flow_sigmas": (False,),
}
# How a sampler of that class goes about it: kakusan's user chooses sampler and schedule by name. Latents are never clipped.
IGNORED = (
    *("_class_name", "_diffusers_version", "clip_sample", "clip_sample_range", "dynamic_thresholding_ratio", "sample_max_value"),
    *("skip_prk_steps", "variance_type", "interpolation_type", "final_sigmas_type", "use_karras_sigmas", "use_exponential_sigmas"),
    *("use_beta_sigmas", "use_lu_lambdas", "solver_order", "solver_type", "solver_p", "algorithm_type", "lower_order_final"),
    *("euler_at_final", "predict_x0", "disable_corrector", "lambda_min_clipped", "flow_shift", "use_dynamic_shifting"),
    *("time_shift_type", "noise_sampler_seed", "tensor_format", "timestep_values", "_name_or_path"),
)


def read_schedule(file: Path) -> NoiseSchedule:
    """The noise schedule of a scheduler_config.json; what it leaves out is what its class has by default."""
    fields = Fields(file)
    name = fields.take("_class_name", str)
    if name not in LEADING + LINSPACE:
        fields.refuse("_class_name", name, " / ".join(LEADING + LINSPACE))
    fields.expect(SAME)
    fields.ignore(IGNORED)
    try:
        schedule = NoiseSchedule(
            beta_start=fields.take("beta_start", float, 0.0001),
            beta_end=fields.take("beta_end", float, 0.02),
            kind=fields.take("beta_schedule", str, "linear"),
            steps=fields.take("num_train_timesteps", int, 1000),
            prediction=fields.take("prediction_type", str, "epsilon"),
            zero_terminal_snr=fields.take("rescale_betas_zero_snr", bool, False),
            steps_offset=fields.take("steps_offset", int, 0),
            set_alpha_to_one=fields.take("set_alpha_to_one", bool, name != "PNDMScheduler"),
            spacing=fields.take("timestep_spacing", str, "leading" if name in LEADING else "linspace"),
        )
    except FileError:
        raise
    except KakusanError as error:
        raise FileError(f"{file}: {error.en}", f"{file}: {error.ja}") from error
    fields.done()
    return schedule


def write_schedule(schedule: NoiseSchedule) -> dict[str, object]:
    """scheduler_config.json as SD1 has it, PNDM's; as SD2 has it, DDIM's, for a network that predicts v.

    diffusers' PNDM averages v where PLMS averages the noise in it, and cannot do zero terminal SNR.
    """
    other = schedule.zero_terminal_snr or schedule.prediction == "v_prediction"
    config = {
        **_noise(schedule),
        "_class_name": "DDIMScheduler" if other else "PNDMScheduler",
        "clip_sample": False,
        "set_alpha_to_one": schedule.set_alpha_to_one,
        "skip_prk_steps": True,
    }
    if schedule.zero_terminal_snr:
        config["rescale_betas_zero_snr"] = True
    return config


def write_low_noise(schedule: NoiseSchedule) -> dict[str, object]:
    """scheduler_config.json of the x4 upscaler's second schedule, which noises the small picture and samples nothing: DDPM's."""
    config = {**_noise(schedule), "_class_name": "DDPMScheduler", "clip_sample": True, "variance_type": "fixed_small"}
    if not schedule.set_alpha_to_one:
        config["set_alpha_to_one"] = False
    return config


def _noise(schedule: NoiseSchedule) -> dict[str, object]:
    return {
        "_diffusers_version": DIFFUSERS,
        "beta_end": schedule.beta_end,
        "beta_schedule": schedule.kind,
        "beta_start": schedule.beta_start,
        "num_train_timesteps": schedule.steps,
        "prediction_type": schedule.prediction,
        "steps_offset": schedule.steps_offset,
        "timestep_spacing": schedule.spacing,
        "trained_betas": None,
    }
