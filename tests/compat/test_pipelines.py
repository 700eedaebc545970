"""StableDiffusionPipeline: the same seed gives diffusers' picture, for every scheduler and every way to ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
import transformers

from compat import tiny_folders as tiny
from compat.guarded import guarded_folder
from kakusan.compat import diffusers as ours
from kakusan.errors import FileError, KakusanError

diffusers.utils.logging.set_verbosity_error()
PROMPT = "a photograph of an astronaut riding a horse"
STEPS = 4


@pytest.fixture(scope="module", autouse=True)
def text_model() -> Iterator[None]:
    """transformers 5 has none, through which diffusers 0.42 still reaches for the norm where layers are skipped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformers.CLIPTextModel, "text_model", property(lambda self: self), raising=False)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.folder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def pipes(folder: Path) -> tuple[Any, Any]:
    """Ours and diffusers'."""
    return ours.StableDiffusionPipeline.from_pretrained(folder), peer(folder)


def peer(folder: Path) -> Any:
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def both(pipes: tuple[Any, Any], **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """What each draws (n h w 3, 0 to 255), given generators of equal seeds."""
    drawn = []
    for pipe in pipes:
        seeds = options.get("seeds")
        generator = torch.Generator().manual_seed(1024) if seeds is None else [torch.Generator().manual_seed(seed) for seed in seeds]
        call = {"prompt": PROMPT, "num_inference_steps": STEPS, "generator": generator, **options}
        call.pop("seeds", None)
        drawn.append(np.stack([np.asarray(image).astype(int) for image in pipe(**call).images]))
    return drawn[0], drawn[1]


def assert_same(pipes: tuple[Any, Any], **options: Any) -> None:
    mine, theirs = both(pipes, **options)
    assert mine.shape == theirs.shape
    assert np.abs(mine - theirs).max() <= 1
    assert theirs.std() > 5, "a picture of one colour proves nothing"


ASKED: list[dict[str, Any]] = [
    {},
    {"guidance_scale": 1.0},
    {"guidance_scale": 0.0},
    {"guidance_scale": 12.5, "negative_prompt": "blurry, 下手"},
    {"height": 48, "width": 72},
    {"prompt": [PROMPT, "赤いりんご", ""]},
    {"prompt": [PROMPT, "an apple"], "negative_prompt": ["ugly", ""], "num_images_per_prompt": 2},
    {"prompt": [PROMPT, "an apple"], "guidance_scale": 1.0, "num_images_per_prompt": 2},
    {"num_images_per_prompt": 2, "seeds": [1, 2]},
    {"prompt": "x " * 90},
    {"clip_skip": 1},
    {"clip_skip": 2, "negative_prompt": "y"},
    {"guidance_rescale": 0.7},
]


@pytest.mark.parametrize("options", ASKED, ids=str)
def test_the_same_seed_is_the_same_picture(pipes: tuple[Any, Any], options: dict[str, Any]) -> None:
    assert_same(pipes, **options)


SCHEDULERS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in ("PNDMScheduler", "LMSDiscreteScheduler", "DDIMScheduler", "DDPMScheduler", "HeunDiscreteScheduler")),
    *((name, {}) for name in ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "UniPCMultistepScheduler")),
    *((name, {}) for name in ("DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "DEISMultistepScheduler")),
    *((name, {}) for name in ("KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler")),
    ("PNDMScheduler", {"skip_prk_steps": False}),
    ("LMSDiscreteScheduler", {"use_karras_sigmas": True}),
    ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
    ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
    ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True, "algorithm_type": "sde-dpmsolver++"}),
    ("DPMSolverMultistepScheduler", {"solver_order": 3}),
]


@pytest.mark.parametrize(("name", "settings"), SCHEDULERS, ids=str)
def test_every_scheduler_draws_as_in_diffusers(pipes: tuple[Any, Any], name: str, settings: dict[str, Any]) -> None:
    """Single and in a batch, with and without guidance, not square, with a negative prompt."""
    with replaced(pipes, name, settings):
        assert_same(pipes, num_inference_steps=6)
        assert_same(pipes, prompt=[PROMPT, "an apple"], negative_prompt=["ugly", "赤"], height=48, width=72, num_inference_steps=5)
        assert_same(pipes, guidance_scale=1.0, num_images_per_prompt=2, seeds=[1, 2])


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_ddim_with_noise_on_the_way(pipes: tuple[Any, Any], eta: float) -> None:
    with replaced(pipes, "DDIMScheduler", {}):
        assert_same(pipes, eta=eta)
        assert_same(pipes, eta=eta, prompt=[PROMPT, "x"], seeds=[3, 4])


@pytest.mark.parametrize("prediction", ["v_prediction", "sample"])
@pytest.mark.parametrize("name", ["DDIMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler", "UniPCMultistepScheduler"])
def test_what_the_network_predicts(pipes: tuple[Any, Any], name: str, prediction: str) -> None:
    with replaced(pipes, name, {"prediction_type": prediction}):
        assert_same(pipes, guidance_rescale=0.5)


def test_timesteps_and_sigmas_of_ones_own(pipes: tuple[Any, Any]) -> None:
    with replaced(pipes, "EulerDiscreteScheduler", {}):
        assert_same(pipes, timesteps=[900, 600, 300, 100])
        assert_same(pipes, sigmas=[12.0, 5.0, 1.0, 0.3, 0.0])


@contextmanager
def replaced(pipes: tuple[Any, Any], name: str, settings: dict[str, Any]) -> Iterator[None]:
    """Both with another scheduler, each made of the configuration of its own."""
    before = [pipe.scheduler for pipe in pipes]
    for pipe, home in zip(pipes, (ours, diffusers), strict=True):
        pipe.scheduler = getattr(home, name).from_config({**pipe.scheduler.config, "clip_sample": False}, **settings)
    try:
        yield
    finally:
        for pipe, scheduler in zip(pipes, before, strict=True):
            pipe.scheduler = scheduler


def test_states_and_latents_of_ones_own(pipes: tuple[Any, Any]) -> None:
    """prompt_embeds, negative_prompt_embeds and latents in place of what would be made of a prompt and a seed."""
    states, negative = torch.randn(2, 9, tiny.WIDTH), torch.randn(2, 9, tiny.WIDTH)
    given = {"prompt": None, "prompt_embeds": states, "latents": torch.randn(2, 4, 8, 8)}
    assert_same(pipes, **given, negative_prompt_embeds=negative)
    assert_same(pipes, **given, guidance_scale=1.0)


@pytest.mark.parametrize("kind", ["np", "pt", "latent", "pil"])
def test_every_kind_of_output(pipes: tuple[Any, Any], kind: str) -> None:
    found = []
    for pipe in pipes:
        options = {"num_inference_steps": 2, "output_type": kind, "return_dict": False}
        images, flags = pipe([PROMPT] * 2, generator=torch.Generator().manual_seed(1), **options)
        assert flags is None
        found.append(images)
    assert type(found[0]) is type(found[1])
    if kind == "pil":
        assert [image.size for image in found[0]] == [image.size for image in found[1]]
    else:
        mine, theirs = (torch.as_tensor(one) for one in found)
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=2e-3)


def test_callbacks_see_and_change_the_same_tensors(pipes: tuple[Any, Any]) -> None:
    seen: list[list[tuple[Any, ...]]] = []

    def on_step_end(pipe: Any, step: int, t: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        seen[-1].append((step, int(t), sorted(tensors), tensors["prompt_embeds"].shape, float(tensors["latents"].std())))
        if step == 1:  # no guidance from here on
            pipe._guidance_scale = 0.0
            return {"prompt_embeds": tensors["prompt_embeds"].chunk(2)[-1], "latents": tensors["latents"] * 0.9}
        return {}

    drawn = []
    for pipe in pipes:
        seen.append([])
        names = ["latents", "prompt_embeds", "negative_prompt_embeds"]
        generator = torch.Generator().manual_seed(3)
        options = {"callback_on_step_end": on_step_end, "callback_on_step_end_tensor_inputs": names}
        drawn.append(np.asarray(pipe(PROMPT, num_inference_steps=4, generator=generator, **options).images[0]).astype(int))
    assert [row[:4] for row in seen[0]] == [row[:4] for row in seen[1]]
    assert np.allclose([row[4] for row in seen[0]], [row[4] for row in seen[1]], rtol=1e-3)
    assert np.abs(drawn[0] - drawn[1]).max() <= 1


def test_the_old_callback_and_interrupting(pipes: tuple[Any, Any]) -> None:
    calls: list[list[int]] = []
    for pipe in pipes:
        calls.append([])
        pipe(PROMPT, num_inference_steps=5, callback=lambda i, t, latents: calls[-1].append((i, int(t))), callback_steps=2)
    assert calls[0] == calls[1]
    assert len(calls[0]) > 1

    def stop(pipe: Any, step: int, t: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        pipe._interrupt = step == 1
        return tensors

    assert_same(pipes, callback_on_step_end=stop)


# The safety checker, and a pipeline of one's own


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return guarded_folder(tmp_path_factory.mktemp("guarded") / "tiny")


def test_the_safety_checker_gives_diffusers_verdicts(guarded: Path) -> None:
    theirs = diffusers.StableDiffusionPipeline.from_pretrained(guarded).safety_checker
    mine = ours.StableDiffusionSafetyChecker.from_pretrained(guarded, subfolder="safety_checker")
    pixels, pictures = torch.randn(40, 3, 32, 32) * torch.linspace(0.1, 4, 40)[:, None, None, None], torch.rand(40, 3, 8, 8)
    with torch.no_grad():
        feature = theirs.visual_projection(theirs.vision_model(pixels)[1])
    best = torch.nn.functional.cosine_similarity(feature[:, None], theirs.concept_embeds[None], dim=2).amax(dim=1)
    middle = float(best.median().detach())
    for network in (theirs, mine):
        state = network.state_dict()
        network.load_state_dict({**state, "concept_embeds_weights": torch.full((17,), middle)})
    (images, flags), (wanted, wanted_flags) = (one(images=pictures.clone(), clip_input=pixels) for one in (mine, theirs))
    assert flags == wanted_flags
    assert 5 < sum(flags) < 35
    assert torch.equal(images, wanted)


def test_a_flagged_picture_is_black_and_a_function_may_take_over(guarded: Path) -> None:
    pipe = ours.StableDiffusionPipeline.from_pretrained(guarded, scheduler=ours.DDIMScheduler(**tiny.SCHEDULE))
    assert isinstance(pipe.safety_checker, ours.StableDiffusionSafetyChecker)
    state = pipe.safety_checker.state_dict()
    pipe.safety_checker.load_state_dict({**state, "concept_embeds_weights": torch.full((17,), -1.0)})
    result = pipe([PROMPT] * 2, num_inference_steps=2)
    assert result.nsfw_content_detected == [True, True]
    assert all(np.asarray(image).max() == 0 for image in result.images)
    for checker, flags in (
        (lambda images, clip_input: (images, [False] * len(images)), [False, False]),
        (lambda images, clip_input: (images, True), [True, True]),  # the e-book's
    ):
        pipe.safety_checker = checker
        result = pipe([PROMPT] * 2, num_inference_steps=2, generator=torch.Generator().manual_seed(1))
        assert result.nsfw_content_detected == flags
        assert all(np.asarray(image).std() > 5 for image in result.images)
    pipe.safety_checker = None
    alone = pipe([PROMPT] * 2, num_inference_steps=2, generator=torch.Generator().manual_seed(1))
    assert alone.nsfw_content_detected is None
    assert np.array_equal(np.asarray(alone.images[0]), np.asarray(result.images[0]))


def test_old_methods_give_what_they_gave(pipes: tuple[Any, Any]) -> None:
    mine, theirs = pipes
    states = [pipe._encode_prompt([PROMPT, "x"], torch.device("cpu"), 2, True, ["y", "z"]) for pipe in pipes]
    torch.testing.assert_close(states[0], states[1], rtol=1e-5, atol=1e-5)
    assert torch.equal(mine._encode_prompt([PROMPT, "x"], None, 2, False), states[0][4:])
    latents = torch.randn(2, 4, 8, 8)
    with torch.no_grad():
        arrays = [pipe.decode_latents(latents) for pipe in pipes]
    np.testing.assert_allclose(arrays[0], arrays[1], atol=1e-5)
    pictures = mine.numpy_to_pil(arrays[0])
    assert [image.size for image in pictures] == [(64, 64), (64, 64)]
    for pipe in pipes:
        pipe.scheduler.set_timesteps(4)
    shape = (2, 4, 64, 64, torch.float32, torch.device("cpu"))
    found = [pipe.prepare_latents(*shape, torch.Generator().manual_seed(1)) for pipe in pipes]
    assert torch.equal(found[0], found[1])
    assert mine.prepare_extra_step_kwargs(None, 0.5) == theirs.prepare_extra_step_kwargs(None, 0.5)


# What cannot be done


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"height": 65}, "height is 65.*multiple of 8: try 64"),
        ({"width": 12.5}, "width is 12.5"),
        ({"prompt": None}, "neither"),
        ({"prompt": 5}, "prompt is a int"),
        ({"prompt": []}, "prompt is a list"),
        ({"prompt": PROMPT, "prompt_embeds": torch.zeros(1, 9, 24)}, "both"),
        ({"negative_prompt": 5}, "negative_prompt is a int"),
        ({"prompt": ["a", "b"], "negative_prompt": ["c"]}, "1 negative prompts for 2"),
        ({"latents": torch.zeros(1, 4, 8, 9), "height": 64, "width": 64}, r"latents have shape \[1, 4, 8, 9\]"),
        ({"latents": torch.zeros(3, 4, 8, 8)}, "needs .1, 4, 8, 8"),
        ({"prompt": ["a", "b"], "generator": [torch.Generator()] * 3}, "3 generators"),
        ({"num_inference_steps": 0}, "num_inference_steps is 0"),
        ({"num_images_per_prompt": 0}, "num_images_per_prompt is 0"),
        ({"guidance_scale": float("nan")}, "guidance_scale is nan"),
        ({"output_type": "gif"}, "output_type is 'gif'"),
        ({"callback_steps": 0}, "callback_steps is 0"),
        ({"callback_on_step_end_tensor_inputs": ["noise"]}, "has noise"),
        ({"clip_skip": 9}, "clip_skip is 9"),
        ({"timesteps": [5, 1], "sigmas": [3.0, 0.0]}, "both timesteps and sigmas"),
    ],
    ids=str,
)
def test_a_wrong_call_is_one_line(pipes: tuple[Any, Any], options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        pipes[0](**{"prompt": PROMPT, "num_inference_steps": 2, **options})
    assert error.type is KakusanError
    assert "\n" not in str(error.value)


def test_a_folder_that_is_none_is_one_line(folder: Path, tmp_path: Path) -> None:
    for path, words in ((tmp_path / "nowhere", "no such folder"), (folder / "vae", "model_index.json")):
        with pytest.raises(FileError, match=words):
            ours.StableDiffusionPipeline.from_pretrained(path)
    with pytest.raises(KakusanError, match="safty_checker"):
        ours.StableDiffusionPipeline.from_pretrained(folder, safty_checker=None)


def test_a_long_prompt_is_said_to_be_cut(pipes: tuple[Any, Any], caplog: pytest.LogCaptureFixture) -> None:
    pipes[0]("x" * 80, num_inference_steps=1)
    assert "77" in caplog.text
    assert "xxxxx" in caplog.text
