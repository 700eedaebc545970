"""Models made into other files: file to file name by name, so that nothing is lost; between files and folders through the networks."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import KakusanError
from . import ema, keys_autoencoder
from .detect import AUTOENCODER, BUFFERS, POSTERIOR, autoencoder_prefix
from .fill import linear
from .folder import PARTS, read_folder
from .keys import FOLDER, renamed
from .model import Model
from .shapes import autoencoder_of
from .single import prediction_named, read_single, read_vae
from .source import FLOATS, Source, Stored, Under, check, refuse

SCHEDULE = frozenset({*BUFFERS, *POSTERIOR, "lvlb_weights", "logvar"})
"""Last parts of the names of a noise schedule's tables, which lie among the weights."""
HALF = torch.finfo(torch.float16).max


def converted(source: Source, *, dtype: torch.dtype | None = None, use_ema: bool | None = None, vae: Source | None = None) -> Source:
    """A file's tensors with what is asked for changed; all of them as they are if nothing is.

    dtype: of the weights; tables of the noise schedule, lone numbers and whole numbers keep theirs. use_ema: the averaged weights (True)
    or the raw ones (False) become `model.*`, and nothing is left of the others; None keeps both. vae: where the autoencoder's
    tensors are taken from. Raises FileError on tensors that are missing or do not fit, KakusanError if there is nothing to replace.
    """
    picks = {name: Pick(source, name, stored.shape) for name, stored in source.tensors.items()}
    if use_ema is not None:
        picks = _one_of_both(source, picks, use_ema)
    if vae is not None:
        picks |= _autoencoder(source, vae)
    chosen = Picked(source, picks)
    return chosen if dtype is None else Cast(chosen, dtype)


def read_model(
    path: Path, *, config: Path | None = None, use_ema: bool | None = None, vae: Path | None = None, prediction: str | None = None
) -> Model:
    """A model out of a file or a folder, with its weights as stored; config and use_ema are for files only.

    Raises KakusanError, or FileError as `read_single` and `read_folder` do.
    """
    if not path.is_dir():
        return read_single(path, config=config, use_ema=use_ema, vae=vae, prediction=prediction)
    if config is not None or use_ema is not None:
        raise KakusanError(
            f"{path}: a folder says itself how it is built, and has one set of weights; leave --config and --ema out",
            f"{path}: フォルダーには構成が書かれていて、重みは 1 組だけです。--config と --ema を外してください",
        )
    model = read_folder(path, parts=None if vae is None else ("unet", "text", "image", "depth"))
    if vae is not None:
        model.autoencoder = read_vae(vae, scale=model.autoencoder.config.scale)
    if prediction is not None:
        model.schedule = replace(model.schedule, prediction=prediction_named(prediction))
    return model


def check_half(model: Model) -> None:
    """Raises KakusanError, naming the weight, if one is too large for fp16."""
    networks = {name: network for name in PARTS if (network := getattr(model, name)) is not None}
    for network, part in networks.items():
        for name, tensor in part.state_dict().items():
            if tensor.dtype != torch.float16 and (largest := torch.linalg.vector_norm(tensor, torch.inf).item()) > HALF:
                raise KakusanError(
                    f"{network} {name} has {largest:g}, too much for fp16; use bf16",
                    f"{network} {name} の {largest:g} は fp16 に収まりません。bf16 を使ってください",
                )


class Pick(NamedTuple):
    """One tensor of a source, and the shape in which it is taken: a linear layer may become a 1x1 convolution."""

    source: Source
    name: str
    shape: tuple[int, ...]


class Picked:
    """Tensors out of one source or several, under other names: a `Source`."""

    def __init__(self, main: Source, picks: Mapping[str, Pick]):
        self.file, self.metadata, self.picks = main.file, main.metadata, picks
        self.tensors: Mapping[str, Stored] = {
            name: Stored(shape, source.tensors[stored].dtype) for name, (source, stored, shape) in picks.items()
        }

    def read(self, name: str) -> Tensor:
        """See `Source`."""
        source, stored, shape = self.picks[name]
        return source.read(stored).reshape(shape)

    def home(self, name: str) -> Path:
        """See `Source`."""
        source, stored, _ = self.picks[name]
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
        if cast is not tensor and not finite(cast) and bool((cast.isinf() & tensor.isfinite()).any()):
            largest = torch.linalg.vector_norm(tensor, torch.inf).item()
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


def finite(tensor: Tensor) -> bool:
    """Whether no number is infinite or none at all; their sum tells without another tensor in memory, unless it is infinite itself."""
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def _one_of_both(source: Source, picks: Mapping[str, Pick], use_ema: bool) -> dict[str, Pick]:
    """The averaged or the raw weights alone; those of a file that has one set are what they are."""
    chosen = {name: pick for name, pick in picks.items() if not name.startswith(ema.AVERAGED)}
    if use_ema and ema.ema(source.tensors) == "full":
        for raw, average in ema.averaged(source.file, source.tensors).items():
            check(source.home(average), average, source.tensors[average], source.tensors[raw].shape)
            chosen[raw] = Pick(source, average, source.tensors[raw].shape)
    return chosen


def _autoencoder(source: Source, vae: Source) -> dict[str, Pick]:
    """The autoencoder's tensors, each out of the other file: a model's, an original one's or diffusers' file of its own."""
    part, wanted = Under(vae, autoencoder_prefix(vae.tensors)), Under(source, AUTOENCODER).tensors
    if not wanted:
        raise KakusanError(
            f"{source.file}: has no autoencoder to replace; leave --vae out",
            f"{source.file}: 置き換えるオートエンコーダーがありません。--vae を外してください",
        )
    picks = {}
    for name, theirs in _their_names(wanted, part).items():
        if theirs not in part.tensors:
            refuse(vae.file, theirs, "is missing: no autoencoder of this kind", "がありません。この種類のオートエンコーダーではありません")
        shape, found = wanted[name].shape, part.tensors[theirs]
        check(part.home(theirs), theirs, Stored(linear(found.shape), found.dtype), linear(shape))
        picks[AUTOENCODER + name] = Pick(part, theirs, shape)
    return picks


def _their_names(wanted: Iterable[str], part: Under) -> dict[str, str]:
    """What an autoencoder's file calls the tensors of an original one."""
    if not any(name.startswith("encoder.down_blocks.") for name in part.tensors):
        return {name: name for name in wanted}
    stored = {keys_autoencoder.modern(name): name for name in part.tensors}
    rows = [(single, single, folder) for _, single, folder in keys_autoencoder.rows(autoencoder_of(part))]
    try:
        return {name: stored.get(theirs, theirs) for name, theirs in renamed(wanted, rows, FOLDER).items()}
    except KeyError as error:
        refuse(
            part.file,
            str(error.args[0]),
            "is missing: no autoencoder of this kind",
            "がありません。この種類のオートエンコーダーではありません",
        )
