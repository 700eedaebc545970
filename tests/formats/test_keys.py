"""Every tensor of the released models, by name and shape, in both formats; the networks stay on the meta device.

structures.json.gz holds the tensor names and shapes of single files (`single`) and folders (`folder`) of Stable Diffusion 1, 2
and the x4 upscaler, and the settings in their folders: names and numbers, no weights.
"""

import gzip
import json
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kakusan.formats import configs, keys_autoencoder, keys_clip, keys_unet
from kakusan.formats.keys import FOLDER, SINGLE, Row, renamed
from kakusan.models.autoencoder import Autoencoder
from kakusan.models.clip_image import ClipImage, ClipImageConfig
from kakusan.models.clip_text import ClipText, ClipTextConfig
from kakusan.models.unet import UNet

STRUCTURES: dict[str, Any] = json.loads(gzip.decompress((Path(__file__).parent / "structures.json.gz").read_bytes()))
FAMILIES = ("sd1", "sd2.1", "x4")
PARAMETERS = {
    "sd1": (859_520_964, 83_653_863, 123_060_480),
    "sd2.1": (865_910_724, 83_653_863, 340_387_840),
    "x4": (473_398_020, 55_325_927, 340_387_840),
}
Shapes = dict[str, list[int]]


def networks(family: str, folder: Path) -> tuple[UNet, Autoencoder, ClipText]:
    """The networks a family's config.json files describe."""
    files = {}
    for name, settings in STRUCTURES["folder"][family]["configs"].items():
        files[name] = folder / name.replace("/", "-")
        files[name].write_text(json.dumps(settings))
    with torch.device("meta"):
        return (
            UNet(configs.read_unet(files["unet/config.json"])),
            Autoencoder(configs.read_autoencoder(files["vae/config.json"])),
            ClipText(configs.read_text(files["text_encoder/config.json"])),
        )


def named(network: nn.Module, rows: list[Row], column: int) -> Shapes:
    state = network.state_dict()
    return {theirs: list(state[ours].shape) for ours, theirs in renamed(state, rows, column).items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_folders_hold_exactly_our_tensors(family: str, tmp_path: Path) -> None:
    unet, autoencoder, text = networks(family, tmp_path)
    counts = tuple(sum(p.numel() for p in network.parameters()) for network in (unet, autoencoder, text))
    assert counts == PARAMETERS[family]
    stored: dict[str, Shapes] = STRUCTURES["folder"][family]["tensors"]
    assert named(unet, keys_unet.rows(unet.config), FOLDER) == stored["unet"]
    ours = named(autoencoder, keys_autoencoder.rows(autoencoder.config), FOLDER)
    assert ours == stored["vae_modern"]
    assert ours == {keys_autoencoder.modern(name): shape for name, shape in stored["vae"].items()}
    modern = {keys_clip.modern_text(name): shape for name, shape in stored["text_encoder"].items()}
    assert modern.pop(None) == [1, 77]  # position_ids
    assert named(text, keys_clip.text_rows(text.config), FOLDER) == modern


@pytest.mark.parametrize("family", FAMILIES)
def test_single_files_hold_exactly_our_unet_and_autoencoder(family: str, tmp_path: Path) -> None:
    unet, autoencoder, _ = networks(family, tmp_path)
    assert named(unet, keys_unet.rows(unet.config), SINGLE) == single(family, "model.diffusion_model.")
    ours = named(autoencoder, keys_autoencoder.rows(autoencoder.config), SINGLE)
    stored = single(family, "first_stage_model.")
    assert {name: prod(shape) for name, shape in ours.items()} == {name: prod(shape) for name, shape in stored.items()}
    reshaped = {name for name in ours if ours[name] != stored[name]}  # 1x1 convolutions there
    assert reshaped == {f"{half}.mid.attn_1.{layer}.weight" for half in ("encoder", "decoder") for layer in ("q", "k", "v", "proj_out")}


def test_sd1_single_files_hold_the_text_tower_under_its_folder_names(tmp_path: Path) -> None:
    *_, text = networks("sd1", tmp_path)
    stored = {keys_clip.modern_text(name): shape for name, shape in single("sd1", "cond_stage_model.transformer.").items()}
    del stored[None]
    assert named(text, keys_clip.text_rows(text.config), FOLDER) == stored


@pytest.mark.parametrize("family", ["sd2.1", "x4"])
def test_sd2_single_files_hold_openclips_text_tower(family: str) -> None:
    with torch.device("meta"):  # one layer more than in the folder, whose last is never used
        text = ClipText(ClipTextConfig(width=1024, layers=24, heads=16, feedforward=4096, projection=1024))
    stored = single(family, "cond_stage_model.model.")
    assert stored.pop("logit_scale") == []
    ours: Shapes = {}
    state = text.state_dict()
    for name, theirs in renamed(state, keys_clip.text_rows(text.config), SINGLE).items():
        joined = theirs.replace("in_proj.", "in_proj_")
        rows, *rest = state[name].shape
        ours[joined] = [ours.get(joined, [0])[0] + rows, *rest]  # queries, keys and values are one tensor
    assert ours == stored


def test_the_image_tower_is_named_as_transformers_does() -> None:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = ClipImageConfig(size=28, layers=2)
    with torch.device("meta"):
        ours, theirs = ClipImage(config), CLIPVisionModelWithProjection(CLIPVisionConfig(**configs.write_image(config)))
    wanted = {keys_clip.modern_image(name): list(tensor.shape) for name, tensor in theirs.state_dict().items()}
    assert named(ours, keys_clip.image_rows(config), FOLDER) == {name: shape for name, shape in wanted.items() if name}
    for column in zip(*keys_clip.image_rows(config), strict=True):
        repeated = len(column) - len(set(column))
        assert repeated in (0, 2 * config.layers)  # OpenCLIP's in_proj, three of ours


@pytest.mark.parametrize("family", FAMILIES)
def test_the_two_columns_of_the_unet_agree_with_the_converter_of_diffusers(family: str, tmp_path: Path) -> None:
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    unet, *_ = networks(family, tmp_path)
    rows, state = keys_unet.rows(unet.config), unet.state_dict()
    in_folder, in_single = renamed(state, rows, FOLDER), renamed(state, rows, SINGLE)
    marks = {name: torch.tensor(i) for i, name in enumerate(state)}
    settings = configs.write_unet(unet.config) | {"class_embed_type": None, "addition_embed_type": None}
    converted = convert_ldm_unet_checkpoint({f"model.diffusion_model.{in_single[name]}": mark for name, mark in marks.items()}, settings)
    if family == "x4":
        converted["class_embedding.weight"] = marks["label.weight"]  # which the converter reads for "timestep" labels alone
    assert {name: int(mark) for name, mark in converted.items()} == {in_folder[name]: int(mark) for name, mark in marks.items()}


def single(family: str, prefix: str) -> Shapes:
    return {name.removeprefix(prefix): shape for name, shape in STRUCTURES["single"][family].items() if name.startswith(prefix)}
