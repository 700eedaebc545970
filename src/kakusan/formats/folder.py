"""A whole model as a folder, in the layout of diffusers: diffusers opens our folders and we open theirs.

model_index.json   unet/   vae/   text_encoder/   tokenizer/   scheduler/            as Stable Diffusion 1 and 2 have them
low_res_scheduler/   depth_estimator/   feature_extractor/                           as the x4 upscaler and SD2's depth model have them
safety_checker/      feature_extractor/                                              as SD1 has them; written where a model came with it
image_encoder/     the image tower, and the text tower's projection into the space they share; diffusers passes it over
kakusan.json       what only kakusan knows of a model: default settings, known words
README.md          the model card
"""

import os
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..errors import FileError
from ..messages import tr
from ..models.autoencoder import Autoencoder
from ..models.clip_image import ClipImage
from ..models.clip_text import ClipText
from ..models.dpt import Dpt
from ..models.unet import UNet
from ..models.xlm_roberta import XlmRoberta
from . import parts as lay
from .checker import GUARDED, checker_of, read_checker, write_checker
from .configs_depth import write_preparation
from .fields import read_json, write_json
from .model import Model
from .model_index import ADDED, MOST_NOISE, read_index, write_index
from .scheduler import read_schedule, write_low_noise, write_schedule
from .text_towers import XLM, text_part, tokenizer_in
from .weights import has_variant

PARTS: dict[str, lay.Part[Any, Any]] = {
    "unet": lay.UNET,
    "autoencoder": lay.AUTOENCODER,
    "text": lay.TEXT,
    "image": lay.IMAGE,
    "depth": lay.DEPTH,
}
OPTIONAL = ("image", "depth")
KINDS: dict[str, lay.Part[Any, Any]] = {
    "UNet2DConditionModel": lay.UNET,
    "AutoencoderKL": lay.AUTOENCODER,
    "clip_text_model": lay.TEXT,
    "clip": lay.TEXT,
    "xlm-roberta": XLM,
    "clip_vision_model": lay.IMAGE,
    "dpt": lay.DEPTH,
}
SETTINGS, SHARES, CARD = "kakusan.json", "shares", "README.md"
SCHEDULE, LOW_NOISE = "scheduler/scheduler_config.json", "low_res_scheduler/scheduler_config.json"
X4_SCALE = 0.08333
Network = UNet | Autoencoder | ClipText | ClipImage | Dpt


def read_folder(
    path: str | Path,
    *,
    parts: Collection[str] | None = None,
    variant: str | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
) -> Model:
    """The model in a folder of diffusers' layout.

    parts: whose weights to read, of "unet", "autoencoder", "text", "image" and "depth"; the others have their shape on the meta device and
    no weights. variant: which weights where there are several, as in `x.fp16.safetensors`; parts without it are read as they are.
    dtype: of all weights, None for each as stored, which on a CPU leaves them in the files' memory maps.
    Raises FileError, naming file and key, on anything missing, unexpected, damaged or unknown.
    """
    path = Path(path)
    wanted = PARTS if parts is None else tuple(parts)
    if unknown := set(wanted) - set(PARTS):
        raise ValueError(f"parts {sorted(unknown)} are not among {', '.join(PARTS)}")
    index = read_index(path)
    if variant is not None:
        _check_variant(path, variant)
    at = str(device)
    settings = _settings(path, index)
    places = _shared(path, settings)
    networks = {
        name: _part(name, places(part.folder)).read(places(part.folder), weights=name in wanted, variant=variant, dtype=dtype, device=at)
        for name, part in PARTS.items()
        if name not in OPTIONAL or (places(part.folder) / "config.json").exists()
    }
    model = Model(
        **networks,
        tokenizer=tokenizer_in(places("tokenizer")),
        schedule=read_schedule(path / SCHEDULE),
        card=_card(path / CARD),
        name=path.resolve().name,
        settings={name: value for name, value in settings.items() if name != SHARES},
        low_noise=read_schedule(path / LOW_NOISE) if "low_res_scheduler" in index else None,
        path=path,
    )
    _check_fit(path, model)
    _mend(path, model)
    return model


def _part(name: str, folder: Path) -> lay.Part[Any, Any]:
    """How a part lies in its folder: there are several kinds of text encoders."""
    return text_part(folder) if name == "text" else PARTS[name]


def _shared(path: Path, settings: Mapping[str, Any]) -> Callable[[str], Path]:
    """Where a part lies: in the folder, or where "shares" in kakusan.json says, relative to it: {"vae": "../embedded/vae"}.

    Models of one family that ship together keep what they have in common once. Raises FileError on a place that is no neighbour's.
    """
    shares: Mapping[str, str] = settings.get(SHARES, {})
    around = path.resolve().parent
    for name, place in shares.items():
        if not isinstance(place, str) or not (path / place).resolve().is_relative_to(around):
            raise FileError(
                f'{path / SETTINGS}: "{SHARES}": {name!r} lies at {place!r}, which is not in a folder beside this one',
                f'{path / SETTINGS}: "{SHARES}" の {name!r} の場所 {place!r} は隣のフォルダの中ではありません',
            )
    return lambda name: path / shares.get(name, name)


def part_folder(path: Path, name: str) -> Path:
    """Where a part of a model lies, by the name of its folder: in the model's, or in the neighbour's that has it too."""
    settings = path / SETTINGS
    return _shared(path, read_json(settings) if settings.is_file() else {})(name)


def read_component(
    path: str | Path,
    subfolder: str = "",
    *,
    variant: str | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
) -> Network:
    """One network alone: out of a model's `subfolder`, or out of a folder that holds nothing else. Its config.json says which it is.

    Of a whole CLIP it is the text tower. Raises FileError as `read_folder` does, or if it is a network that kakusan does not have.
    """
    folder = Path(path) / subfolder
    file = folder / "config.json"
    if (folder / "model_index.json").exists() and not file.exists():
        parts = ", ".join(part.folder for part in PARTS.values())
        raise FileError(
            f"{folder}: a whole model; name the subfolder of a part ({parts})",
            f"{folder}: モデル全体のフォルダーです。部品のサブフォルダー名を指定してください ({parts})",
        )
    said = read_json(file)
    kind = said.get("_class_name", said.get("model_type"))
    if not isinstance(kind, str) or kind not in KINDS:
        known = ", ".join(KINDS)
        raise FileError(
            f"{file}: a network of kind {kind!r}; kakusan reads only {known}",
            f"{file}: {kind!r} のネットワークです。対応しているのは {known} だけです",
        )
    if variant is not None and not has_variant(folder, KINDS[kind].stem, variant):
        raise _no_variant(folder, variant)
    network: Network = KINDS[kind].read(folder, variant=variant, dtype=dtype, device=str(device))
    return network


def write_folder(
    model: Model, path: str | Path, dtype: torch.dtype | None = torch.float16, max_shard_bytes: int = 15_000_000, *, replace: bool = False
) -> None:
    """Write a model as a folder that diffusers opens, whole or not at all: under another name first, then renamed.

    dtype: of all weights, None for each as it is. replace: put it in the place of a model folder that is there.
    Raises FileError if something is there, or the disk refuses.
    """
    path = Path(path)
    taken = path.exists() and not (path.is_dir() and not any(path.iterdir()))
    if taken and not (replace and (path / "model_index.json").is_file()):
        raise FileError(
            f"{path}: already there; remove it or give another name", f"{path}: すでにあります。削除するか別の名前にしてください"
        )
    part, old = (path.parent / f".{path.name}.{os.getpid()}.{what}" for what in ("part", "old"))
    try:
        part.mkdir(parents=True)
        _write(model, part, dtype, max_shard_bytes)
        if path.exists():
            path.rename(old)
        part.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(f"{path}: cannot be written ({reason})", f"{path}: 書き込めません ({reason})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(model: Model, path: Path, dtype: torch.dtype | None, max_shard_bytes: int) -> None:
    if model.text.project is not None and model.image is None:
        raise ValueError("the text tower's projection is written beside the image tower, and this model has none")
    if model.variant == "upscaling" and model.low_noise is None:
        raise ValueError("the x4 upscaler needs low_noise, and this model has none")
    schedule = write_schedule(model.schedule)
    checker = checker_of(model.path)
    write_json(path / "model_index.json", write_index(model, str(schedule["_class_name"])) | (GUARDED if checker else {}))
    if checker is not None:
        write_checker(read_checker(checker), path, dtype=dtype, max_shard_bytes=max_shard_bytes)
    for name, part in PARTS.items():
        if (network := getattr(model, name)) is not None:
            more = {"upcast_attention": True} if name == "unet" and _overflows(model) else None
            part = XLM if isinstance(network, XlmRoberta) else part
            part.write(network, network.config, path, dtype=dtype, max_shard_bytes=max_shard_bytes, more=more)
    if isinstance(model.depth, Dpt):
        write_json(_made(path / "feature_extractor") / "preprocessor_config.json", write_preparation(model.depth.config))
    model.tokenizer.save(_made(path / "tokenizer"))
    write_json(_made((path / SCHEDULE).parent) / "scheduler_config.json", schedule)
    if model.low_noise is not None:
        write_json(_made((path / LOW_NOISE).parent) / "scheduler_config.json", write_low_noise(model.low_noise))
    if model.settings:
        write_json(path / SETTINGS, model.settings)
    if model.card:
        (path / CARD).write_text(model.card, encoding="utf-8")


def _overflows(model: Model) -> bool:
    """Whether the U-Net's attention leaves the range of half precision, as SD2's does that predict v: diffusers has to be told."""
    return model.variant == "" and model.schedule.prediction == "v_prediction" and model.unet.config.linear_projection


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _settings(path: Path, index: dict[str, Any]) -> dict[str, Any]:
    """kakusan.json, and what model_index.json says of how noisy the x4 upscaler's small picture may be."""
    settings = read_json(path / SETTINGS) if (path / SETTINGS).exists() else {}
    if (most := index.get("max_noise_level", MOST_NOISE)) != MOST_NOISE:
        settings["max_noise_level"] = most
    return settings


def _check_variant(path: Path, variant: str) -> None:
    if not any(has_variant(path / part.folder, part.stem, variant) for part in PARTS.values()):
        raise _no_variant(path, variant)


def _no_variant(folder: Path, variant: str) -> FileError:
    return FileError(
        f"{folder}: no weights of the variant {variant!r}; leave the variant out to read those that are there",
        f"{folder}: バリアント {variant!r} の重みがありません。指定しなければ、ある重みを読み込みます",
    )


def _mend(path: Path, model: Model) -> None:
    """The x4 upscaler's own factor for its latents, where the file says SD's: diffusers took it for that once, and does so still."""
    config = model.autoencoder.config
    if model.variant == "upscaling" and config.scale == type(config).scale:
        model.autoencoder.config = replace(config, scale=X4_SCALE)
        model.notes.append(
            tr(
                f"{path / 'vae'}: scaling_factor is not told as the x4 upscaler's; {X4_SCALE} is used",
                f"{path / 'vae'}: scaling_factor が x4 アップスケーラーの値ではないため {X4_SCALE} を使います",
            )
        )


def _check_fit(path: Path, model: Model) -> None:
    """Refuses parts that are each whole but do not go together."""
    unet, latent, width = model.unet.config, model.autoencoder.config.latent_channels, model.text.config.width
    for name, value, wanted, whose in (
        ("cross_attention_dim", unet.context_width, (width,), "text_encoder"),
        ("in_channels", unet.in_channels, tuple(latent + more for more in ADDED), "vae"),
        ("out_channels", unet.out_channels, (latent,), "vae"),
    ):
        if value not in wanted:
            file, fitting = path / lay.UNET.folder / "config.json", " / ".join(map(str, wanted))
            raise FileError(
                f'{file}: "{name}" is {value}, but with this {whose} it has to be {fitting}',
                f'{file}: "{name}" が {value} ですが、この {whose} なら {fitting} のはずです',
            )
    if model.variant == "upscaling" and model.low_noise is None:
        file = path / "model_index.json"
        raise FileError(f'{file}: "low_res_scheduler" is missing', f'{file}: "low_res_scheduler" がありません')
    tokens, vocab = len(model.tokenizer), model.text.config.vocab
    if tokens > vocab:
        folder = path / "tokenizer"
        raise FileError(
            f"{folder}: {tokens} tokens, but text_encoder knows {vocab}",
            f"{folder}: トークンは {tokens} 個ですが text_encoder は {vocab} 個です",
        )


def _card(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8") if file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{file}: cannot be read as text ({error})", f"{file}: テキストとして読めません ({error})") from error
