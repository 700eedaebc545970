"""A whole CLIP: both towers and the tokenizer, out of a folder of transformers', a model folder of ours, or OpenCLIP's single file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..errors import FileError
from ..models.clip_image import ClipImage, ClipImageConfig
from ..models.clip_text import ClipText
from ..prompts.tokenizer import Tokenizer
from . import keys_clip, parts
from .fields import read_json
from .files import open_file
from .fill import empty, fill, placed, unexpected
from .folder import part_folder
from .keys import SINGLE, renamed
from .places import open_clip_names
from .shapes import open_clip_of
from .source import Source, Stored, Under, refuse

TURNED = ("text_projection", "visual.proj")  # which OpenCLIP keeps the other way round
SPARE = ("logit_scale", "attn_mask")
HEADS = {1280: 16, 1408: 16, 1664: 16}  # of image towers by width, where a head is not 64 wide: ViT-H, ViT-g, ViT-bigG
OPEN_CLIP_CONFIG = "open_clip_config.json"
REST_OF_CLIP = ("text_model.", parts.PROJECTION, "logit_scale")


@dataclass
class Clip:
    """Texts and pictures into one space. text has a projection; name: of the folder or file."""

    text: ClipText
    image: ClipImage
    tokenizer: Tokenizer
    name: str


def read_clip(path: str | Path, *, dtype: torch.dtype | None = None, device: str = "cpu") -> Clip:
    """The CLIP in a folder of transformers' CLIPModel, in a model folder with an image tower, or in OpenCLIP's single file.

    dtype: of the weights, None for as stored. Raises FileError, naming file and key, on anything missing, damaged or unknown.
    """
    path = Path(path)
    clip = _of_folder(path, dtype, device) if path.is_dir() else _of_single(path, dtype, device)
    if clip.text.project is None or clip.text.config.projection != clip.image.config.projection:
        spaces = f"{clip.text.config.projection or 0} / {clip.image.config.projection}"
        raise FileError(
            f"{path}: texts and pictures do not share a space ({spaces} numbers each); name a whole CLIP",
            f"{path}: テキストと画像の空間が違います ({spaces} 次元)。CLIP 全体を指定してください",
        )
    clip.text.eval(), clip.image.eval()
    return clip


def _of_folder(path: Path, dtype: torch.dtype | None, device: str) -> Clip:
    if not (path / "model_index.json").is_file():
        text = parts.TEXT.read(path, dtype=dtype, device=device)
        return Clip(
            text,
            replace(parts.IMAGE, modern=_image_name).read(path, dtype=dtype, device=device),
            Tokenizer.from_folder(path),
            path.resolve().name,
        )
    text_folder, image_folder, words = (part_folder(path, name) for name in ("text_encoder", "image_encoder", "tokenizer"))
    if not (image_folder / "config.json").is_file():
        raise FileError(
            f"{path}: this model has no image_encoder, so it cannot compare pictures; name a whole CLIP, or leave the model out",
            f"{path}: image_encoder がないため画像を比べられません。CLIP 全体を指定するか、モデルの指定を外してください",
        )
    text = parts.TEXT.read(text_folder, dtype=dtype, device=device)
    image = parts.IMAGE.read(image_folder, dtype=dtype, device=device)
    return Clip(text, image, Tokenizer.from_folder(words), path.resolve().name)


def _image_name(name: str) -> str | None:
    """Today's name of an image tower's tensor; the rest of a whole CLIP, in the same file, is left out."""
    return None if name.startswith(REST_OF_CLIP) else keys_clip.modern_image(name)


def _of_single(path: Path, dtype: torch.dtype | None, device: str) -> Clip:
    """OpenCLIP's file; whether it has OpenAI's estimate of GELU is told only by the settings beside it."""
    source = open_file(path)
    if "visual.proj" not in source.tensors:
        refuse(
            path,
            "visual.proj",
            "is missing: not a whole CLIP in OpenCLIP's layout",
            "がありません。OpenCLIP 形式の CLIP 全体ではありません",
        )
    turned, settings = Turned(source), path.parent / OPEN_CLIP_CONFIG
    quick = settings.is_file() and bool(read_json(settings).get("model_cfg", {}).get("quick_gelu"))
    activation = "quick_gelu" if quick else "gelu"
    width = turned.tensors["text_projection"].shape[0] if "text_projection" in turned.tensors else None
    text = empty(ClipText, open_clip_of(Under(turned, ""), 0, {"projection": width, "activation": activation}), path)
    image = empty(ClipImage, _image_shape(turned, activation), path)
    text_places = placed(open_clip_names(text.state_dict(), text.config))
    names = renamed(image.state_dict(), keys_clip.image_rows(image.config), SINGLE)
    image_places = placed({ours: theirs.replace("in_proj.", "in_proj_") for ours, theirs in names.items()})
    unexpected(turned, [*SPARE, *(place.name for places in (text_places, image_places) for place in places.values())])
    fill(text, turned, text_places, dtype=dtype, device=device)
    fill(image, turned, image_places, dtype=dtype, device=device)
    return Clip(text, image, Tokenizer.clip(pad=0), path.stem)


def _image_shape(source: Source, activation: str) -> ClipImageConfig:
    """The image tower whose tensors these are. Raises FileError if there is no such tower."""
    shapes = {name: tuple(stored.shape) for name, stored in source.tensors.items()}
    try:
        width, _, patch, _ = shapes["visual.conv1.weight"]
        return ClipImageConfig(
            size=round((shapes["visual.positional_embedding"][0] - 1) ** 0.5) * patch,
            patch=patch,
            width=width,
            layers=len({name.split(".")[3] for name in shapes if name.startswith("visual.transformer.resblocks.")}),
            heads=HEADS.get(width, max(width // 64, 1)),
            feedforward=shapes["visual.transformer.resblocks.0.mlp.c_fc.weight"][0],
            activation=activation,
            projection=shapes["visual.proj"][0],
        )
    except (KeyError, ValueError, IndexError) as error:
        reason = json.dumps(str(error), ensure_ascii=False)
        raise FileError(f"{source.file}: no image tower can be {reason}", f"{source.file}: 画像の塔として読めません {reason}") from error


class Turned:
    """A source with some of its matrices turned: OpenCLIP multiplies states with its projections, a linear layer the other way round."""

    def __init__(self, source: Source):
        self.source, self.file, self.metadata, self.home = source, source.file, source.metadata, source.home
        self.tensors: Mapping[str, Stored] = {
            name: Stored(tuple(reversed(stored.shape)), stored.dtype) if name in TURNED else stored
            for name, stored in source.tensors.items()
        }

    def read(self, name: str) -> Tensor:
        """See `Source`."""
        tensor = self.source.read(name)
        return tensor.T if name in TURNED else tensor
