"""Pipelines opened, moved, kept and taken apart."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from compat import tiny_folders as tiny
from formats.hub_server import Hub, Repo
from kakusan.compat import diffusers as ours
from kakusan.errors import FileError, KakusanError

PROMPT = "a photograph of an astronaut riding a horse"


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


def test_components_are_shared_moved_and_written(folder: Path, pipes: tuple[Any, Any], tmp_path: Path) -> None:
    mine = pipes[0]
    assert set(mine.components) == set(pipes[1].components)
    assert mine.components["unet"] is mine.unet
    again = ours.StableDiffusionImg2ImgPipeline(**mine.components)
    assert again.unet is mine.unet
    assert ours.StableDiffusionImg2ImgPipeline.from_pipe(mine).vae is mine.vae
    half = ours.StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float16, scheduler=mine.scheduler, use_safetensors=True)
    assert (half.dtype, half.device) == (torch.float16, torch.device("cpu"))
    assert half.to("cpu", torch.float32) is half
    assert half.unet.dtype == half.text_encoder.dtype == torch.float32
    with pytest.raises(KakusanError, match="mps"):
        half.to("mps")
    mine.save_pretrained(tmp_path / "kept")
    theirs = diffusers.StableDiffusionPipeline.from_pretrained(tmp_path / "kept")
    for key, value in pipes[1].unet.state_dict().items():
        assert torch.equal(theirs.unet.state_dict()[key], value), key


@pytest.fixture
def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The model on a hub, under two revisions, for who has the token."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAKUSAN_CACHE", str(tmp_path / "own"))
    files = {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    with Hub({"org/tiny": Repo(files, gated="auto", token="hf_secret", revisions=("main", "fp16"))}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def test_a_name_on_the_hub(hub: Hub, pipes: tuple[Any, Any]) -> None:
    mine = ours.StableDiffusionPipeline.from_pretrained("org/tiny", revision="fp16", use_auth_token="hf_secret")
    drawn = [pipe(PROMPT, num_inference_steps=2, generator=torch.Generator().manual_seed(1)).images[0] for pipe in (mine, pipes[0])]
    assert np.array_equal(np.asarray(drawn[0]), np.asarray(drawn[1]))
    before = len(hub.asked)
    again = ours.AutoencoderKL.from_pretrained("org/tiny", subfolder="vae", revision="fp16", local_files_only=True)
    assert len(hub.asked) == before
    assert torch.equal(again.decoder.conv_out.bias, mine.vae.decoder.conv_out.bias)
    with pytest.raises(KakusanError, match="org/tiny") as error:
        ours.StableDiffusionPipeline.from_pretrained("org/tiny", revision="v9", token="hf_secret")
    assert "\n" not in str(error.value)


def test_one_part_is_fetched_alone(hub: Hub) -> None:
    scheduler = ours.LMSDiscreteScheduler.from_pretrained("org/tiny", subfolder="scheduler", token="hf_secret")
    assert scheduler.config.beta_schedule == "scaled_linear"
    ours.AutoencoderKL.from_pretrained("org/tiny", subfolder="vae", token="hf_secret")
    assert {name.split("/")[0] for name in hub.fetched()} <= {"scheduler", "vae", "model_index.json", "README.md"}


def test_a_pipeline_out_of_a_file_of_ones_own(folder: Path, tmp_path: Path) -> None:
    code = "from kakusan.compat.diffusers import StableDiffusionPipeline\n\n\nclass Mine(StableDiffusionPipeline):\n    pass\n"
    (tmp_path / "pipeline.py").write_text(code)
    for place in (tmp_path, tmp_path / "pipeline.py"):
        assert type(ours.DiffusionPipeline.from_pretrained(folder, custom_pipeline=place)).__name__ == "Mine"
    with pytest.raises(FileError, match="lpw_stable_diffusion"):
        ours.DiffusionPipeline.from_pretrained(folder, custom_pipeline="lpw_stable_diffusion")


def test_parts_that_are_not_wanted_are_not_read(folder: Path, pipes: tuple[Any, Any]) -> None:
    text = ours.StableDiffusionPipeline.from_pretrained(folder, unet=None, vae=None, scheduler=None)
    states, negative = text.encode_prompt([PROMPT])
    assert torch.equal(states, pipes[0].encode_prompt([PROMPT])[0])
    assert negative is not None


def test_a_folder_may_keep_its_parts_in_its_neighbour(folder: Path, pipes: tuple[Any, Any], tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "whole")
    shutil.copytree(folder, tmp_path / "part")
    shutil.rmtree(tmp_path / "part" / "vae")
    (tmp_path / "part" / "kakusan.json").write_text('{"shares": {"vae": "../whole/vae"}}')
    mine = ours.StableDiffusionPipeline.from_pretrained(tmp_path / "part")
    for key, value in pipes[1].vae.state_dict().items():
        assert torch.equal(mine.vae.state_dict()[key], value), key


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_draws_nearly_the_same(folder: Path, pipes: tuple[Any, Any], dtype: torch.dtype) -> None:
    half = ours.StableDiffusionPipeline.from_pretrained(folder, torch_dtype=dtype)
    drawn = [
        one(PROMPT, num_inference_steps=3, generator=torch.Generator().manual_seed(1)).images[0] for one in (half, peer(folder).to(dtype))
    ]
    assert np.abs(np.asarray(drawn[0]).astype(int) - np.asarray(drawn[1])).mean() < 4


def test_only_the_variants_weights_are_read(folder: Path, pipes: tuple[Any, Any], tmp_path: Path) -> None:
    """As in diffusers: parts without the variant are read as they are, and a variant that no part has is an error."""
    shutil.copytree(folder, tmp_path / "both")
    weights = {key: value + 1 for key, value in pipes[1].unet.state_dict().items()}
    save_file(weights, tmp_path / "both" / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    mine = ours.StableDiffusionPipeline.from_pretrained(tmp_path / "both", variant="fp16")
    assert torch.equal(mine.unet.state_dict()["conv_in.bias"], weights["conv_in.bias"])
    plain = ours.StableDiffusionPipeline.from_pretrained(tmp_path / "both")
    assert not torch.equal(plain.unet.state_dict()["conv_in.bias"], weights["conv_in.bias"])
    with pytest.raises(FileError, match="fp32"):
        ours.StableDiffusionPipeline.from_pretrained(folder, variant="fp32")


def test_switches_change_no_picture(pipes: tuple[Any, Any]) -> None:
    mine = pipes[0]
    draw = lambda: np.asarray(mine([PROMPT] * 2, num_inference_steps=2, generator=torch.Generator().manual_seed(1)).images[1])  # noqa: E731
    before = draw()
    for name in ("attention_slicing", "vae_slicing", "vae_tiling", "xformers_memory_efficient_attention", "model_cpu_offload"):
        getattr(mine, f"enable_{name}")()
    mine.set_progress_bar_config(disable=True, leave=False)
    assert np.abs(draw().astype(int) - before.astype(int)).max() <= 1
    mine.disable_vae_slicing()


def test_the_progress_bar_goes_over_anything(pipes: tuple[Any, Any]) -> None:
    assert list(pipes[0].progress_bar([3, 1, 2])) == [3, 1, 2]
    with pipes[0].progress_bar(total=4) as bar:
        bar.update()
        bar.update(2)
    assert (bar.done, bar.total) == (3, 4)


def test_a_picture_of_the_embedded_model() -> None:
    pipe = ours.DiffusionPipeline.from_pretrained()
    assert type(pipe) is ours.StableDiffusionPipeline
    picture: Image.Image = pipe("a red apple", num_inference_steps=2).images[0]
    assert picture.size == (64, 64)
