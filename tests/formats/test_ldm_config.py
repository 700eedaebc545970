"""The published .yaml files, scaled down or not: every setting used, known to change nothing, or refused by name."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import save_file

from formats.originals import CLIP, FAMILIES, config, tensors, tiny_shapes, true_shapes, write_config
from formats.stored import Names
from kakusan.errors import FileError
from kakusan.formats.detect import detect
from kakusan.formats.ldm_config import read_config
from kakusan.formats.single import read_single
from kakusan.models.autoencoder import AutoencoderConfig
from kakusan.models.clip_text import ClipTextConfig
from kakusan.models.unet import UNetConfig

# As published: CompVis v1-inference.yaml and Stability v2-inference-v.yaml, with what surrounds the model.
PUBLISHED = """
model:
  base_learning_rate: 1.0e-04
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    {parameterization}
    linear_start: 0.00085
    linear_end: 0.0120
    num_timesteps_cond: 1
    log_every_t: 200
    timesteps: 1000
    first_stage_key: "jpg"
    cond_stage_key: "txt"
    image_size: 64
    channels: 4
    cond_stage_trainable: false   # Note: different from the one we trained before
    conditioning_key: crossattn
    monitor: val/loss_simple_ema
    scale_factor: 0.18215
    use_ema: False

    scheduler_config: # 10000 warmup steps
      target: ldm.lr_scheduler.LambdaLinearScheduler
      params:
        warm_up_steps: [ 10000 ]
        cycle_lengths: [ 10000000000000 ]
        f_start: [ 1.e-6 ]

    unet_config:
      target: ldm.modules.diffusionmodules.openaimodel.UNetModel
      params:
        use_checkpoint: True
        image_size: 32 # unused
        in_channels: 4
        out_channels: 4
        model_channels: 320
        attention_resolutions: [ 4, 2, 1 ]
        num_res_blocks: 2
        channel_mult: [ 1, 2, 4, 4 ]
        {heads}
        use_spatial_transformer: True
        transformer_depth: 1
        legacy: False

    first_stage_config:
      target: ldm.models.autoencoder.AutoencoderKL
      params:
        embed_dim: 4
        monitor: val/rec_loss
        ddconfig:
          double_z: true
          z_channels: 4
          resolution: 256
          in_channels: 3
          out_ch: 3
          ch: 128
          ch_mult:
          - 1
          - 2
          - 4
          - 4
          num_res_blocks: 2
          attn_resolutions: []
          dropout: 0.0
        lossconfig:
          target: torch.nn.Identity

    cond_stage_config:
      target: ldm.modules.encoders.modules.{encoder}

data:
  target: ldm.data.laion.WebDataModuleFromConfig
  params: {{tar_base: null, batch_size: 8}}
lightning: {{trainer: {{benchmark: True}}}}
"""
V1 = PUBLISHED.format(parameterization="", heads="num_heads: 8\n        context_dim: 768", encoder="FrozenCLIPEmbedder")
V2 = PUBLISHED.format(
    parameterization='parameterization: "v"',
    heads="num_head_channels: 64 # need to fix for flash-attn\n        context_dim: 1024\n        use_linear_in_transformer: True"
    "\n        use_fp16: True",
    encoder='FrozenOpenCLIPEmbedder\n      params:\n        freeze: True\n        layer: "penultimate"',
)


def test_the_published_files_say_what_the_checkpoints_show(tmp_path: Path) -> None:
    for text, name, prediction in ((V1, "sd1", "epsilon"), (V2, "sd2 768", "v_prediction")):
        file = tmp_path / f"{name}.yaml"
        file.write_text(text)
        source = Names(true_shapes(FAMILIES[name]), {"modelspec.prediction_type": prediction})
        said, seen = read_config(file, source), detect(source)
        assert said.unet == seen.unet
        assert said.text == seen.text
        assert (said.schedule, said.prediction, said.open_clip, said.skipped) == (seen.schedule, prediction, seen.open_clip, seen.skipped)
        assert said.autoencoder == AutoencoderConfig(sample_size=256)


@pytest.mark.parametrize("name", FAMILIES)
def test_each_kind_is_read_in_full(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    found = read_config(write_config(config(family), tmp_path / "m.yaml"), Names(tiny_shapes(family)))
    assert found.unet is not None
    assert found.unet.in_channels == family.channels
    assert found.unet.heads == ((1, 2, 4, 4) if family.structure == "sd2.1" else 8)
    assert found.unet.only_cross_attention == ((True, True, True, False) if name == "x4" else None)
    assert found.unet.class_labels == (1000 if name == "x4" else 0)
    assert found.prediction == found.schedule.prediction == family.prediction
    assert found.text == ClipTextConfig(
        width=64, layers=2, heads=1, feedforward=256, activation="gelu" if family.open_clip else "quick_gelu"
    )
    assert (found.low_noise is not None) == (name == "x4")
    assert found.unet.sample_size == 8


def changed(path: str, value: Any, base: str = "sd1") -> dict[str, Any]:
    settings = copy.deepcopy(config(FAMILIES[base]))
    at = settings
    *way, last = path.split(".")
    for step in way:
        at = at.setdefault(step, {})
    at[last] = value
    return settings


PARAMS, UNET, DD = "model.params.", "model.params.unet_config.params.", "model.params.first_stage_config.params.ddconfig."
REFUSED = [
    ("model.target", "os.system", '"model.target" is "os.system"; kakusan reads only ldm.models'),
    ("model.target", "ldm.models.diffusion.ddpm.ImageEmbeddingConditionedLatentDiffusion", '"model.target" is'),
    (f"{PARAMS}cond_stage_config.target", "ldm.modules.encoders.modules.BERTEmbedder", "BERTEmbedder"),
    (f"{PARAMS}cond_stage_config.params.layer", "pooled", 'cond_stage_config.params.layer" is "pooled"; kakusan reads only last'),
    (f"{PARAMS}beta_schedule", "cosine", 'beta_schedule" is "cosine"'),
    (f"{PARAMS}parameterization", "mu", 'parameterization" is "mu"'),
    (f"{PARAMS}linear_start", "often", 'linear_start" is "often"; kakusan reads only a number'),
    (f"{PARAMS}timesteps", 1, "needed: 0 < beta_start"),
    (f"{PARAMS}surprise", 3, '"model.params.surprise": 3 is a setting kakusan does not know'),
    (f"{UNET}n_embed", 8, 'unet_config.params.n_embed": 8 is a setting kakusan does not know'),
    (f"{UNET}use_scale_shift_norm", True, 'use_scale_shift_norm" is true'),
    (f"{UNET}transformer_depth", 2, 'transformer_depth" is 2'),
    (f"{UNET}num_res_blocks", [2, 2, 1, 2], "num_res_blocks"),
    (f"{UNET}num_heads", -1, 'num_heads" is null; kakusan reads only it or num_head_channels'),
    (f"{UNET}num_classes", "sequential", 'num_classes" is "sequential"'),
    (f"{UNET}model_channels", 48, "norm_groups 32"),
    (f"{DD}double_z", False, 'double_z" is false'),
    (f"{DD}out_ch", 4, 'ddconfig.out_ch" is 4; kakusan reads only 3'),
    (f"{DD}attn_resolutions", [64], "attn_resolutions"),
    ("model.params.first_stage_config.params.embed_dim", 3, 'embed_dim" is 3; kakusan reads only 4'),
]


@pytest.mark.parametrize(("path", "value", "message"), REFUSED)
def test_what_would_change_the_picture_is_refused(path: str, value: Any, message: str, tmp_path: Path) -> None:
    file = write_config(changed(path, value), tmp_path / "m.yaml")
    with pytest.raises(FileError) as caught:
        read_config(file, Names(tiny_shapes(FAMILIES["sd1"])))
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{PARAMS}linear_start", "85e-5"),  # numbers that YAML 1.1 takes for words
        (f"{PARAMS}ckpt_path", "/nowhere/model.ckpt"),
        (f"{UNET}use_fp16", True),
        (f"{UNET}dropout", 0.1),
        (f"{UNET}context_dim", [64]),
        (f"{UNET}num_head_channels", -1),
        (f"{DD}attn_resolutions", [16]),  # of which no level is
        (f"{DD}attn_type", "vanilla-xformers"),
        (f"{PARAMS}personalization_config", {"target": "ldm.modules.embedding_manager.EmbeddingManager", "params": {"a": 1}}),
    ],
)
def test_what_changes_nothing_is_read_over(path: str, value: Any, tmp_path: Path) -> None:
    source = Names(tiny_shapes(FAMILIES["sd1"]))
    plain = read_config(write_config(config(FAMILIES["sd1"]), tmp_path / "plain.yaml"), source)
    assert read_config(write_config(changed(path, value), tmp_path / "m.yaml"), source) == plain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: [", "not valid YAML"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("- 1", "not a YAML file of settings"),
        ("", "not a YAML file of settings"),
        ("model: {target: x}", '"model.target" is "x"'),
        ("[" * 3000, "not valid YAML"),
    ],
)
def test_what_is_no_such_file_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(FileError, match=message) as caught:
        read_config(tmp_path / "m.yaml", Names({}))
    assert "\n" not in str(caught.value)
    with pytest.raises(FileError, match=r"nothing.yaml: cannot be read"):
        read_config(tmp_path / "nothing.yaml", Names({}))


def test_a_yaml_of_another_model_is_one_line_with_file_and_tensor(tmp_path: Path) -> None:
    save_file(tensors(FAMILIES["sd1"]), tmp_path / "m.safetensors")
    for path, value in ((f"{UNET}model_channels", 64), (f"{UNET}in_channels", 9), (f"{DD}ch", 64), (f"{UNET}context_dim", 128)):
        with pytest.raises(FileError, match=r"m.safetensors: (model|first_stage_model)\.\S+ has shape \[.*\] instead of \[") as caught:
            read_single(tmp_path / "m.safetensors", config=write_config(changed(path, value), tmp_path / "m.yaml"))
        assert "\n" not in str(caught.value)
    with pytest.raises(FileError, match=r"m.safetensors: model\.\S+ is (missing|not a tensor of this model)"):
        read_single(tmp_path / "m.safetensors", config=write_config(changed(f"{UNET}channel_mult", [1, 2, 4, 4, 4]), tmp_path / "m.yaml"))
    with pytest.raises(FileError, match=r"m.safetensors: cond_stage_model.model.token_embedding.weight is missing"):
        read_single(tmp_path / "m.safetensors", config=write_config(config(FAMILIES["sd2 base"]), tmp_path / "m.yaml"))


def test_version_may_name_a_folder_with_the_text_towers_settings(tmp_path: Path) -> None:
    import transformers

    tower = transformers.CLIPTextConfig(
        hidden_size=64, intermediate_size=256, num_attention_heads=4, num_hidden_layers=2, hidden_act="gelu"
    )
    tower.save_pretrained(tmp_path / "clip")
    file = write_config(changed(f"{PARAMS}cond_stage_config.params", {"version": "clip"}), tmp_path / "m.yaml")
    found = read_config(file, Names(tiny_shapes(FAMILIES["sd1"])))
    assert found.text is not None
    assert (found.text.heads, found.text.activation) == (4, "gelu")
    elsewhere = write_config(
        changed(f"{PARAMS}cond_stage_config.params", {"version": "openai/clip-vit-large-patch14"}), tmp_path / "m.yaml"
    )
    found = read_config(elsewhere, Names(tiny_shapes(FAMILIES["sd1"])))
    assert found.text is not None
    assert found.text.heads == 1


def test_other_sizes_than_published_load(tmp_path: Path) -> None:
    settings = config(FAMILIES["sd1"])
    assert yaml.safe_load((write_config(settings, tmp_path / "m.yaml")).read_text()) == settings
    save_file(tensors(FAMILIES["sd1"]), tmp_path / "m.safetensors")
    model = read_single(tmp_path / "m.safetensors", config=tmp_path / "m.yaml")
    assert model.unet.config == UNetConfig(channels=(32, 64, 128, 128), context_width=64, sample_size=8)
    assert model.tokenizer.padded("a")[:3] == [49406, 320, 49407]
    assert CLIP.startswith("cond_stage_model.")
