"""Two or three models made into one, tensor by tensor, by the rules of AUTOMATIC1111's web UI (modules/extras.py, run_modelmerger)."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import KakusanError
from .convert import Cast, finite, is_weight
from .hashes import OnBytes, old_hash, sha256
from .source import Source, Stored, refuse

OWN = ("format", "kakusan", "modelspec.")
"""How metadata begin that describe a model's networks: A's alone are the result's."""
Mode = Literal["weighted", "add-difference"]
METHODS: Mapping[Mode, str] = {"weighted": "Weighted sum", "add-difference": "Add difference"}
"""What the web UI calls them."""
FIRST = "model.diffusion_model.input_blocks.0.0.weight"
BESIDE = {9: "inpainting", 8: "instruct-pix2pix"}
"""U-Nets of so many input channels may be merged with a plain one of 4: in the first layer, those 4 are."""


@dataclass(frozen=True)
class Blend:
    """How models are put together. weighted: A * (1 - ratio) + B * ratio. add-difference: A + (B - C) * ratio.

    Raises KakusanError on a ratio that is no number, or for a weighted sum outside 0..1.
    """

    mode: Mode
    ratio: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.ratio) or (self.mode == "weighted" and not 0 <= self.ratio <= 1):
            raise KakusanError(
                f"ratio is {self.ratio}; it must be from 0 to 1, with add-difference any number",
                f"ratio が {self.ratio} です。0 から 1 の数にしてください (add-difference ではどの数でも)",
            )

    def __call__(self, a: Tensor, b: Tensor, c: Tensor | None) -> Tensor:
        """One tensor out of three of the same shape. If A has more input channels than the others, those are kept."""
        same = a if a.shape == b.shape else a[:, : b.shape[1]]
        blended = (same * (1 - self.ratio)).add_(b, alpha=self.ratio) if c is None else (b - c).mul_(self.ratio).add_(same)
        return blended if same is a else torch.cat([blended, a[:, b.shape[1] :]], 1)


class Merged:
    """The tensors of A, each blended with those of its name in B (and C), in float32: a `Source`.

    Only weights with "model" in their names are blended, as the web UI does; what B (or C) lacks, tables of the noise schedule and
    whole numbers are A's. dtype: of all weights; None for the widest of each tensor's. Raises KakusanError if the models do not go
    together.
    """

    def __init__(self, models: Sequence[Source], blend: Blend, dtype: torch.dtype | None = None):
        a, b, *more = models
        if len(more) != (blend.mode == "add-difference"):
            raise KakusanError(
                "weighted merges two models, add-difference three: A + (B - C) * ratio",
                "weighted は 2 個、add-difference は 3 個のモデルを使います: A + (B - C) * ratio",
            )
        self.models, self.blend, self.file, self.metadata = models, blend, a.file, a.metadata
        self._rest: Source = a if dtype is None else Cast(a, dtype)
        self._blended = {
            name: Stored(stored.shape, dtype or _widest([model.tensors[name].dtype for model in models]))
            for name, stored in a.tensors.items()
            if "model" in name and is_weight(name, stored) and all(name in model.tensors for model in (b, *more))
        }
        self.tensors: Mapping[str, Stored] = {**self._rest.tensors, **self._blended}
        if not self._blended:
            raise KakusanError(
                f"{b.file}: has no weights in common with {a.file}; give whole models of one family",
                f"{b.file}: {a.file} と共通の重みがありません。同じ系統のモデルを指定してください",
            )
        for name in self._blended:
            _check_shapes(name, models)

    @property
    def beside(self) -> str:
        """What A's U-Net sees and B's does not: "inpainting", "instruct-pix2pix" or ""."""
        if FIRST not in self._blended or self.models[0].tensors[FIRST].shape == self.models[1].tensors[FIRST].shape:
            return ""
        return BESIDE[self.models[0].tensors[FIRST].shape[1]]

    def read(self, name: str) -> Tensor:
        """See `Source`. Raises FileError on numbers that are none, or too large for their type."""
        if name not in self._blended:
            return self._rest.read(name)
        dtype = self._blended[name].dtype
        a, b, *more = (model.read(name).to(torch.promote_types(dtype, torch.float32)) for model in self.models)
        blended = self.blend(a, b, more[0] if more else None)
        result = blended.to(dtype)
        if not finite(result):
            for model, tensor in zip(self.models, (a, b, *more), strict=True):
                if not finite(tensor):
                    refuse(model.home(name), name, "holds numbers that are none (NaN or infinite)", "に NaN か無限大があります")
            largest = torch.linalg.vector_norm(blended, torch.inf).item()
            refuse(
                self.file,
                name,
                f"becomes {largest:g}, too much for its type; use bf16",
                f"が {largest:g} になり、型に収まりません。bf16 を使ってください",
            )
        return result

    def home(self, name: str) -> Path:
        """See `Source`."""
        return self.models[0].home(name)


def recipe(merged: Merged, out: Path, *, half: bool, vae: Path | None, on_bytes: OnBytes | None = None) -> dict[str, str]:
    """What a merged file says about itself: its models' metadata, and how it was made, as the web UI writes it.

    Reads the models' files for their hashes. Raises FileError if one cannot be read.
    """
    told: dict[str, str] = {}
    ingredients: dict[str, Any] = {}
    digests: list[str | None] = [None, None, None]
    for i, model in reversed(list(enumerate(merged.models))):
        told |= {name: text for name, text in model.metadata.items() if i == 0 or not name.startswith(OWN)}
        digests[i] = digest = sha256(model.file, on_bytes)
        own = _json(model.metadata.get("sd_merge_recipe"))
        ingredients |= {digest: {"name": model.file.name, "legacy_hash": old_hash(model.file), "sd_merge_recipe": own}}
        earlier = _json(model.metadata.get("sd_merge_models"))
        ingredients |= earlier if isinstance(earlier, dict) else {}
    made = {
        "type": "kakusan",
        **dict(zip(("primary_model_hash", "secondary_model_hash", "tertiary_model_hash"), digests, strict=True)),
        "interp_method": METHODS[merged.blend.mode],
        "multiplier": merged.blend.ratio,
        "save_as_half": half,
        "custom_name": out.stem,
        "config_source": 0,
        "bake_in_vae": vae.name if vae else "None",
        "discard_weights": "",
        "is_inpainting": merged.beside == "inpainting",
        "is_instruct_pix2pix": merged.beside == "instruct-pix2pix",
    }
    return {**told, "sd_merge_recipe": json.dumps(made), "sd_merge_models": json.dumps(ingredients)}


def _widest(dtypes: Sequence[torch.dtype]) -> torch.dtype:
    widest = dtypes[0]
    for dtype in dtypes:
        widest = torch.promote_types(widest, dtype)
    return widest


def _check_shapes(name: str, models: Sequence[Source]) -> None:
    """Raises KakusanError unless the tensors can be blended: all of one shape, or A with more input channels in the first layer."""
    a, b, *more = (tuple(model.tensors[name].shape) for model in models)
    for model, shape in zip(models[2:], more, strict=True):
        if shape != b:
            _differ(name, models[1], model)
    if a == b:
        return
    if len(a) == len(b) == 4 and a[:1] + a[2:] == b[:1] + b[2:]:
        if b[1] == 4 and a[1] in BESIDE:
            return
        if a[1] == 4 and b[1] in BESIDE:
            what, first, second = BESIDE[b[1]], models[0].file, models[1].file
            raise KakusanError(
                f"{second}: is for {what} and {first} is not; give the {what} model first, as A",
                f"{second}: {what} 用ですが {first} は違います。{what} 用のモデルを先 (A) に指定してください",
            )
    _differ(name, models[0], models[1])


def _differ(name: str, one: Source, other: Source) -> None:
    first, second = list(one.tensors[name].shape), list(other.tensors[name].shape)
    raise KakusanError(
        f"{one.file} and {other.file}: not of one family, {name} is {first} in one and {second} in the other",
        f"{one.file} と {other.file}: 系統が違います。{name} の形が {first} と {second} です",
    )


def _json(text: str | None) -> Any:
    """What a text says as JSON; None if there is none, or it is something else."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None
