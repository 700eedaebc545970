"""What can be told of a file of weights without reading any of them: family, prediction, sizes, types, averages, what is strange."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import FileError
from ..models.unet import UNetConfig
from ..schedules import NoiseSchedule
from .detect import OPEN_CLIP, Found, autoencoder_prefix, detect, idle, predicting, prediction_in, unet_prefix
from .ema import Ema, ema
from .ldm_config import read_config
from .safetensors import SafetensorsFile
from .source import FLOATS, Source, Stored

TEXT, DEPTH = "cond_stage_model.", "depth_model."
LOGIT_SCALE = f"{TEXT}logit_scale"
ROOTS = {
    "unet": ("input_blocks", "middle_block", "output_blocks", "out", "time_embed", "label_emb"),
    "autoencoder": ("encoder", "decoder", "quant_conv", "post_quant_conv"),
}
"""How the names of a network begin that is alone in its file."""
BEGINNINGS = ("model.diffusion_model.", "first_stage_model.", "input_blocks.", "decoder.")
FIRST, LAST, PROJECTION = "input_blocks.0.0.weight", "out.2.weight", "middle_block.1.proj_in.weight"
KINDS: tuple[tuple[str, str, str], ...] = (
    (r"conditioner\.embedders\.", "a model of Stable Diffusion XL", "Stable Diffusion XL のモデル"),
    (r"(model\.diffusion_model\.)?joint_blocks\.", "a model of Stable Diffusion 3", "Stable Diffusion 3 のモデル"),
    (r"(model\.diffusion_model\.)?double_blocks\.", "a model of Flux", "Flux のモデル"),
    (r"(lora_(unet|te)|.*[._]lora[._](up|down|A|B)\.)", "a LoRA, to be used together with a model", "LoRA (モデルと組み合わせて使う)"),
    (r"(.*\.)?hada_w1_a|.*\.lokr_w1", "a LyCORIS, to be used together with a model", "LyCORIS (モデルと組み合わせて使う)"),
    (r"emb_params$|string_to_param\.|\*$", "a textual inversion: words for a prompt", "Textual Inversion (プロンプトの語)"),
    (r"control_model\.|controlnet_", "a ControlNet, to be used together with a model", "ControlNet (モデルと組み合わせて使う)"),
    (r"concept_embeds$", "a safety checker", "セーフティチェッカー"),
    (r"down_blocks\.", "the U-Net out of a diffusers folder", "diffusers フォルダーの U-Net"),
    (r"encoder\.down_blocks\.", "the autoencoder out of a diffusers folder", "diffusers フォルダーのオートエンコーダー"),
    (r"(text_model|transformer\.resblocks)\.", "a text encoder alone", "テキストエンコーダーのみ"),
)
"""What files are that are no model of ours, each with the beginning of a tensor's name that tells."""
MODEL = ("a whole model", "モデル全体")
ALONE = {"unet": ("a U-Net alone", "U-Net のみ"), "autoencoder": ("an autoencoder alone (VAE)", "オートエンコーダーのみ (VAE)")}
UNKNOWN = ("none of the kinds that kakusan knows", "不明な種類")


@dataclass(frozen=True)
class Summary:
    """format: "safetensors" or "ckpt". kind: what the file is, in English and Japanese. found: what it holds, None if it is no model.

    parameters and dtypes: of each network by its name, or of "all" in no model. extra: tensors of no network, and not known.
    """

    format: str
    kind: tuple[str, str]
    found: Found | None
    parameters: dict[str, int]
    dtypes: dict[str, str]
    ema: Ema
    tensors: int
    extra: tuple[str, ...]


def summary(source: Source, config: Path | None = None) -> Summary:
    """Of an open file. config: its original .yaml; None for one of the same name beside it, if that can be used.

    Raises FileError on a .yaml that cannot, and on a model that lacks what its kind is read off.
    """
    kind, found = _kind(source, config)
    places = {"unet": unet_prefix(source.tensors), "autoencoder": autoencoder_prefix(source.tensors), "text": TEXT, "depth": DEPTH}
    weights: dict[str, list[Stored]] = {}
    extra = []
    for name, stored in source.tensors.items():
        network = _network(name, places) if found else "all"
        if network is None:
            extra += [] if idle(name) else [name]
        elif stored.dtype in FLOATS and not name.endswith("position_ids"):
            weights.setdefault(network, []).append(stored)
    return Summary(
        format="safetensors" if isinstance(source, SafetensorsFile) else "ckpt",
        kind=kind,
        found=found,
        parameters={network: sum(math.prod(stored.shape) for stored in each) for network, each in weights.items()},
        dtypes={network: types(stored.dtype for stored in each) for network, each in weights.items()},
        ema=ema(source.tensors),
        tensors=len(source.tensors),
        extra=tuple(extra),
    )


def words(family: str, variant: str, prediction: str | None) -> str:
    """A model in the words that tell it from others: "sd1", "sd2 inpainting", "sd2 v-prediction"."""
    told = (family, variant if variant in ("inpainting", "depth") else "", "v-prediction" if prediction == "v_prediction" else "")
    return " ".join(word for word in told if word)


def types(dtypes: Iterable[torch.dtype]) -> str:
    """The names of some dtypes, the most frequent first."""
    return ", ".join(str(dtype).removeprefix("torch.") for dtype, _ in Counter(dtypes).most_common())


def _kind(source: Source, config: Path | None) -> tuple[tuple[str, str], Found | None]:
    for pattern, en, ja in KINDS:
        if any(re.match(pattern, name) for name in source.tensors):
            return (en, ja), None
    if not any(name.startswith(BEGINNINGS) for name in source.tensors):
        return UNKNOWN, None
    found = _found(source) if config is None else read_config(config, source)
    whole = any(name.startswith(TEXT) for name in source.tensors)
    return MODEL if whole else ALONE["autoencoder" if found.unet is None else "unet"], found


def _found(source: Source) -> Found:
    """What is in a model's file; of one whose sizes do not say how many heads it has, as much as can be said."""
    beside = source.file.with_suffix(".yaml")
    if beside.is_file():
        with suppress(FileError):
            return read_config(beside, source)
    try:
        return detect(source)
    except FileError:
        prefix, names = unet_prefix(source.tensors), source.tensors
        seen, made, projection = (names.get(prefix + name) for name in (FIRST, LAST, PROJECTION))
        if seen is None or made is None or projection is None:
            raise
        unet = UNetConfig(in_channels=seen.shape[1], out_channels=made.shape[0], linear_projection=len(projection.shape) == 2)
        found = Found(unet, None, None, NoiseSchedule(), open_clip=any(name.startswith(OPEN_CLIP) for name in names))
        return predicting(found, *prediction_in(source, found))


def _network(name: str, places: Mapping[str, str]) -> str | None:
    """Which network of a model a tensor is of, None for none."""
    if idle(name) and name != LOGIT_SCALE:
        return None
    for network, prefix in places.items():
        if name.startswith(prefix) if prefix else name.partition(".")[0] in ROOTS[network]:
            return network
    return None
