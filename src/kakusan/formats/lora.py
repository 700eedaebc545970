"""LoRAs out of files: kohya's names, diffusers' old and new ones, PEFT's; LoCon, LoHa, LoKr and DoRA among them."""

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from ..errors import FileError
from ..models.lora import Term
from . import lyco
from .files import open_file
from .lora_names import Names, Place, role, written
from .model import Model
from .source import FLOATS, Source, Stored, refuse

HIGHEST_RANK = 1024
UNMATCHED = 0.1
"""The share of a file's tensors that may fit nothing."""
FAMILIES = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "Stable Diffusion XL"}
FOLDER_FILES = ("pytorch_lora_weights", "adapter_model")
ENDINGS = (".safetensors", ".bin", ".pt", ".ckpt", ".pth")
CROSS = re.compile(r"attn2[._](processor\.)?to_[kv](_lora)?\b")


@dataclass(frozen=True)
class Lora:
    """Terms for the layers of U-Net and text tower, by our names. unmatched: tensors that fit nothing. metadata: of the file."""

    unet: Mapping[str, Term]
    text: Mapping[str, Term]
    unmatched: tuple[str, ...] = ()
    metadata: Mapping[str, str] | None = None

    @property
    def terms(self) -> dict[Place, Term]:
        """All of them, by network and layer."""
        both = (("unet", self.unet), ("text", self.text))
        return {Place(network, layer): term for network, terms in both for layer, term in terms.items()}


class Held:
    """Tensors that lie in memory already, as a `Source`."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str = "state dict"):
        self.file, self.held = Path(name), tensors
        self.metadata: Mapping[str, str] = {}
        self.tensors: Mapping[str, Stored] = {name: Stored(tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}

    def read(self, name: str) -> Tensor:
        """See `Source`."""
        return self.held[name].detach().cpu()

    def home(self, name: str) -> Path:
        """See `Source`."""
        return self.file


def read_lora(path: str | Path | Source, model: Model) -> Lora:
    """A LoRA for this model, out of a file or a folder with one; nothing of the model is changed.

    Raises FileError, in one line, on a file that is no LoRA, or one for another kind of model, on more than a tenth of tensors that
    fit nothing, on wrong shapes, absurd ranks, NaN and infinity.
    """
    source = open_file(lora_file(Path(path))) if isinstance(path, str | Path) else path
    names = Names(model)
    _check_family(source, model)
    groups: dict[Place, dict[str, str]] = {}
    unmatched: list[str] = []
    for name in source.tensors:
        found = role(name)
        place = names.place(found[0]) if found else None
        if found is None or place is None:
            unmatched.append(name)
        elif found[1] in groups.setdefault(place, {}):
            refuse(source.file, name, "gives a layer the same thing a second time", "は同じ層に 2 度目の値を与えています")
        else:
            groups[place][found[1]] = name
    _check_matched(source, unmatched)
    alphas = _Alphas(source, model)
    terms = {place: _term(source, group, place, _weight(model, place), alphas) for place, group in groups.items()}
    unet, text = ({place.layer: term for place, term in terms.items() if place.network == network} for network in ("unet", "text"))
    return Lora(unet, text, tuple(unmatched), source.metadata)


def lora_file(path: Path, weight_name: str | None = None) -> Path:
    """The file of a LoRA in a folder: `weight_name`, or one of the usual names, or the only one there is. Raises FileError."""
    if weight_name is not None:
        return path / weight_name
    if not path.is_dir():
        return path
    usual = [path / (stem + end) for stem in FOLDER_FILES for end in ENDINGS]
    found = [file for file in usual if file.is_file()] or [file for file in sorted(path.iterdir()) if file.suffix in ENDINGS]
    if len(found) != 1 and not (found and found[0] in usual):
        raise FileError(
            f"{path}: {len(found)} files of weights in this folder; say which one",
            f"{path}: 重みのファイルが {len(found)} 個あります。どれか指定してください",
        )
    return found[0]


def _term(source: Source, group: Mapping[str, str], place: Place, weight: Tensor, alphas: "_Alphas") -> Term:
    """What the tensors of one layer are together."""
    read = {word: _read(source, name) for word, name in group.items()}
    alpha = _number(source, group["alpha"], read["alpha"]) if "alpha" in read else None
    shape = tuple(weight.shape)
    if "down" in read and "up" in read:
        down, up = _factors(source, group, read, shape)
        term = Term(down, up, alphas.of(place, up.shape[1]) if alpha is None else alpha)
    else:
        difference = lyco.difference(source, group, read, alpha, shape)
        term = Term(_shaped(source, next(iter(group.values())), difference, shape))
    return _weighed(source, group, read, term, weight)


def _factors(source: Source, group: Mapping[str, str], read: Mapping[str, Tensor], shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """down (r i ...) and up (o r) for a weight of that shape."""
    down, up = read["down"], read["up"]
    rank = down.shape[0] if down.ndim else 0
    _check_rank(source, group["down"], rank, shape)
    if "mid" in read:  # down is a 1x1 convolution, and what lies between has the kernel
        outer = up.shape[1] if up.ndim > 1 else 0
        _check_rank(source, group["up"], outer, shape)
        between = _shaped(source, group["mid"], read["mid"], (outer, rank, *(shape[2:] or (1, 1)))).float()
        down = torch.einsum("rjhw,ji->rihw", between, _shaped(source, group["down"], down, (rank, shape[1])).float())
        rank = outer
    return _shaped(source, group["down"], down, (rank, *shape[1:])), _shaped(source, group["up"], up, (shape[0], rank))


def _weighed(source: Source, group: Mapping[str, str], read: Mapping[str, Tensor], term: Term, weight: Tensor) -> Term:
    """With the norms that DoRA gives the changed weight: of its outputs, or as older LyCORIS has it of its inputs."""
    word = next((word for word in ("dora", "magnitude") if word in read), None)
    if word is None:
        return term
    scale, outputs = read[word], weight.shape[0]
    if scale.numel() == outputs and (word == "magnitude" or (scale.ndim and scale.shape[0] == outputs)):
        return Term(term.down, term.up, term.alpha, scale.reshape(outputs))
    inputs = weight.shape[1]
    if scale.numel() != inputs:
        refuse(
            source.file,
            group[word],
            f"has shape {list(scale.shape)}; the layer has {outputs} outputs",
            f"の形 {list(scale.shape)} が層に合いません",
        )
    changed = weight.float() + term.delta(weight)
    norms = changed.transpose(0, 1).flatten(1).norm(dim=1).clamp_min(torch.finfo(torch.float32).eps)
    ratio = (scale.reshape(-1).float() / norms).view(1, -1, *[1] * (weight.ndim - 2))
    return Term(changed * ratio - weight.float())


class _Alphas:
    """What diffusers and PEFT say about alphas beside the tensors: in the file's metadata, or in adapter_config.json."""

    def __init__(self, source: Source, model: Model):
        self.model, self.settings = model, dict[str, Any]()
        with suppress(ValueError, RecursionError):
            said = json.loads(source.metadata.get("lora_adapter_metadata", "{}"))
            self.settings = said if isinstance(said, dict) else {}
        beside = source.file.with_name("adapter_config.json")
        if not self.settings and source.file.stem == "adapter_model" and beside.is_file():
            with suppress(OSError, ValueError, RecursionError):
                said = json.loads(beside.read_text(encoding="utf-8"))
                self.settings = said if isinstance(said, dict) else {}

    def of(self, place: Place, rank: int) -> float | None:
        """alpha of one layer, None for the rank."""
        prefix = {"unet": "unet.", "text": "text_encoder."}[place.network]
        alpha, root = (self.settings.get(prefix + key, self.settings.get(key)) for key in ("lora_alpha", "use_rslora"))
        patterns = self.settings.get(f"{prefix}alpha_pattern", self.settings.get("alpha_pattern"))
        if isinstance(patterns, dict) and patterns:
            name = written(self.model, place)
            fitting = (value for key, value in patterns.items() if name == key or name.endswith(f".{key}"))
            alpha = next(fitting, alpha)
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
            return None
        return alpha * math.sqrt(rank) if root is True else float(alpha)


def _weight(model: Model, place: Place) -> Tensor:
    layer = (model.unet if place.network == "unet" else model.text).get_submodule(place.layer)
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    return layer.weight


def _read(source: Source, name: str) -> Tensor:
    stored = source.tensors[name]
    if stored.dtype not in FLOATS and not name.endswith(".alpha"):
        kind = str(stored.dtype).removeprefix("torch.")
        refuse(source.home(name), name, f"holds {kind} numbers, not floating-point ones", f"は浮動小数点数ではなく {kind} です")
    tensor = source.read(name).clone()  # the file may be written to while the LoRA is in use
    if tensor.numel() == 0 or not tensor.isfinite().all():
        refuse(
            source.home(name),
            name,
            "holds NaN or infinity, or nothing; the file is of no use",
            "に NaN か無限大があるか、空です。このファイルは使えません",
        )
    return tensor


def _number(source: Source, name: str, tensor: Tensor) -> float:
    if tensor.numel() != 1:
        refuse(
            source.home(name),
            name,
            f"has shape {list(tensor.shape)}; an alpha is one number",
            f"の形は {list(tensor.shape)} です。alpha は 1 つの数です",
        )
    return float(tensor)


def _shaped(source: Source, name: str, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The tensor in that shape; a 1x1 convolution and a linear layer are the same, and no other shape is."""
    if _without_ones(tuple(tensor.shape)) != _without_ones(shape):
        found, wanted = list(tensor.shape), list(shape)
        refuse(source.home(name), name, f"has shape {found} instead of {wanted}", f"の形は {found} ですが {wanted} のはずです")
    return tensor.reshape(shape)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:2] if len(shape) == 4 and shape[2:] == (1, 1) else shape


def _check_rank(source: Source, name: str, rank: int, shape: tuple[int, ...]) -> None:
    most = min(HIGHEST_RANK, max(shape[0], math.prod(shape[1:])))
    if not 1 <= rank <= most:
        refuse(
            source.home(name),
            name,
            f"is of rank {rank}; at most {most} makes sense here",
            f"のランクが {rank} です。ここでは {most} までです",
        )


def _check_family(source: Source, model: Model) -> None:
    """By the width of the text states that the LoRA looks at."""
    own = model.unet.config.context_width
    for name, stored in source.tensors.items():
        found = role(name)
        if found and found[1] in ("down", "hada_w1_b") and CROSS.search(found[0]) and len(stored.shape) >= 2 and stored.shape[1] != own:
            (en, ja), (own_en, own_ja) = (_family(width) for width in (stored.shape[1], own))
            raise FileError(
                f"{source.file}: a LoRA for {en}; this model is {own_en}", f"{source.file}: {ja}用の LoRA です。このモデルは{own_ja}です"
            )


def _family(width: int) -> tuple[str, str]:
    known = FAMILIES.get(width)
    return (f"{known or 'a model'} (text states {width} wide)", f" {known or '別のモデル'} (テキスト状態の幅 {width}) ")


def _check_matched(source: Source, unmatched: list[str]) -> None:
    total = len(source.tensors)
    if total and len(unmatched) <= UNMATCHED * total:
        return
    if not any(role(name) for name in source.tensors):
        _no_lora(source)
    few = ", ".join(name if name.isprintable() else ascii(name) for name in unmatched[:3])
    raise FileError(
        f"{source.file}: {len(unmatched)} of {total} tensors fit no layer of this model ({few}, ...); it is for another kind of model",
        f"{source.file}: {total} 個中 {len(unmatched)} 個のテンソルがこのモデルのどの層にも合いません ({few} など)。別の種類のモデル用です",
    )


def _no_lora(source: Source) -> NoReturn:
    raise FileError(
        f"{source.file}: not a LoRA; none of its {len(source.tensors)} tensors has a name of one",
        f"{source.file}: LoRA ではありません。{len(source.tensors)} 個のテンソルに LoRA の名前がありません",
    )
