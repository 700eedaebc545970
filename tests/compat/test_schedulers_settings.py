"""Settings as diffusers keeps them: defaults, what is handed from class to class, files that both read, what is refused."""

import copy
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from compat.scheduler_loop import NAMES, STABLE, Loop, compare, pair
from kakusan.compat.diffusers import schedulers
from kakusan.errors import FileError, KakusanError

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs

# scheduler_config.json of published models, as they are on the hub
SD = {
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "trained_betas": None,
}
X4 = {**SD, "beta_end": 0.02, "beta_start": 0.0001}
PUBLISHED = {
    "1.4": {"_class_name": "PNDMScheduler", "_diffusers_version": "0.4.0.dev0", "skip_prk_steps": True, **SD},
    "1.5 inpainting": {"_class_name": "DDIMScheduler", "_diffusers_version": "0.6.0.dev0", "clip_sample": False, **SD},
    "2.1 base": {
        **{"_class_name": "PNDMScheduler", "_diffusers_version": "0.10.0.dev0", "skip_prk_steps": True, **SD},
        **{"clip_sample": False, "prediction_type": "epsilon"},
    },
    "2.1": {
        **{"_class_name": "DDIMScheduler", "_diffusers_version": "0.8.0", "skip_prk_steps": True, **SD},
        **{"clip_sample": False, "prediction_type": "v_prediction"},
    },
    "x4": {
        **{"_class_name": "DDIMScheduler", "_diffusers_version": "0.10.0.dev0", "skip_prk_steps": True, **X4},
        **{"clip_sample": False, "prediction_type": "v_prediction"},
    },
    "x4 low_res": {
        **{"_class_name": "DDPMScheduler", "_diffusers_version": "0.10.0.dev0", "beta_end": 0.02, "beta_schedule": "scaled_linear"},
        **{"beta_start": 0.0001, "clip_sample": True, "num_train_timesteps": 1000, "prediction_type": "epsilon", "trained_betas": None},
        **{"variance_type": "fixed_small"},
    },
}


def both(name: str) -> tuple[Any, Any]:
    return getattr(diffusers, name), getattr(schedulers, name)


def plain(config: Any) -> dict[str, Any]:
    """Without the order of names, which is chance in diffusers, and without the version of who wrote it."""
    return {**config, "_use_default_values": sorted(config.get("_use_default_values", [])), "_diffusers_version": ""}


@pytest.mark.parametrize("name", NAMES)
def test_signatures(name: str) -> None:
    """Names, order and defaults of all arguments, which other programs look up."""
    theirs, ours = both(name)

    def arguments(function: Callable[..., Any]) -> list[tuple[str, Any]]:
        return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]

    assert arguments(ours) == arguments(theirs.__init__)[1:]
    for method in ("step", "set_timesteps"):
        assert arguments(getattr(ours, method)) == arguments(getattr(theirs, method))
    for method in ("add_noise", "scale_model_input", "get_velocity", "set_begin_index", "index_for_timestep"):
        assert hasattr(ours, method) or not hasattr(theirs, method)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("model", PUBLISHED)
def test_published_settings(name: str, model: str) -> None:
    """1.4 does not say clip_sample: DDIM and DDPM made from it clip latents, also in diffusers."""
    theirs, ours = (kind.from_config(PUBLISHED[model]) for kind in both(name))
    assert plain(ours.config) == plain(theirs.config)
    loop = Loop(steps=12, dtype=torch.float32)
    compare(theirs, ours, loop, 5e-5 if name.startswith("DEIS") else 1e-5)


@pytest.mark.parametrize("first", NAMES)
@pytest.mark.parametrize("second", NAMES)
def test_handed_from_class_to_class(first: str, second: str) -> None:
    """What was a default is not handed on; what a class does not know is kept for the next."""
    made = []
    for package in (diffusers, schedulers):
        scheduler = getattr(package, first)(beta_end=0.013, num_train_timesteps=60)
        for name, changes in ((second, {"use_karras_sigmas": True}), ("DDPMScheduler", {"clip_sample": False}), (first, {})):
            scheduler = getattr(package, name).from_config(scheduler.config, **changes)
        made.append(plain(scheduler.config))
    assert made[0] == made[1]


def test_unused_settings_are_given_back() -> None:
    config = {**PUBLISHED["2.1"], "of_nobody": 3}
    theirs, ours = (kind.from_config(config, return_unused_kwargs=True, eta=1)[1] for kind in both("EulerDiscreteScheduler"))
    assert ours == theirs


def test_hidden_settings_do_nothing() -> None:
    """Karras' levels asked of a class that has them, then handed on to one that has not."""
    for package in (diffusers, schedulers):
        karras = package.DPMSolverMultistepScheduler(**STABLE, use_karras_sigmas=True, use_lu_lambdas=False, rescale_betas_zero_snr=True)
        euler_a = package.EulerAncestralDiscreteScheduler.from_config(karras.config, rescale_betas_zero_snr=False)
        euler_a.set_timesteps(7)
        levels = euler_a.sigmas if package is diffusers else levels  # noqa: F821
        torch.testing.assert_close(euler_a.sigmas, levels, rtol=1e-6, atol=0)
    assert euler_a.config.use_karras_sigmas


@pytest.mark.parametrize("name", NAMES)
def test_files_are_each_others(name: str, tmp_path: Path) -> None:
    theirs, ours = pair(name, **STABLE)
    ours.save_pretrained(tmp_path / "ours")
    theirs.save_pretrained(tmp_path / "theirs")
    files = [json.loads((tmp_path / kind / "scheduler_config.json").read_text()) for kind in ("ours", "theirs")]
    assert files[0] | {"_diffusers_version": ""} == files[1] | {"_diffusers_version": ""}
    assert plain(getattr(diffusers, name).from_pretrained(tmp_path / "ours").config) == plain(
        type(ours).from_pretrained(tmp_path / "theirs").config
    )


def test_from_a_models_folder(tmp_path: Path) -> None:
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler/scheduler_config.json").write_text(json.dumps(PUBLISHED["2.1"]))
    scheduler = schedulers.LMSDiscreteScheduler.from_pretrained(tmp_path, subfolder="scheduler", use_karras_sigmas=True)
    assert scheduler.config.prediction_type == "v_prediction"
    assert scheduler.config["use_karras_sigmas"] is True
    with pytest.raises(FileError, match="subfolder"):
        schedulers.LMSDiscreteScheduler.from_pretrained(tmp_path)
    (tmp_path / "scheduler/scheduler_config.json").write_text("{")
    with pytest.raises(FileError, match="not valid JSON"):
        schedulers.LMSDiscreteScheduler.from_pretrained(tmp_path, subfolder="scheduler")


def test_config_is_items_and_attributes() -> None:
    scheduler = schedulers.DDIMScheduler(900, clip_sample=False)
    config = scheduler.config
    assert config.num_train_timesteps == config["num_train_timesteps"] == dict(config)["num_train_timesteps"] == len(scheduler) == 900
    assert scheduler.num_train_timesteps == 900
    assert "clip_sample" not in config["_use_default_values"]
    assert not hasattr(config, "of_nobody")
    assert '"clip_sample": false' in repr(scheduler)
    copied = copy.deepcopy(scheduler)
    scheduler.register_to_config(steps_offset=1)
    assert (scheduler.config.steps_offset, copied.config.steps_offset) == (1, 0)


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: schedulers.PNDMScheduler(beta_stat=1), "did you mean beta_start"),
    (lambda: schedulers.PNDMScheduler(*range(20)), "too many arguments"),
    (lambda: schedulers.PNDMScheduler(prediction_type="sample"), "prediction_type is 'sample'"),
    (lambda: schedulers.PNDMScheduler(beta_schedule="sigmoid"), "beta_schedule is 'sigmoid'"),
    (lambda: schedulers.DDIMScheduler(thresholding=True), "thresholding is True"),
    (lambda: schedulers.DDPMScheduler(variance_type="learned"), "variance_type is 'learned'"),
    (lambda: schedulers.UniPCMultistepScheduler(use_flow_sigmas=True), "use_flow_sigmas is True"),
    (lambda: schedulers.UniPCMultistepScheduler(solver_p=object()), "solver_p"),
    (lambda: schedulers.EulerDiscreteScheduler(use_karras_sigmas=True, use_beta_sigmas=True), "choose one of"),
    (lambda: schedulers.DPMSolverMultistepScheduler(algorithm_type="dpmsolver"), "final_sigmas_type='sigma_min'"),
    (lambda: schedulers.DPMSolverSinglestepScheduler(solver_order=4), "solver_order is 4"),
    (lambda: schedulers.DPMSolverSinglestepScheduler(algorithm_type="sde-dpmsolver"), "algorithm_type is 'sde-dpmsolver'"),
    (lambda: schedulers.EulerDiscreteScheduler().set_timesteps(0), "num_inference_steps is 0"),
    (lambda: schedulers.EulerDiscreteScheduler().set_timesteps(), "give one of"),
    (lambda: schedulers.EulerDiscreteScheduler(use_karras_sigmas=True).set_timesteps(timesteps=[9, 5]), "use_karras_sigmas"),
    (lambda: schedulers.DDIMScheduler().set_timesteps(1001), "from 1 to 1000"),
    (lambda: schedulers.DDPMScheduler().set_timesteps(timesteps=[5, 9]), "falling timesteps"),
    (lambda: schedulers.PNDMScheduler().set_timesteps(3), "skip_prk_steps=True"),
    (lambda: schedulers.UniPCMultistepScheduler().set_timesteps(sigmas=[1.0]), "flow models"),
    (lambda: schedulers.DDIMScheduler.from_config("a folder"), "from_pretrained"),
    (lambda: schedulers.DDIMScheduler(beta_end="0.02"), "beta_end is '0.02'"),
    (lambda: schedulers.DDIMScheduler(num_train_timesteps=10.5), "num_train_timesteps is 10.5"),
    (lambda: schedulers.UniPCMultistepScheduler(solver_type=["bh1"]), "solver_type is ['bh1']"),
]


@pytest.mark.parametrize(("call", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_refused_in_one_line(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(KakusanError) as caught:
        call()
    assert words in caught.value.en
    assert "\n" not in caught.value.en + caught.value.ja
