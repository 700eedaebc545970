"""Settings files of the released models are read and written as they are; what we cannot compute is refused by name."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest

from formats.released import FAMILIES
from formats.released import settings as released
from kakusan.errors import FileError
from kakusan.formats import configs
from kakusan.formats.fields import write_json
from kakusan.formats.scheduler import read_schedule, write_low_noise, write_schedule
from kakusan.messages import speak
from kakusan.models.autoencoder import AutoencoderConfig
from kakusan.models.clip_image import ClipImageConfig
from kakusan.models.clip_text import ClipTextConfig
from kakusan.models.unet import UNetConfig
from kakusan.schedules import NoiseSchedule

READERS = {
    "unet/config.json": (configs.read_unet, configs.write_unet),
    "vae/config.json": (configs.read_autoencoder, configs.write_autoencoder),
    "text_encoder/config.json": (configs.read_text, configs.write_text),
    "image_encoder/config.json": (configs.read_image, configs.write_image),
    "scheduler/scheduler_config.json": (read_schedule, write_schedule),
}
NOT_WRITTEN = {"_diffusers_version", "_name_or_path", "transformers_version", "upcast_attention"}
WRITTEN_OTHERWISE = {  # ids of the last tokens, where old files all say 0, 1, 2; our scheduler is always PNDM
    *("bos_token_id", "eos_token_id", "pad_token_id", "projection_dim"),
    *("_class_name", "skip_prk_steps", "clip_sample"),
}


def saved(folder: Path, settings: dict[str, Any]) -> Path:
    write_json(folder / "config.json", settings)
    return folder / "config.json"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", [name for name in READERS if "image" not in name])
def test_released_settings_are_written_as_they_were_read(family: str, name: str, tmp_path: Path) -> None:
    read, write = READERS[name]
    theirs = released(family, name)
    config = read(saved(tmp_path, theirs))
    ours = write(config)
    if (family, name) == ("sd1-inpainting", "unet/config.json"):
        theirs = {**theirs, "sample_size": 64}  # 32 in a file so old means 64
    for key in theirs.keys() - NOT_WRITTEN - WRITTEN_OTHERWISE:
        assert ours[key] == theirs[key], key
    assert read(saved(tmp_path, ours)) == config


def test_what_the_released_settings_say(tmp_path: Path) -> None:
    def unet(family: str) -> UNetConfig:
        return configs.read_unet(saved(tmp_path, released(family, "unet/config.json")))

    assert unet("sd1") == UNetConfig()
    assert unet("sd1-inpainting") == replace(UNetConfig(), in_channels=9)
    sd2 = UNetConfig(context_width=1024, heads=(5, 10, 20, 20), linear_projection=True)
    assert unet("sd2-base") == unet("sd2.1-base") == sd2
    assert unet("sd2") == unet("sd2.1") == replace(sd2, sample_size=96)
    assert unet("x4").attention == (False, True, True, True)
    assert (unet("x4").class_labels, unet("x4").only_cross_attention) == (1000, (True, True, True, False))
    assert configs.read_autoencoder(saved(tmp_path, released("sd1", "vae/config.json"))) == AutoencoderConfig()
    assert configs.read_autoencoder(saved(tmp_path, released("x4", "vae/config.json"))).scale == 0.08333
    assert configs.read_text(saved(tmp_path, released("sd1", "text_encoder/config.json"))) == ClipTextConfig()
    assert read_schedule(saved(tmp_path, released("sd1", "scheduler/scheduler_config.json"))) == NoiseSchedule()
    v = read_schedule(saved(tmp_path, released("sd2.1", "scheduler/scheduler_config.json")))
    assert v == NoiseSchedule(prediction="v_prediction")


def test_a_second_schedule_is_written_as_it_was_read(tmp_path: Path) -> None:
    theirs = released("x4", "low_res_scheduler/scheduler_config.json")
    schedule = read_schedule(saved(tmp_path, theirs))
    assert schedule.alphas_cumprod() == pytest.approx(diffusers.DDPMScheduler.from_config(theirs).alphas_cumprod.tolist(), rel=1e-4)
    ours = write_low_noise(schedule)
    assert {key: ours[key] for key in theirs.keys() - NOT_WRITTEN} == {key: theirs[key] for key in theirs.keys() - NOT_WRITTEN}
    assert read_schedule(saved(tmp_path, ours)) == schedule
    other = NoiseSchedule(beta_start=0.0001, beta_end=0.02)
    assert read_schedule(saved(tmp_path, write_low_noise(other))) == other


def test_the_text_tower_of_a_whole_clip(tmp_path: Path) -> None:
    """Its text_config_dict overrules its text_config, as in transformers."""
    text = {key: value for key, value in released("sd1", "text_encoder/config.json").items() if key not in ("architectures", "hidden_size")}
    whole = {"architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": 768, "vision_config": {"hidden_size": 1024}}
    file = saved(tmp_path, {**whole, "text_config": {**text, "num_beams": 1, "prefix": None}, "text_config_dict": {"hidden_size": 768}})
    assert configs.read_text(file) == replace(ClipTextConfig(), projection=768)
    for wrong in ({}, {"text_config": 3}, {"text_config": text, "text_config_dict": []}):
        with pytest.raises(FileError, match="text_config"):
            configs.read_text(saved(tmp_path, {**whole, **wrong}))


def test_old_files_of_unets_mean_64_when_they_say_less(tmp_path: Path) -> None:
    settings = released("sd1", "unet/config.json")
    for version, sample in (("0.2.2", 64), ("0.8.1", 64), ("0.9.0", 32), ("0.10.0.dev0", 32), ("1.0", 32)):
        file = saved(tmp_path, {**settings, "sample_size": 32, "_diffusers_version": version})
        assert configs.read_unet(file).sample_size == sample
    assert configs.read_unet(saved(tmp_path, {**settings, "sample_size": 96})).sample_size == 96


def test_settings_as_diffusers_itself_saves_them_now(tmp_path: Path) -> None:
    """Every setting of its classes is known: used, or refused unless it has the one value that changes nothing."""
    theirs = diffusers.UNet2DConditionModel(
        cross_attention_dim=8, block_out_channels=(32,), down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",), sample_size=8
    )
    theirs.save_config(tmp_path)
    assert configs.read_unet(tmp_path / "config.json").channels == (32,)
    diffusers.AutoencoderKL().save_config(tmp_path)
    assert configs.read_autoencoder(tmp_path / "config.json").channels == (64,)


@pytest.mark.parametrize(
    "name", ["PNDM", "DDIM", "DDPM", "EulerDiscrete", "EulerAncestralDiscrete", "LMSDiscrete", "HeunDiscrete", "DPMSolverMultistep"]
)
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_schedules_of_other_classes_mean_what_they_mean_to_diffusers(name: str, full: bool, tmp_path: Path) -> None:
    theirs = getattr(diffusers, f"{name}Scheduler")(beta_start=0.001, beta_end=0.011, beta_schedule="scaled_linear", steps_offset=1)
    theirs.save_config(tmp_path)
    file = tmp_path / "scheduler_config.json"
    if not full:  # as old files are, which leave out what was not given
        kept = ("_class_name", "beta_start", "beta_end", "beta_schedule", "steps_offset")
        write_json(file, {key: value for key, value in json.loads(file.read_text()).items() if key in kept})
    ours = read_schedule(file)
    assert (ours.beta_start, ours.beta_end, ours.kind, ours.steps_offset) == (0.001, 0.011, "scaled_linear", 1)
    assert ours.prediction == "epsilon"
    assert ours.spacing == theirs.config.timestep_spacing
    assert ours.set_alpha_to_one == theirs.config.get("set_alpha_to_one", True)
    assert ours.alphas_cumprod() == pytest.approx(theirs.alphas_cumprod.tolist(), rel=1e-4)


def test_zero_terminal_snr_is_written_for_a_class_that_can_do_it(tmp_path: Path) -> None:
    schedule = NoiseSchedule(zero_terminal_snr=True, prediction="v_prediction", spacing="trailing")
    written = write_schedule(schedule)
    assert read_schedule(saved(tmp_path, written)) == schedule
    theirs = diffusers.DDIMScheduler.from_config(written)
    assert written["_class_name"] == "DDIMScheduler"
    assert theirs.alphas_cumprod[-1] < 1e-6


UNKNOWN = [
    ("unet/config.json", "act_fn", "gelu"),
    ("unet/config.json", "attention_head_dim", "8"),
    ("unet/config.json", "attention_head_dim", [8, 8]),
    ("unet/config.json", "attention_head_dim", 7),
    ("unet/config.json", "block_out_channels", 320),
    ("unet/config.json", "block_out_channels", []),
    ("unet/config.json", "block_out_channels", [320, 640]),
    ("unet/config.json", "center_input_sample", True),
    ("unet/config.json", "class_embed_type", "projection"),
    ("unet/config.json", "_class_name", "UNet2DModel"),
    ("unet/config.json", "cross_attention_dim", [768, 768, 768, 512]),
    ("unet/config.json", "down_block_types", ["CrossAttnDownBlock2D"] * 3 + ["AttnDownBlock2D"]),
    ("unet/config.json", "up_block_types", ["CrossAttnUpBlock2D"] * 4),
    ("unet/config.json", "flip_sin_to_cos", False),
    ("unet/config.json", "in_channels", True),
    ("unet/config.json", "in_channels", 4.0),
    ("unet/config.json", "layers_per_block", [2, 2, 2, 3]),
    ("unet/config.json", "mid_block_type", None),
    ("unet/config.json", "norm_num_groups", None),
    ("unet/config.json", "norm_num_groups", 0),
    ("unet/config.json", "only_cross_attention", [True]),
    ("unet/config.json", "time_cond_proj_dim", 256),
    ("unet/config.json", "transformer_layers_per_block", 10),
    ("unet/config.json", "resnet_time_scale_shift", "scale_shift"),
    ("unet/config.json", "something_new", 1),
    ("vae/config.json", "_class_name", "AutoencoderTiny"),
    ("vae/config.json", "act_fn", "mish"),
    ("vae/config.json", "down_block_types", ["DownEncoderBlock2D"] * 3),
    ("vae/config.json", "up_block_types", ["AttnUpDecoderBlock2D"] * 4),
    ("vae/config.json", "latents_mean", [0.0]),
    ("vae/config.json", "mid_block_add_attention", False),
    ("vae/config.json", "out_channels", 4),
    ("vae/config.json", "scaling_factor", None),
    ("vae/config.json", "shift_factor", 0.1),
    ("vae/config.json", "use_quant_conv", False),
    ("text_encoder/config.json", "architectures", ["T5EncoderModel"]),
    ("text_encoder/config.json", "hidden_act", "relu"),
    ("text_encoder/config.json", "hidden_size", None),
    ("text_encoder/config.json", "layer_norm_eps", 1e-6),
    ("text_encoder/config.json", "model_type", "bert"),
    ("text_encoder/config.json", "rope_theta", 1e4),
    ("text_encoder/config.json", "pruned_heads", {"0": [1]}),
    ("image_encoder/config.json", "architectures", ["CLIPVisionModel"]),
    ("image_encoder/config.json", "num_channels", 4),
    ("image_encoder/config.json", "patch_size", 15),
    ("scheduler/scheduler_config.json", "_class_name", "FlowMatchEulerDiscreteScheduler"),
    ("scheduler/scheduler_config.json", "beta_schedule", "squaredcos_cap_v2"),
    ("scheduler/scheduler_config.json", "beta_start", -1),
    ("scheduler/scheduler_config.json", "prediction_type", "flow"),
    ("scheduler/scheduler_config.json", "thresholding", True),
    ("scheduler/scheduler_config.json", "predict_epsilon", False),
    ("scheduler/scheduler_config.json", "timestep_spacing", "even"),
    ("scheduler/scheduler_config.json", "trained_betas", [0.1]),
    ("scheduler/scheduler_config.json", "something_new", False),
]


@pytest.mark.parametrize(("name", "key", "value"), UNKNOWN)
def test_what_would_change_the_mathematics_is_refused_by_name(name: str, key: str, value: object, tmp_path: Path) -> None:
    read, write = READERS[name]
    settings = write(ClipImageConfig()) if name.startswith("image") else released("sd1", name)
    file = saved(tmp_path, {**settings, key: value})
    for language in ("en", "ja"):
        speak(language)
        with pytest.raises(FileError) as caught:
            read(file)
        said = str(caught.value)
        assert said.startswith(f"{file}: ")
        assert "\n" not in said
        assert bool(re.search(r"[ぁ-んァ-ヶ一-龠]", said)) == (language == "ja")
        words = {
            "block_out_channels": "channels|block_types|entries",
            "attention_head_dim": "head",
            "norm_num_groups": "norm_groups|norm_num",
        }
        words |= {"beta_schedule": "kind", "prediction_type": "prediction", "timestep_spacing": "spacing", "patch_size": "patches"}
        assert re.search(words.get(key, key), said), said
    speak(None)


@pytest.mark.parametrize("name", ["unet/config.json", "text_encoder/config.json"])
def test_settings_that_change_nothing_are_passed_over(name: str, tmp_path: Path) -> None:
    read, _ = READERS[name]
    settings = released("sd1", name)
    more = {"upcast_attention": True, "dropout": 0.1} if name.startswith("unet") else {"initializer_range": 0.5, "dtype": "float16"}
    assert read(saved(tmp_path, {**settings, **more})) == read(saved(tmp_path, settings))


@pytest.mark.parametrize(
    ("text", "said"), [("{", "not valid JSON"), ("[1]", "not a JSON object"), (None, "cannot be read"), (b"\xff", "not valid JSON")]
)
def test_files_that_hold_no_settings(text: str | bytes | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    if text is not None:
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    speak("en")
    with pytest.raises(FileError, match=said) as caught:
        configs.read_unet(file)
    speak(None)
    assert str(file) in str(caught.value)
