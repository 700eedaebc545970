"""The original .yaml beside a single file, as CompVis, Runway and Stability wrote it.

Each `target` is looked up here and never imported. A setting that would change what is computed is used, or has the one value our
networks know, or is refused.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from ..errors import FileError, KakusanError
from ..models.autoencoder import AutoencoderConfig
from ..models.clip_text import ClipTextConfig
from ..models.unet import UNetConfig
from ..schedules import NoiseSchedule
from . import configs
from .detect import CLIP, OPEN_CLIP, Found, depth_in, predicting
from .ema import ema
from .fields import Fields
from .model_index import MOST_NOISE
from .shapes import clip_of, open_clip_of
from .source import Source, Under

LONGEST = 1 << 20
MODEL, UNET, FIRST, TEXT, LOW, DEPTH_STAGE = (
    "model.params." + stage
    for stage in ("", "unet_config.", "first_stage_config.", "cond_stage_config.", "low_scale_config.", "depth_stage_config.")
)
DDPM, ENCODERS = "ldm.models.diffusion.ddpm.", "ldm.modules.encoders.modules."
TARGETS = {
    "model.target": tuple(
        f"{DDPM}Latent{kind}Diffusion" for kind in ("", "Inpaint", "Depth2Image", "Upscale", "Finetune", "UpscaleFinetune")
    ),
    f"{UNET}target": ("ldm.modules.diffusionmodules.openaimodel.UNetModel",),
    f"{FIRST}target": ("ldm.models.autoencoder.AutoencoderKL",),
    f"{TEXT}target": (f"{ENCODERS}FrozenCLIPEmbedder", f"{ENCODERS}FrozenOpenCLIPEmbedder"),
    f"{LOW}target": ("ldm.modules.diffusionmodules.upscaling.ImageConcatWithNoiseAugmentation",),
    f"{DEPTH_STAGE}target": ("ldm.modules.midas.api.MiDaSInference",),
}
NEEDED = ("model.target", f"{UNET}target", f"{FIRST}target", f"{TEXT}target")
SAME: dict[str, tuple[object, ...]] = {
    f"{MODEL}use_positional_encodings": (False,),
    f"{MODEL}conditioning_key": ("crossattn", "hybrid", "hybrid-adm"),
    f"{UNET}params.use_spatial_transformer": (True,),
    f"{UNET}params.transformer_depth": (1, [1]),
    f"{UNET}params.disable_middle_self_attn": (False,),
    f"{UNET}params.conv_resample": (True,),
    f"{UNET}params.dims": (2,),
    f"{UNET}params.use_scale_shift_norm": (False,),
    f"{UNET}params.resblock_updown": (False,),
    f"{UNET}params.num_heads_upsample": (-1,),
    f"{FIRST}params.ddconfig.double_z": (True,),
    f"{FIRST}params.ddconfig.attn_type": ("vanilla", "vanilla-xformers"),
    f"{FIRST}params.ddconfig.tanh_out": (False,),
    f"{FIRST}params.ddconfig.use_linear_attn": (False,),
    f"{FIRST}params.ddconfig.resamp_with_conv": (True,),
    f"{FIRST}params.ddconfig.give_pre_end": (False,),
    f"{DEPTH_STAGE}params.model_type": ("dpt_hybrid",),
}
IGNORED = {
    "model.": ("base_learning_rate",),
    MODEL: (
        *("num_timesteps_cond", "log_every_t", "first_stage_key", "cond_stage_key", "cond_stage_trainable", "monitor", "loss_type"),
        *("ckpt_path", "ignore_keys", "load_only_unet", "clip_denoised", "cosine_s", "original_elbo_weight", "v_posterior"),
        *("l_simple_weight", "learn_logvar", "logvar_init", "use_fp16", "make_it_fit", "reset_ema", "reset_num_ema_updates"),
        *("concat_mode", "unet_trainable", "force_null_conditioning", "finetune_keys", "keep_finetune_dims", "concat_keys", "channels"),
        *("masked_image_key", "c_concat_log_start", "c_concat_log_end", "low_scale_key", "noise_level_key", "scale_by_std"),
    ),
    f"{UNET}params.": (
        *("use_checkpoint", "use_fp16", "use_bf16", "image_size", "legacy", "dropout", "use_new_attention_order"),
        "adm_in_channels",
    ),
    f"{FIRST}params.": ("monitor", "ckpt_path", "ignore_keys", "image_key", "colorize_nlabels", "ema_decay", "learn_logvar"),
    f"{FIRST}params.ddconfig.": ("dropout",),
    f"{TEXT}params.": ("freeze", "device", "arch"),
    f"{LOW}params.": ("to_cuda",),
    f"{LOW}params.noise_schedule_config.": ("cosine_s",),
}
IGNORED_WHOLE = (
    *("data.", "lightning.", f"{MODEL}scheduler_config.", f"{MODEL}ucg_training.", f"{MODEL}personalization_config."),
    f"{FIRST}params.lossconfig.",
)
BETAS = {"linear": "scaled_linear", "sqrt_linear": "linear"}
PREDICTIONS = {"eps": "epsilon", "v": "v_prediction", "x0": "sample"}
NUMBER = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")  # YAML 1.1 wants a point in 1e-4; the original's reader does not


class Settings(Fields):
    """The settings of a .yaml file under their full names: `model.params.linear_start`. What is null is as if it were not there."""

    def __init__(self, file: Path):
        self.file = file
        self.left = dict(_flat(read_yaml(file), ""))


def read_config(file: str | Path, source: Source) -> Found:
    """What the .yaml says the single file `source` holds; the text tower's sizes, which no .yaml has, are taken from the file.

    Raises FileError naming file and setting.
    """
    fields = Settings(Path(file))
    for name, targets in TARGETS.items():
        if (name in fields.left or name in NEEDED) and (target := fields.left.get(name)) not in targets:
            fields.refuse(name, target, " / ".join(targets))
    for prefix in IGNORED_WHOLE:
        fields.ignore([name for name in fields.left if name.startswith(prefix)])
    for prefix, names in IGNORED.items():
        fields.ignore([prefix + name for name in names])
    fields.expect(SAME)
    try:
        found = _found(fields, source)
    except FileError:
        raise
    except KakusanError as error:
        raise FileError(f"{fields.file}: {error.en}", f"{fields.file}: {error.ja}") from error
    except ValueError as error:
        raise FileError(f"{fields.file}: {error}", f"{fields.file}: 設定の値が合いません ({error})") from error
    fields.ignore(TARGETS)
    fields.done()
    return found


def read_yaml(file: Path) -> dict[str, Any]:
    """The settings in a .yaml file, data only. Raises FileError if there are none."""
    try:
        text = file.read_text(encoding="utf-8")
        values = yaml.safe_load(text) if len(text) <= LONGEST else None
    except OSError as error:
        raise FileError(f"{file}: cannot be read ({error.strerror})", f"{file}: 読み込めません ({error.strerror})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FileError(f"{file}: not valid YAML ({reason})", f"{file}: YAML として読めません ({reason})") from error
    if not isinstance(values, dict):
        raise FileError(f"{file}: not a YAML file of settings", f"{file}: 設定の YAML ではありません")
    return values


def _flat(values: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", float(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value


def _found(fields: Settings, source: Source) -> Found:
    low = _noise(fields, f"{LOW}params.noise_schedule_config.") if f"{LOW}target" in fields.left else None
    most = MOST_NOISE if low is None else fields.take(f"{LOW}params.max_noise_level", int, 1000)
    text, open_clip, skipped, tokenizer = _text(fields, source)
    found = Found(
        unet=_unet(fields),
        autoencoder=_autoencoder(fields),
        text=text,
        schedule=_noise(fields, MODEL),
        open_clip=open_clip,
        skipped=skipped,
        low_noise=replace(low, steps_offset=0, set_alpha_to_one=True) if low is not None else None,
        settings={"max_noise_level": most} if most != MOST_NOISE else {},
        ema=ema(source.tensors),
        use_ema=fields.take(f"{MODEL}use_ema", bool, False),
        depth=depth_in(source),
        length=fields.take(f"{TEXT}params.max_length", int, 77),
        tokenizer=tokenizer,
    )
    said = fields.take(f"{MODEL}parameterization", str, "eps")
    if said not in PREDICTIONS:
        fields.refuse(f"{MODEL}parameterization", said, " / ".join(PREDICTIONS))
    return predicting(found, PREDICTIONS[said])


def _unet(fields: Settings) -> UNetConfig:
    at = f"{UNET}params."
    width = fields.take(f"{at}model_channels", int)
    channels = tuple(width * times for times in fields.take_each(f"{at}channel_mult", int))
    halvings = _whole_numbers(fields, f"{at}attention_resolutions")
    attention = tuple(2**level in halvings for level in range(len(channels)))
    only_cross = fields.take_each(f"{at}disable_self_attentions", bool) if f"{at}disable_self_attentions" in fields.left else ()
    return UNetConfig(
        in_channels=fields.take(f"{at}in_channels", int),
        out_channels=fields.take(f"{at}out_channels", int),
        channels=channels,
        blocks=fields.take_same(f"{at}num_res_blocks", int, 2),
        attention=attention,
        context_width=fields.take_same(f"{at}context_dim", int, 768),
        heads=_heads(fields, channels),
        linear_projection=fields.take(f"{at}use_linear_in_transformer", bool, False),
        sample_size=fields.take(f"{MODEL}image_size", int, 64),
        class_labels=fields.take(f"{at}num_classes", int, 0),
        only_cross_attention=only_cross if any(only_cross) else None,
    )


def _heads(fields: Settings, channels: tuple[int, ...]) -> int | tuple[int, ...]:
    """As many of a given width as fit, or a given number; -1 stands for neither, as in the original."""
    at = f"{UNET}params."
    for name in (f"{at}num_heads", f"{at}num_head_channels"):
        if fields.left.get(name) == -1:
            fields.ignore([name])
    count = fields.take(f"{at}num_heads", int, 0)
    width = fields.take(f"{at}num_head_channels", int, 0)
    if not count and not width:
        fields.refuse(f"{at}num_heads", None, "it or num_head_channels")
    return tuple(max(c // width, 1) for c in channels) if width else count


def _autoencoder(fields: Settings) -> AutoencoderConfig:
    at = f"{FIRST}params.ddconfig."
    width, latent = fields.take(f"{at}ch", int), fields.take(f"{at}z_channels", int)
    channels = tuple(width * times for times in fields.take_each(f"{at}ch_mult", int))
    size, channels_in = fields.take(f"{at}resolution", int), fields.take(f"{at}in_channels", int)
    for name, wanted in ((f"{at}out_ch", channels_in), (f"{FIRST}params.embed_dim", latent)):
        if (value := fields.take(name, int)) != wanted:
            fields.refuse(name, value, str(wanted))
    if attends := set(_whole_numbers(fields, f"{at}attn_resolutions")) & {size >> level for level in range(len(channels))}:
        fields.refuse(f"{at}attn_resolutions", sorted(attends), "sizes that no level has: attention in the middle only")
    return AutoencoderConfig(
        channels_in=channels_in,
        latent_channels=latent,
        channels=channels,
        blocks=fields.take(f"{at}num_res_blocks", int),
        sample_size=size,
        scale=fields.take(f"{MODEL}scale_factor", float, 1.0),
    )


def _text(fields: Settings, source: Source) -> tuple[ClipTextConfig, bool, int, Path | None]:
    """The text tower, whether it is OpenCLIP's, how many layers are left out, and where its tokenizer lies if the .yaml says."""
    at = f"{TEXT}params."
    layer, version = fields.take(f"{at}layer", str, "last"), fields.take(f"{at}version", str, "")
    open_clip = fields.left[f"{TEXT}target"] == f"{ENCODERS}FrozenOpenCLIPEmbedder"
    layers = ("last", "penultimate") if open_clip else ("last",)
    if layer not in layers:
        fields.refuse(f"{at}layer", layer, " / ".join(layers))
    if open_clip:
        skipped = layers.index(layer)
        return open_clip_of(Under(source, OPEN_CLIP), skipped), True, skipped, None
    folder = next((path for path in (fields.file.parent / version, Path(version)) if version and (path / "config.json").is_file()), None)
    config = None if folder is None else configs.read_text(folder / "config.json")
    known = {} if config is None else {"heads": config.heads, "activation": config.activation, "end_token": config.end_token}
    return clip_of(Under(source, CLIP), known), False, 0, folder


def _noise(fields: Settings, at: str) -> NoiseSchedule:
    """The betas. What the original calls linear is linear in the square root."""
    if (said := fields.take(f"{at}beta_schedule", str, "linear")) not in BETAS:
        fields.refuse(f"{at}beta_schedule", said, " / ".join(BETAS))
    return NoiseSchedule(
        beta_start=fields.take(f"{at}linear_start", float, 1e-4),
        beta_end=fields.take(f"{at}linear_end", float, 2e-2),
        kind=BETAS[said],
        steps=fields.take(f"{at}timesteps", int, 1000),
    )


def _whole_numbers(fields: Settings, name: str) -> tuple[int, ...]:
    """A list that may be empty, or absent."""
    if fields.left.get(name) in (None, []):
        fields.ignore([name])
        return ()
    return fields.take_each(name, int)
