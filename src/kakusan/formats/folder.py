"""A whole model as a folder, in the layout of diffusers: diffusers opens our folders and we open theirs.

model_index.json   unet/   vae/   text_encoder/   tokenizer/   scheduler/            as Stable Diffusion 1 and 2 have them
image_encoder/     the image tower, and the text tower's projection into the space they share; diffusers passes it over
kakusan.json       what only kakusan knows of a model: default settings, known words
README.md          the model card
"""

import os
import shutil
from collections.abc import Collection
from pathlib import Path

import torch

from ..errors import FileError
from ..prompts.tokenizer import Tokenizer
from . import parts as lay
from .configs import DIFFUSERS
from .fields import Fields, read_json, write_json
from .model import Model
from .scheduler import read_schedule, write_schedule

PARTS = ("unet", "autoencoder", "text", "image")
SETTINGS, CARD = "kakusan.json", "README.md"
INDEX: dict[str, tuple[object, ...]] = {
    "_class_name": ("StableDiffusionPipeline",),
    "unet": (["diffusers", "UNet2DConditionModel"],),
    "vae": (["diffusers", "AutoencoderKL"],),
    "text_encoder": (["transformers", "CLIPTextModel"],),
    "tokenizer": (["transformers", "CLIPTokenizer"], ["transformers", "CLIPTokenizerFast"]),
}
INDEX_IGNORED = (
    *("_diffusers_version", "_name_or_path", "scheduler", "safety_checker", "requires_safety_checker", "feature_extractor"),
    "image_encoder",
)


def read_folder(
    path: str | Path, *, parts: Collection[str] | None = None, dtype: torch.dtype | None = None, device: str | torch.device = "cpu"
) -> Model:
    """The model in a folder of diffusers' layout.

    parts: whose weights to read, of "unet", "autoencoder", "text" and "image"; the others have their shape on the meta device and
    no weights. dtype: of all weights, None for each as stored, which on a CPU leaves them in the files' memory maps.
    Raises FileError, naming file and key, on anything missing, unexpected, damaged or unknown.
    """
    path = Path(path)
    wanted = PARTS if parts is None else tuple(parts)
    if unknown := set(wanted) - set(PARTS):
        raise ValueError(f"parts {sorted(unknown)} are not among {', '.join(PARTS)}")
    _check_index(path)
    at = str(device)
    has_image = (path / lay.IMAGE.folder / "config.json").exists()
    model = Model(
        unet=lay.UNET.read(path, weights="unet" in wanted, dtype=dtype, device=at),
        autoencoder=lay.AUTOENCODER.read(path, weights="autoencoder" in wanted, dtype=dtype, device=at),
        text=lay.TEXT.read(path, weights="text" in wanted, dtype=dtype, device=at),
        tokenizer=Tokenizer.from_folder(path / "tokenizer"),
        schedule=read_schedule(path / "scheduler" / "scheduler_config.json"),
        image=lay.IMAGE.read(path, weights="image" in wanted, dtype=dtype, device=at) if has_image else None,
        card=_card(path / CARD),
        name=path.resolve().name,
        settings=read_json(path / SETTINGS) if (path / SETTINGS).exists() else {},
    )
    _check_fit(path, model)
    return model


def write_folder(
    model: Model, path: str | Path, dtype: torch.dtype = torch.float16, max_shard_bytes: int = 15_000_000, *, replace: bool = False
) -> None:
    """Write a model as a folder that diffusers opens, whole or not at all: under another name first, then renamed.

    replace: put it in the place of a model folder that is there. Raises FileError if something is there, or the disk refuses.
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


def _write(model: Model, path: Path, dtype: torch.dtype, max_shard_bytes: int) -> None:
    if model.text.project is not None and model.image is None:
        raise ValueError("the text tower's projection is written beside the image tower, and this model has none")
    schedule = write_schedule(model.schedule)
    write_json(path / "model_index.json", _index(str(schedule["_class_name"])))
    lay.UNET.write(model.unet, model.unet.config, path, dtype=dtype, max_shard_bytes=max_shard_bytes)
    lay.AUTOENCODER.write(model.autoencoder, model.autoencoder.config, path, dtype=dtype, max_shard_bytes=max_shard_bytes)
    lay.TEXT.write(model.text, model.text.config, path, dtype=dtype, max_shard_bytes=max_shard_bytes)
    if model.image is not None:
        lay.IMAGE.write(model.image, model.image.config, path, dtype=dtype, max_shard_bytes=max_shard_bytes)
    for folder in ("tokenizer", "scheduler"):
        (path / folder).mkdir()
    model.tokenizer.save(path / "tokenizer")
    write_json(path / "scheduler" / "scheduler_config.json", schedule)
    if model.settings:
        write_json(path / SETTINGS, model.settings)
    if model.card:
        (path / CARD).write_text(model.card, encoding="utf-8")


def _index(scheduler: str) -> dict[str, object]:
    return {
        **{name: values[0] for name, values in INDEX.items()},
        "_diffusers_version": DIFFUSERS,
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", scheduler],
    }


def _check_index(path: Path) -> None:
    if not (path / "model_index.json").exists():
        raise FileError(
            f"{path}: not a model folder: it has no model_index.json",
            f"{path}: モデルフォルダではありません (model_index.json がありません)",
        )
    fields = Fields(path / "model_index.json")
    fields.expect(INDEX)
    fields.ignore(INDEX_IGNORED)
    fields.done()


def _check_fit(path: Path, model: Model) -> None:
    """Refuses parts that are each whole but do not go together."""
    unet, latent, width = model.unet.config, model.autoencoder.config.latent_channels, model.text.config.width
    for name, value, wanted, whose in (
        ("cross_attention_dim", unet.context_width, width, "text_encoder"),
        ("in_channels", unet.in_channels, latent, "vae"),
        ("out_channels", unet.out_channels, latent, "vae"),
    ):
        if value != wanted:
            file = path / lay.UNET.folder / "config.json"
            raise FileError(
                f'{file}: "{name}" is {value}, but {whose} has {wanted}', f'{file}: "{name}" が {value} ですが、{whose} では {wanted} です'
            )
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
