"""One original file of any family, opened under diffusers' names: its parts are usable, and it draws."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file

from formats.originals import FAMILIES, config, tensors, write_config
from kakusan.compat import diffusers as ours
from kakusan.errors import FileError, KakusanError
from kakusan.formats.single import read_single

SCHEDULERS = {"epsilon": "PNDMScheduler", "v_prediction": "DDIMScheduler"}
CLASSES = {9: "StableDiffusionInpaintPipeline", 5: "StableDiffusionDepth2ImgPipeline", 7: "StableDiffusionUpscalePipeline"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One tiny file of each family, with its .yaml."""
    path = tmp_path_factory.mktemp("originals")
    for name, family in FAMILIES.items():
        save_file(tensors(family), path / f"{name}.safetensors")
        write_config(config(family), path / f"{name}.yaml")
    return path


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_the_parts_of_every_family_are_usable(folder: Path, name: str) -> None:
    path, yaml, family = folder / f"{name}.safetensors", folder / f"{name}.yaml", FAMILIES[name]
    pipe = ours.StableDiffusionPipeline.from_single_file(path, original_config=str(yaml), torch_dtype=torch.float32)
    model = read_single(path, config=yaml)
    assert pipe.unet.config.in_channels == family.channels
    assert type(pipe.scheduler).__name__ == SCHEDULERS[family.prediction]
    assert pipe.scheduler.config.prediction_type == family.prediction
    ids = pipe.tokenizer("a red apple", padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    assert ids[0].tolist() == model.tokenizer.padded("a red apple")
    context = pipe.text_encoder(ids)[0]
    assert torch.equal(context, model.text(ids))
    x, labels = torch.randn(1, family.channels, 8, 8), torch.tensor([20])
    extra: dict[str, Any] = {"class_labels": labels} if family.structure == "x4" else {}
    found = pipe.unet(x, 500, encoder_hidden_states=context, **extra).sample
    assert torch.equal(found, model.unet(x, torch.tensor([500]), context, *extra.values()))
    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    assert torch.equal(pipe.vae.encode(picture).latent_dist.mean, model.autoencoder.encode(picture)[0])
    assert torch.equal(pipe.vae.decode(x[:, :4]).sample, model.autoencoder.decode(x[:, :4]))
    assert pipe.vae.config.scaling_factor == (0.08333 if family.structure == "x4" else 0.18215)


@pytest.mark.parametrize("name", ["sd1", "sd2 768"])
def test_text_to_image_is_that_of_the_same_parts(folder: Path, name: str) -> None:
    pipe = ours.StableDiffusionPipeline.from_single_file(folder / f"{name}.safetensors", original_config=folder / f"{name}.yaml")
    again = ours.StableDiffusionPipeline(**pipe.components)
    options = {"height": 64, "width": 64, "num_inference_steps": 2}
    pictures = [one("a red apple", generator=torch.Generator().manual_seed(5), **options).images[0] for one in (pipe, again)]
    assert pictures[0].size == (64, 64)
    assert np.array_equal(np.asarray(pictures[0]), np.asarray(pictures[1]))


@pytest.mark.parametrize("name", ["sd1 inpainting", "sd2 depth", "x4"])
def test_every_family_draws_with_its_own_pipeline(folder: Path, name: str) -> None:
    kind = getattr(ours, CLASSES[FAMILIES[name].channels])
    pipe = kind.from_single_file(folder / f"{name}.safetensors", original_config=folder / f"{name}.yaml")
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    extra: dict[str, Any] = {
        "sd1 inpainting": {"mask_image": Image.new("L", (64, 64), 255), "height": 64, "width": 64},
        "sd2 depth": {"depth_map": torch.rand(1, 64, 64), "strength": 1.0},
        "x4": {"noise_level": 5},
    }[name]
    if name == "x4":
        small = small.resize((16, 16))
    assert pipe("a red apple", image=small, num_inference_steps=1, **extra).images[0].size == (64, 64)


def test_components_and_settings_may_be_others(folder: Path) -> None:
    path, yaml = folder / "sd1.safetensors", folder / "sd1.yaml"
    vae = ours.StableDiffusionPipeline.from_single_file(path, original_config=yaml).vae
    options = {"original_config_file": yaml, "scheduler_type": "euler", "vae": vae, "load_safety_checker": False, "local_files_only": True}
    pipe = ours.StableDiffusionPipeline.from_single_file(path, torch_dtype=torch.float16, **options)
    assert pipe.vae is vae
    assert pipe.unet.dtype == torch.float16
    assert isinstance(pipe.scheduler, ours.EulerDiscreteScheduler)
    assert pipe.scheduler.config.beta_schedule == "scaled_linear"
    forced = ours.StableDiffusionPipeline.from_single_file(path, original_config=yaml, prediction_type="v_prediction")
    assert forced.scheduler.config.prediction_type == "v_prediction"


def test_what_cannot_be_opened_is_one_line(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "sd1.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:1000])
    open_file = ours.StableDiffusionPipeline.from_single_file
    for path, options, error, words in (
        (tmp_path / "nowhere.ckpt", {}, FileError, "nowhere.ckpt"),
        (tmp_path / "cut.safetensors", {}, FileError, "cut.safetensors"),
        ("https://example.org/model.ckpt", {}, KakusanError, "address"),
        (folder / "sd1.safetensors", {"scheduler_type": "fastest"}, KakusanError, "fastest"),
        (folder / "sd1.safetensors", {"orignal_config": "x"}, KakusanError, "orignal_config"),
    ):
        with pytest.raises(error, match=words) as found:
            open_file(path, **options)
        assert "\n" not in str(found.value)
    with pytest.raises(FileError, match="from_single_file"):
        ours.StableDiffusionPipeline.from_pretrained(folder / "sd1.safetensors")


@pytest.mark.parametrize("name", ["sd1", "sd2 base"])
def test_the_tokenizer_is_the_folders(folder: Path, tmp_path: Path, name: str) -> None:
    """Not the original program's, which knows HTML entities: diffusers takes that of transformers for single files too."""
    pipe = ours.StableDiffusionPipeline.from_single_file(folder / f"{name}.safetensors", original_config=folder / f"{name}.yaml")
    pipe.tokenizer.save_pretrained(tmp_path)
    theirs = transformers.CLIPTokenizer.from_pretrained(tmp_path)
    for text in ("a cat & a dog &amp; more!", "WOW!! 猫", ""):
        options = {"padding": "max_length", "max_length": 77, "truncation": True}
        assert pipe.tokenizer(text, **options).input_ids == theirs(text, **options).input_ids
    assert pipe.tokenizer.pad_token_id == (0 if name == "sd2 base" else 49407)
