"""Files of weights rewritten name by name: another dtype, averaged weights or raw ones, another autoencoder. The rest stays as it is."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..errors import KakusanError
from . import ema
from .source import FLOATS, Source, Stored, Under, refuse

AUTOENCODER = "first_stage_model."
SCHEDULE = frozenset(
    (
        *("betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod"),
        *("log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod", "posterior_variance"),
        *("posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2", "lvlb_weights", "logvar"),
    )
)
"""Last parts of the names of a noise schedule's tables, which lie among the weights (DDPM.register_schedule of CompVis, ddpm.py)."""


def converted(source: Source, *, dtype: torch.dtype | None = None, use_ema: bool | None = None, vae: Source | None = None) -> Source:
    """A file's tensors with what is asked for changed; all of them as they are if nothing is.

    dtype: of the weights; tables of the noise schedule, lone numbers and whole numbers keep theirs. use_ema: the averaged weights (True)
    or the raw ones (False) become `model.*`, and nothing is left of the others; None keeps both. vae: where the autoencoder's
    tensors are taken from. Raises KakusanError if the file has no averages to choose, FileError on tensors that do not fit.
    """
    picks = {name: (source, name) for name in source.tensors}
    if use_ema is not None:
        picks = _one_of_both(source, picks, use_ema)
    if vae is not None:
        picks |= _autoencoder(source, vae)
    chosen = Picked(source, picks)
    return chosen if dtype is None else Cast(chosen, dtype)


class Picked:
    """Tensors out of one source or several, under the names of a single file."""

    def __init__(self, main: Source, picks: Mapping[str, tuple[Source, str]]):
        self.file, self.metadata, self.picks = main.file, main.metadata, picks
        self.tensors: Mapping[str, Stored] = {name: source.tensors[stored] for name, (source, stored) in picks.items()}

    def read(self, name: str) -> Tensor:
        """See `Source`."""
        source, stored = self.picks[name]
        return source.read(stored)

    def home(self, name: str) -> Path:
        """See `Source`."""
        source, stored = self.picks[name]
        return source.home(stored)


class Cast:
    """A source whose weights are of another dtype."""

    def __init__(self, source: Source, dtype: torch.dtype):
        self.source, self.dtype, self.file, self.metadata = source, dtype, source.file, source.metadata
        self.tensors: Mapping[str, Stored] = {
            name: Stored(stored.shape, dtype) if is_weight(name, stored) else stored for name, stored in source.tensors.items()
        }

    def read(self, name: str) -> Tensor:
        """See `Source`. Raises FileError if a number becomes infinite."""
        tensor = self.source.read(name)
        cast = tensor.to(self.tensors[name].dtype)
        if cast.dtype == torch.float16 and tensor.dtype != torch.float16 and bool((cast.isinf() & tensor.isfinite()).any()):
            largest = tensor.abs().max().item()
            refuse(
                self.home(name),
                name,
                f"has {largest:g}, too much for fp16; use bf16",
                f"の {largest:g} は fp16 に収まりません。bf16 を使ってください",
            )
        return cast

    def home(self, name: str) -> Path:
        """See `Source`."""
        return self.source.home(name)


def is_weight(name: str, stored: Stored) -> bool:
    """Whether a tensor is a network's, and not a table of the noise schedule, a lone number or whole numbers."""
    return stored.dtype in FLOATS and len(stored.shape) > 0 and name.rpartition(".")[2] not in SCHEDULE


def _one_of_both(source: Source, picks: Mapping[str, tuple[Source, str]], use_ema: bool) -> dict[str, tuple[Source, str]]:
    """The averaged or the raw weights alone. A pruned file's are averaged already."""
    state = ema.ema(source.tensors)
    if use_ema and state == "none":
        raise KakusanError(
            f"{source.file}: has no averaged weights (EMA) beside its own; leave --ema out",
            f"{source.file}: EMA (平均した重み) は別に入っていません。--ema を外してください",
        )
    chosen = {name: pick for name, pick in picks.items() if not name.startswith(ema.AVERAGED)}
    if use_ema and state == "full":
        chosen |= {raw: (source, average) for raw, average in ema.averaged(source.file, source.tensors).items()}
        for raw in chosen:
            if raw.startswith(ema.RAW) and chosen[raw][0].tensors[chosen[raw][1]].shape != source.tensors[raw].shape:
                refuse(source.home(raw), chosen[raw][1], f"has another shape than {raw}", f"の形が {raw} と違います")
    return chosen


def _autoencoder(source: Source, vae: Source) -> dict[str, tuple[Source, str]]:
    """The autoencoder's tensors, each out of the other file: there under the same names, or without what stands before them."""
    inner: Source = Under(vae, AUTOENCODER)
    other = inner if inner.tensors else vae
    wanted = Under(source, AUTOENCODER).tensors
    if not wanted:
        raise KakusanError(
            f"{source.file}: has no autoencoder to replace; leave --vae out",
            f"{source.file}: 置き換えるオートエンコーダーがありません。--vae を外してください",
        )
    for name, stored in wanted.items():
        if name not in other.tensors:
            refuse(vae.file, name, "is missing: no autoencoder of this kind", "がありません。この種類のオートエンコーダーではありません")
        if other.tensors[name].shape != stored.shape:
            found, expected = list(other.tensors[name].shape), list(stored.shape)
            refuse(other.home(name), name, f"has shape {found} instead of {expected}", f"の形は {found} ですが {expected} のはずです")
    return {AUTOENCODER + name: (other, name) for name in wanted}
