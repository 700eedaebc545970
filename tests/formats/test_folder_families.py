"""Folders of every family: the released ones at true size, and tiny ones that diffusers opens with the same numbers."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import diffusers
import pytest
import torch

from formats.families import VARIANTS, tiny_variant
from formats.released import DTYPES, FAMILIES, FOLDERS, settings, write_hollow
from formats.test_folder import assert_same_weights
from formats.tiny import tiny_model
from kakusan.errors import FileError
from kakusan.formats import parts
from kakusan.formats.fields import write_json
from kakusan.formats.folder import read_component, read_folder, write_folder
from kakusan.formats.keys import FOLDER, renamed
from kakusan.models.unet import UNet
from kakusan.schedules import NoiseSchedule
from models.peers import assert_equal

BESIDE = {
    **dict.fromkeys(("sd1", "sd2-base", "sd2.1-base", "sd2", "sd2.1"), ""),
    **dict.fromkeys(("sd1-inpainting", "sd2-inpainting"), "inpainting"),
    "sd2-depth": "depth",
    "x4": "upscaling",
}
CLASSES = {"": "Pipeline", "inpainting": "InpaintPipeline", "depth": "Depth2ImgPipeline", "upscaling": "UpscalePipeline"}
STEMS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model", "depth_estimator": "model"}


@pytest.fixture(scope="module")
def hollow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Every released folder, with zeros for weights."""
    path = tmp_path_factory.mktemp("released")
    for family in FAMILIES:
        for name in FOLDERS[family]["configs"]:
            if name != "tokenizer":
                (path / family / name).parent.mkdir(parents=True, exist_ok=True)
                write_json(path / family / name, settings(family, name))
        for part, stem in STEMS.items():
            if part in FOLDERS[family]["tensors"]:
                write_hollow(path / family / part / f"{stem}.safetensors", FOLDERS[family]["tensors"][part])
        (path / family / "tokenizer").mkdir()
        tiny_model().tokenizer.save(path / family / "tokenizer")
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("family", FAMILIES)
def test_released_folders_open_at_their_true_size(family: str, hollow: Path) -> None:
    model = read_folder(hollow / family)
    networks = {"unet": model.unet, "vae": model.autoencoder, "text_encoder": model.text}
    networks |= {"depth_estimator": model.depth} if family == "sd2-depth" else {}
    assert {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()} == {
        name: FOLDERS[family]["params"][name] for name in networks
    }
    assert model.variant == BESIDE[family]
    assert model.family == ("sd_x4" if family == "x4" else family[:3])
    assert model.schedule.prediction == ("v_prediction" if family in ("sd2", "sd2.1", "x4") else "epsilon")
    assert (model.low_noise is not None) == (family == "x4")
    assert (model.notes, model.path, model.settings) == ([], hollow / family, {})


@pytest.mark.parametrize("family", FAMILIES)
def test_released_tensors_are_exactly_ours(family: str, hollow: Path) -> None:
    """Names, shapes and types; what an old file calls otherwise has today's name, and counts of positions are left out."""
    model = read_folder(hollow / family, parts=[])
    for part, network, tensors in (
        (parts.UNET, model.unet, "unet"),
        (parts.AUTOENCODER, model.autoencoder, "vae_modern"),
        (parts.TEXT, model.text, "text_encoder"),
        *([(parts.DEPTH, model.depth, "depth_estimator")] if model.depth is not None else []),
    ):
        state = network.state_dict()
        ours = {
            theirs: (list(state[name].shape), state[name].dtype)
            for name, theirs in renamed(state, part.rows(network.config), FOLDER).items()
        }
        stored = {part.modern(name): (shape, DTYPES[kind]) for name, (shape, kind) in FOLDERS[family]["tensors"][tensors].items()}
        assert stored.pop(None, ([1, 77], torch.int64)) == ([1, 77], torch.int64)
        assert ours == stored


@pytest.mark.parametrize("variant", VARIANTS)
@torch.inference_mode()
def test_diffusers_opens_every_family(variant: str, tmp_path: Path) -> None:
    model = tiny_variant(variant)
    write_folder(model, tmp_path / "tiny", torch.float32)
    ours = read_folder(tmp_path / "tiny")
    for name in ("unet", "autoencoder", "text", *(["depth"] if variant == "depth" else [])):
        assert_same_weights(getattr(ours, name), getattr(model, name), torch.float32)
        assert getattr(ours, name).config == getattr(model, name).config
    assert (ours.schedule, ours.low_noise, ours.settings, ours.variant) == (model.schedule, model.low_noise, model.settings, variant)
    index = json.loads((tmp_path / "tiny" / "model_index.json").read_text())
    theirs = getattr(diffusers, index["_class_name"]).from_pretrained(tmp_path / "tiny", local_files_only=True)
    assert type(theirs).__name__.removeprefix("StableDiffusion") == CLASSES[variant]
    ours, theirs = read_folder(tmp_path / "tiny", dtype=torch.float64), theirs.to(torch.float64)
    torch.manual_seed(1)
    x = torch.randn(2, ours.unet.config.in_channels, 8, 8, dtype=torch.float64)
    t, ids = torch.tensor([10, 900]), torch.tensor([ours.tokenizer.padded("赤い")] * 2)
    context, label = ours.text(ids), torch.tensor([3, 40]) if variant == "upscaling" else None
    assert_equal(context, theirs.text_encoder(ids).last_hidden_state)
    assert_equal(ours.unet(x, t, context, label), theirs.unet(x, t, context, class_labels=label).sample)
    assert_equal(ours.autoencoder.decode(x[:, :4]), theirs.vae.decode(x[:, :4]).sample)
    image = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    assert_equal(ours.autoencoder.encode(image)[0], theirs.vae.encode(image).latent_dist.mean)
    assert theirs.vae.config.scaling_factor == ours.autoencoder.config.scale
    if variant == "depth":
        assert ours.depth is not None
        image = torch.randn(1, 3, 64, 64, dtype=torch.float64)
        assert_equal(ours.depth(image), theirs.depth_estimator(image).predicted_depth)
        assert ours.depth.config == model.depth.config
        assert theirs.feature_extractor.size == {"height": 64, "width": 64}
    if variant == "upscaling":
        assert theirs.config.max_noise_level == 40
        assert ours.low_noise is not None
        assert theirs.low_res_scheduler.alphas_cumprod.tolist() == pytest.approx(ours.low_noise.alphas_cumprod(), rel=1e-4)


@pytest.mark.parametrize("name", ["StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipelineLegacy"])
def test_other_names_of_the_same_parts(name: str, tmp_path: Path) -> None:
    """Old folders name a safety checker that they may not even hold."""
    write_folder(tiny_variant(""), tmp_path / "tiny")
    file = tmp_path / "tiny" / "model_index.json"
    index = json.loads(file.read_text())
    checker = {
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": ["transformers", "CLIPFeatureExtractor"],
    }
    write_json(file, {**index, **checker, "_class_name": name, "controlnet": [None, None]})
    assert read_folder(tmp_path / "tiny").variant == ""


def test_the_upscalers_factor_is_its_own_even_where_its_file_says_sds(tmp_path: Path) -> None:
    """As diffusers has it, too: files from before there was a scaling_factor mean 0.08333 there and 0.18215 elsewhere."""
    write_folder(tiny_variant("upscaling"), tmp_path / "tiny")
    file = tmp_path / "tiny" / "vae" / "config.json"
    config = json.loads(file.read_text())
    del config["scaling_factor"]
    write_json(file, config)
    model = read_folder(tmp_path / "tiny")
    theirs = diffusers.StableDiffusionUpscalePipeline.from_pretrained(tmp_path / "tiny", local_files_only=True)
    assert model.autoencoder.config.scale == theirs.vae.config.scaling_factor == 0.08333
    assert len(model.notes) == 1
    assert "scaling_factor" in model.notes[0]


def test_an_upscaler_needs_its_second_schedule(tmp_path: Path) -> None:
    model = tiny_variant("upscaling")
    with pytest.raises(ValueError, match="needs low_noise"):
        write_folder(replace(model, low_noise=None), tmp_path / "tiny")
    write_folder(model, tmp_path / "tiny")
    file = tmp_path / "tiny" / "model_index.json"
    index = json.loads(file.read_text())
    write_json(file, {name: value for name, value in index.items() if name != "low_res_scheduler"})
    with pytest.raises(FileError, match=r'model_index.json: "low_res_scheduler" is missing'):
        read_folder(tmp_path / "tiny")
    write_json(file, {**index, "max_noise_level": "much"})
    with pytest.raises(FileError, match=r'"max_noise_level" is "much"'):
        read_folder(tmp_path / "tiny")


@pytest.mark.parametrize("variant", VARIANTS)
def test_we_open_what_diffusers_saves_of_every_family(variant: str, tmp_path: Path) -> None:
    model = tiny_variant(variant)
    write_folder(model, tmp_path / "ours", torch.float32)
    theirs = diffusers.DiffusionPipeline.from_pretrained(tmp_path / "ours", local_files_only=True)
    theirs.save_pretrained(tmp_path / "theirs")
    again = read_folder(tmp_path / "theirs")
    assert again.variant == variant
    assert_same_weights(again.unet, model.unet, torch.float32)
    assert (again.schedule, again.low_noise) == (model.schedule, model.low_noise)
    if model.depth is not None:
        assert_same_weights(again.depth, model.depth, torch.float32)
        assert_same_weights(read_component(tmp_path / "theirs", "depth_estimator"), model.depth, torch.float32)


def test_a_depth_model_need_not_have_its_depth_network(tmp_path: Path) -> None:
    """diffusers opens it with one of another folder's, say."""
    write_folder(replace(tiny_variant("depth"), depth=None), tmp_path / "tiny")
    again = read_folder(tmp_path / "tiny")
    assert (again.depth, again.variant) == (None, "depth")
    given = {"depth_estimator": None, "feature_extractor": None}
    assert diffusers.StableDiffusionDepth2ImgPipeline.from_pretrained(tmp_path / "tiny", local_files_only=True, **given).unet is not None


DEPTH_CONFIG = "depth_estimator/config.json"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("is_hybrid", False),
        ("readout_type", "add"),
        ("hidden_act", "relu"),
        ("neck_hidden_sizes", [1, 2, 3, 4]),
        ("backbone_out_indices", [1, 2]),
        ("backbone_config", None),
        ("backbone_config", {"depths": [3, 4]}),
        ("backbone_config", {"depths": [3, 4, 9], "layer_type": "preactivation"}),
        ("backbone_config", {"depths": [3, 4, 9], "something_new": 1}),
        ("something_new", 1),
    ],
)
def test_depth_networks_of_other_kinds_are_refused_by_name(key: str, value: object, tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {**settings("sd2-depth", DEPTH_CONFIG), key: value})
    with pytest.raises(FileError) as caught:
        read_component(tmp_path)
    said = {"backbone_config": next(reversed(value)) if isinstance(value, dict) else key}.get(key, key)
    assert f"{tmp_path / 'config.json'}: " in caught.value.en
    assert said in caught.value.en
    assert "\n" not in caught.value.en + caught.value.ja


def test_parts_alone(tmp_path: Path) -> None:
    model = tiny_variant("upscaling")
    write_folder(model, tmp_path / "tiny", torch.float32)
    for folder, network in (("unet", model.unet), ("vae", model.autoencoder), ("text_encoder", model.text)):
        shutil.copytree(tmp_path / "tiny" / folder, tmp_path / f"only {folder}")
        for alone in (read_component(tmp_path / "tiny", folder), read_component(tmp_path / f"only {folder}")):
            assert type(alone) is type(network)
            assert_same_weights(alone, network, torch.float32)
        half = read_component(tmp_path / "tiny", folder, dtype=torch.float16)
        assert {p.dtype for p in half.parameters()} == {torch.float16}
    for folder, said in (
        ("", r"a whole model; name the subfolder of a part \(unet, vae, text_encoder, image_encoder, depth_estimator\)"),
        ("vae_decoder", "config.json: cannot be read"),
        ("tokenizer", "config.json: cannot be read"),
    ):
        with pytest.raises(FileError, match=said) as caught:
            read_component(tmp_path / "tiny", folder)
        assert "\n" not in caught.value.en + caught.value.ja
    write_json(tmp_path / "tiny" / "unet" / "config.json", {"_class_name": "ControlNetModel"})
    with pytest.raises(FileError, match="a network of kind 'ControlNetModel'"):
        read_component(tmp_path / "tiny", "unet")


@torch.inference_mode()
def test_the_text_tower_out_of_a_whole_clip(tmp_path: Path) -> None:
    """As the folder has it that SD1's text tower was taken from."""
    from transformers import CLIPConfig, CLIPModel

    small = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2}
    text = {**small, "vocab_size": 99, "eos_token_id": 98, "max_position_embeddings": 12}
    theirs = CLIPModel(CLIPConfig(text_config=text, vision_config={**small, "image_size": 28, "patch_size": 14}, projection_dim=24)).eval()
    theirs.save_pretrained(tmp_path)
    ours = read_component(tmp_path)
    ids = torch.randint(0, 97, (2, 12))
    ids[:, 7] = 98
    assert_equal(ours(ids), theirs.text_model(ids).last_hidden_state)
    assert_equal(ours.embed(ids), theirs.text_projection(theirs.text_model(ids).pooler_output))  # type: ignore[operator]


def test_a_schedule_of_another_kind_stays_with_its_folder(tmp_path: Path) -> None:
    model = replace(tiny_variant("inpainting"), schedule=NoiseSchedule(prediction="v_prediction", zero_terminal_snr=True))
    write_folder(model, tmp_path / "tiny")
    assert read_folder(tmp_path / "tiny").schedule == model.schedule


def test_diffusers_is_told_to_attend_in_full_precision_where_half_overflows(tmp_path: Path) -> None:
    """As SD2.1's own folder tells it; SD2's folders without v-prediction, and the x4 upscaler's, do not."""
    plain, upscaler = tiny_variant(""), tiny_variant("upscaling")
    linear = replace(plain, unet=UNet(replace(plain.unet.config, linear_projection=True)))
    v = NoiseSchedule(prediction="v_prediction")
    for i, (model, told) in enumerate(((plain, False), (linear, False), (replace(linear, schedule=v), True), (upscaler, False))):
        write_folder(model, tmp_path / str(i))
        config = json.loads((tmp_path / str(i) / "unet" / "config.json").read_text())
        assert config.get("upcast_attention", False) is told
        assert diffusers.UNet2DConditionModel.load_config(tmp_path / str(i), subfolder="unet").get("upcast_attention", False) is told
        assert read_folder(tmp_path / str(i)).unet.config == model.unet.config
