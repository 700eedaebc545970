"""The pipeline over a small random model: the same pictures as diffusers, alone as in company, and one line where it cannot."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import kakusan
from formats.tiny import tiny_model
from kakusan.errors import FileError, KakusanError
from kakusan.formats.folder import write_folder
from kakusan.pipeline import Pipeline
from kakusan.samplers.names import NAMES
from kakusan.schedules import SCHEDULES, NoiseSchedule
from peers import draw, levels, peer, same


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny"
    write_folder(tiny_model(), path, dtype=torch.float32)
    return path


@pytest.fixture(scope="module")
def pipe(folder: Path) -> Pipeline:
    return kakusan.load(folder, device="cpu")


PAIRS = [
    ("ddim", "leading", "", {}),  # what the folder itself says
    ("ddim", "trailing", "DDIMScheduler", {"timestep_spacing": "trailing", "set_alpha_to_one": True}),
    ("dpmpp_2m", "karras", "DPMSolverMultistepScheduler", {"use_karras_sigmas": True, "timestep_spacing": "linspace"}),
    ("euler", "linspace", "EulerDiscreteScheduler", {"timestep_spacing": "linspace"}),
    ("unipc", "karras", "UniPCMultistepScheduler", {"use_karras_sigmas": True, "timestep_spacing": "linspace"}),
]


@pytest.mark.parametrize(("sampler", "schedule", "theirs", "options"), PAIRS)
def test_the_same_picture_as_diffusers_for_the_same_seed(
    folder: Path, pipe: Pipeline, sampler: str, schedule: str, theirs: str, options: dict[str, object]
) -> None:
    ours = pipe("an apple", seed=5, steps=10, sampler=sampler, schedule=schedule, scale=4.0, width=24, height=16).images[0]
    want = draw(peer(folder, theirs, **options), "an apple", 5, 10, 4.0, width=24, height=16)
    largest, share = same(ours, want)
    assert ours.size == (24, 16)
    assert largest <= 3, f"{sampler} {schedule}: a pixel differs by {largest}, {share:.3f} of them differ"
    assert levels(ours).std() > 5, "a picture without contrast would prove nothing"


def test_a_noise_predicting_model_is_plms_in_both_as_stable_diffusion_1_is(tmp_path: Path) -> None:
    model = tiny_model()
    model.schedule = NoiseSchedule()
    write_folder(model, tmp_path / "eps", dtype=torch.float32)
    ours = kakusan.load(tmp_path / "eps", device="cpu")("an apple", seed=5, steps=10, sampler="plms", schedule="leading", scale=4.0).images[
        0
    ]
    largest, share = same(ours, draw(peer(tmp_path / "eps"), "an apple", 5, 10, 4.0, width=16, height=16))
    assert largest <= 1, f"a pixel differs by {largest}, {share:.3f} of them differ"


def test_picture_i_of_a_batch_is_the_picture_of_its_seed(pipe: Pipeline) -> None:
    together = pipe(["an apple", "りんご"], count=2, seed=11, sampler="euler_ancestral", steps=4)
    assert [recipe.seed for recipe in together.recipes] == [11, 12, 13, 14]
    for image, recipe in zip(together.images, together.recipes, strict=True):
        alone = pipe(recipe.prompt, seed=recipe.seed, sampler="euler_ancestral", steps=4).images[0]
        assert same(image, alone)[0] <= 1
    assert not np.array_equal(levels(together.images[0]), levels(together.images[1]))


def test_the_same_call_is_bit_equal(pipe: Pipeline) -> None:
    one, two = (pipe("an apple", seed=3, count=3).images for _ in range(2))
    assert all(np.array_equal(levels(a), levels(b)) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("sampler", [entry.name for entry in NAMES])
def test_every_sampler_draws_and_counts_its_evaluations(pipe: Pipeline, sampler: str) -> None:
    (recipe,) = pipe.recipes("an apple", seed=1, given={"sampler": sampler, "steps": 5})
    steps = list(pipe.steps([recipe]))
    assert steps[-1].image is not None
    if sampler != "dpm_adaptive":
        assert [step.done for step in steps] == list(range(1, steps[-1].total + 1))
    latents = [step.latent for step in steps if step.latent is not None]
    assert all(latent.shape == (4, 8, 8) for latent in latents)
    assert len(latents) == len(steps) - 2, "all but the text call and the decode show the latent"


@pytest.mark.parametrize("schedule", list(SCHEDULES))
def test_every_schedule_draws(pipe: Pipeline, schedule: str) -> None:
    assert pipe("an apple", seed=1, schedule=schedule, steps=3).images[0].size == (16, 16)


def test_labels_of_other_programs_are_understood(pipe: Pipeline) -> None:
    (recipe,) = pipe.recipes("an apple", seed=1, given={"sampler": "DPM++ 2M", "schedule": "Karras"})
    assert (recipe.sampler, recipe.schedule) == ("dpmpp_2m", "karras")


def test_defaults_are_the_models(pipe: Pipeline) -> None:
    assert (pipe.defaults.steps, pipe.defaults.scale, pipe.defaults.width) == (3, 2.5, 16)
    result = pipe("an apple")
    assert result.recipes[0].steps == 3
    assert result._repr_png_().startswith(b"\x89PNG")


def test_words_the_model_never_met_are_named(pipe: Pipeline) -> None:
    assert pipe("apples, 2 りんご 犬", seed=1).notes == ["this model does not know: 犬"]
    assert pipe("an apple", seed=1).notes == ["this model does not know: an"]
    assert pipe("", seed=1).notes == []


WRONG = [
    ({"sampler": "eulr"}, r"unknown sampler 'eulr'; did you mean euler\?"),
    ({"schedule": "karas"}, r"unknown schedule 'karas'; did you mean 'karras'\?"),
    ({"steps": 0}, r"0"),
    ({"width": 15}, r"width is 15; it must be a multiple of 2, up to 8192: try 16"),
    ({"height": 0}, r"height is 0; it must be a multiple of 2"),
    ({"height": 9000}, r"height is 9000; .* up to 8192"),
    ({"scale": math.nan}, r"scale is nan"),
    ({"seed": -1}, r"seed is -1"),
    ({"count": 0}, r"0 pictures asked for"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_what_cannot_be_done_is_told_in_one_line(pipe: Pipeline, options: dict[str, object], message: str) -> None:
    with pytest.raises(KakusanError, match=message) as caught:
        pipe("an apple", **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_numbers_that_overflow_are_an_error_and_not_a_black_picture(folder: Path) -> None:
    broken = kakusan.load(folder, device="cpu")
    with torch.no_grad():
        broken.model.unet.conv_out.bias.fill_(math.nan)
    with pytest.raises(KakusanError, match=r"network 'unet' gave NaN or infinity in call 2"):
        broken("an apple", seed=1)


def test_a_folder_that_is_none_and_a_device_that_is_not_there(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(FileError, match=r"not a model folder"):
        kakusan.load(tmp_path)
    with pytest.raises(KakusanError, match=r"device 'toaster' is not there"):
        kakusan.load(folder, device="toaster")


def test_loading_and_drawing_leave_torchs_compiler_alone(folder: Path) -> None:
    """Importing it would double the time to the first picture."""
    code = f"import sys, kakusan; kakusan.load({str(folder)!r}, device='cpu')('an apple', seed=1); print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
