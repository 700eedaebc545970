"""A model as the tensors of an original single file: every name, shape and type that the published files have."""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from ..models.clip_text import ClipText
from ..models.dpt import Dpt
from ..schedules import NoiseSchedule
from . import keys_autoencoder
from .detect import AUTOENCODER, BUFFERS, CLIP, DEPTH, LOW_NOISE, OPEN_CLIP, POSTERIOR, UNET
from .fill import Place, placed
from .keys import FOLDER, SINGLE, renamed
from .keys_clip import text_rows
from .keys_dpt import UNUSED
from .model import Model
from .places import dpt_places, open_clip_names, unet_places
from .source import FLOATS, Stored
from .stamp import stamp

Entry = tuple[str, Stored, Callable[[], Tensor]]
CONVOLUTIONS = {
    f"{AUTOENCODER}{half}.mid.attn_1.{layer}.weight" for half in ("encoder", "decoder") for layer in ("q", "k", "v", "proj_out")
}
CLASSES = 1000  # that the depth network's transformer once told apart
DECAY = 0.9999  # of the averages, in training; left over in the published files, whose weights are the averages
LOGIT_SCALE = math.log(100)  # the largest that CLIP's training allows; nothing here uses it


class Exported:
    """A model's tensors under their original names, a `Source`; each is made when it is read.

    dtype: of the weights, None for as they are. Raises ValueError on reading a network on the meta device.
    """

    def __init__(self, model: Model, file: Path, dtype: torch.dtype | None = None):
        self.file = file
        self.metadata: Mapping[str, str] = stamp(model)
        tensors: dict[str, Stored] = {}
        self._made: dict[str, Callable[[], Tensor]] = {}
        for name, stored, made in _entries(model):
            weight = stored.dtype in FLOATS and stored.shape and name.startswith((UNET, AUTOENCODER, CLIP, OPEN_CLIP, DEPTH))
            tensors[name] = Stored(stored.shape, dtype) if weight and dtype is not None else stored
            self._made[name] = made
        self.tensors: Mapping[str, Stored] = tensors

    def read(self, name: str) -> Tensor:
        """See `Source`."""
        tensor = self._made[name]()
        if tensor.is_meta:
            raise ValueError(f"{name} has a shape and no weights: its network was read without them")
        return tensor.to("cpu", self.tensors[name].dtype)

    def home(self, name: str) -> Path:
        """See `Source`."""
        return self.file


def _entries(model: Model) -> Iterator[Entry]:
    unet, autoencoder, text = model.unet, model.autoencoder, model.text
    yield from _tables("", model.schedule, (*BUFFERS, *POSTERIOR))
    yield _lone("model_ema.decay", torch.tensor(DECAY))
    yield _lone("model_ema.num_updates", torch.tensor(0, dtype=torch.int32))
    yield from _weights(unet, unet_places(unet.state_dict(), unet.config, UNET))
    names = renamed(autoencoder.state_dict(), keys_autoencoder.rows(autoencoder.config), SINGLE)
    yield from _weights(autoencoder, placed(names, AUTOENCODER))
    if text.config.activation == "gelu":
        yield from _open_clip(text)
    else:
        yield from _weights(text, placed(renamed(text.state_dict(), text_rows(text.config), FOLDER), CLIP))
        yield _lone(f"{CLIP}text_model.embeddings.position_ids", torch.arange(text.config.positions)[None])
    if isinstance(model.depth, Dpt):
        yield from _weights(model.depth, dpt_places(model.depth.state_dict(), model.depth.config, DEPTH))
        for name, shape in zip(UNUSED, ((CLASSES, model.depth.config.width), (CLASSES,)), strict=True):
            dtype = next(model.depth.parameters()).dtype
            yield DEPTH + name, Stored(shape, dtype), partial(torch.zeros, shape, dtype=dtype)
    if model.low_noise is not None:
        yield from _tables(LOW_NOISE, model.low_noise, BUFFERS)


def _weights(network: nn.Module, places: Mapping[str, Place]) -> Iterator[Entry]:
    """A network's weights; three that share a name are one above the other, 1x1 convolutions have four dimensions."""
    parts: dict[str, list[Tensor]] = {}
    state = network.state_dict()
    for ours, place in places.items():
        parts.setdefault(place.name, []).append(state[ours])
    for name, tensors in parts.items():
        rows, *rest = tensors[0].shape
        shape = (len(tensors) * rows, *rest, *((1, 1) if name in CONVOLUTIONS else ()))
        yield name, Stored(shape, tensors[0].dtype), partial(_stacked, tensors, shape)


def _stacked(tensors: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    return (torch.cat(tensors) if len(tensors) > 1 else tensors[0]).reshape(shape)


def _open_clip(text: ClipText) -> Iterator[Entry]:
    """The text tower with what OpenCLIP's has more: a last layer, here one that changes nothing, a projection, and the logits' scale."""
    state, width, wide = text.state_dict(), text.config.width, text.config.feedforward
    dtype = state["norm.weight"].dtype
    projected = "project.weight"
    yield from _weights(text, placed(open_clip_names((name for name in state if name != projected), text.config), OPEN_CLIP))
    shape = (width, text.config.projection or width)
    yield f"{OPEN_CLIP}text_projection", Stored(shape, dtype), partial(_projection, state.get(projected), width)
    yield _lone(f"{OPEN_CLIP}logit_scale", torch.tensor(LOGIT_SCALE))
    zeros = {
        **{"attn.in_proj_weight": (3 * width, width), "attn.in_proj_bias": (3 * width,), "attn.out_proj.weight": (width, width)},
        **{"attn.out_proj.bias": (width,), "mlp.c_fc.weight": (wide, width), "mlp.c_fc.bias": (wide,)},
        **{"mlp.c_proj.weight": (width, wide), "mlp.c_proj.bias": (width,), "ln_1.bias": (width,), "ln_2.bias": (width,)},
    }
    last = f"{OPEN_CLIP}transformer.resblocks.{text.config.layers}."
    for name, size in zeros.items():
        yield last + name, Stored(size, dtype), partial(torch.zeros, size, dtype=dtype)
    for name in ("ln_1.weight", "ln_2.weight"):
        yield last + name, Stored((width,), dtype), partial(torch.ones, width, dtype=dtype)


def _projection(project: Tensor | None, width: int) -> Tensor:
    return torch.eye(width) if project is None else project.T.contiguous()


def _lone(name: str, tensor: Tensor) -> Entry:
    return name, Stored(tuple(tensor.shape), tensor.dtype), lambda: tensor


def _tables(prefix: str, schedule: NoiseSchedule, names: tuple[str, ...]) -> Iterator[Entry]:
    """The tables of a noise schedule, float32 (Ho et al. 2020, equations 4 and 7; Nichol and Dhariwal 2021 for the clipped logarithm)."""
    alphas = torch.tensor(schedule.alphas_cumprod(), dtype=torch.float64)
    before = torch.cat([torch.ones(1, dtype=torch.float64), alphas[:-1]])
    betas = 1 - alphas / before
    variance = betas * (1 - before) / (1 - alphas)
    tables = {
        "betas": betas,
        "alphas_cumprod": alphas,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": alphas.sqrt(),
        "sqrt_one_minus_alphas_cumprod": (1 - alphas).sqrt(),
        "log_one_minus_alphas_cumprod": (1 - alphas).log(),
        "sqrt_recip_alphas_cumprod": alphas.rsqrt(),
        "sqrt_recipm1_alphas_cumprod": (1 / alphas - 1).sqrt(),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": variance.clamp(min=1e-20).log(),
        "posterior_mean_coef1": betas * before.sqrt() / (1 - alphas),
        "posterior_mean_coef2": (1 - before) * (1 - betas).sqrt() / (1 - alphas),
    }
    for name in names:
        yield _lone(prefix + name, tables[name].float())
