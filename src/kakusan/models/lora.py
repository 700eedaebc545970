"""Low-rank terms beside a network's weights (LoRA, Hu et al. 2021, section 4.1), for each row of a batch its own.

https://arxiv.org/abs/2106.09685. n rows, i o inputs and outputs of a layer, h w height and width of a kernel, r rank, R all ranks,
K places for scales.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..errors import KakusanError

Layer = nn.Linear | nn.Conv2d


@dataclass(frozen=True)
class Term:
    """What a LoRA changes about one layer: to its weight comes alpha / r up @ down; or `down` itself, if there is no `up`.

    down: (r i), for convolutions (r i h w); without `up` of the weight's shape. up: (o r). alpha: r unless given.
    magnitude (o,): the changed weight is brought to these norms, one for each output (DoRA, Liu et al. 2024, equation 5,
    https://arxiv.org/abs/2402.09353); what then comes to the weight is the whole difference.
    """

    down: Tensor
    up: Tensor | None = None
    alpha: float | None = None
    magnitude: Tensor | None = None

    @property
    def rank(self) -> int:
        """r, or 0 without `up`."""
        return 0 if self.up is None else self.up.shape[1]

    @property
    def strength(self) -> float:
        """What the product is multiplied by."""
        return 1.0 if self.alpha is None or not self.rank else self.alpha / self.rank

    def delta(self, weight: Tensor) -> Tensor:
        """What comes to `weight` (o i or o i h w), in float32, at scale 1."""
        added = self._added(weight)
        return added if self.magnitude is None else _columns(self.gain(weight), weight) * (weight.float() + added) - weight.float()

    def gain(self, weight: Tensor) -> Tensor:
        """By what the magnitude multiplies the changed weight, for each output (o,)."""
        assert self.magnitude is not None
        changed: Tensor = (weight.float() + self._added(weight)).flatten(1).norm(dim=1)
        return self.magnitude.to(weight.device, torch.float32) / changed.clamp_min(torch.finfo(torch.float32).eps)

    def _added(self, weight: Tensor) -> Tensor:
        down = self.down.to(weight.device, torch.float32)
        if self.up is None:
            return down.view(weight.shape)
        return (self.strength * self.up.to(weight.device, torch.float32) @ down.flatten(1)).view(weight.shape)


class Adapters:
    """The LoRAs of one network: terms for its layers, by numbers. The network itself is never changed, but by `fuse`."""

    def __init__(self) -> None:
        self.terms: dict[int, Mapping[str, Term]] = {}
        self.originals: dict[str, Tensor] = {}
        self._packed: tuple[tuple[int, ...], dict[str, Beside]] = ((), {})

    def put(self, number: int, terms: Mapping[str, Term]) -> None:
        """Keep the terms, by the names of layers, under a number that none had before."""
        self.terms[number] = terms

    def drop(self, number: int) -> None:
        """Forget what is under a number. Raises KakusanError if it is fused into the weights."""
        if self.originals:
            raise KakusanError("LoRAs are fused into the weights; unfuse them first", "LoRA が重みに融合されています。先に戻してください")
        self.terms.pop(number, None)
        self._packed = ((), {})

    @contextmanager
    def applied(self, network: nn.Module, scales: Tensor | None) -> Iterator[None]:
        """Inside the block, row n of what `network` is given is treated with each LoRA at its scale (n K); outside it as ever."""
        handles = self.attach(network, scales)
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def attach(self, network: nn.Module, scales: Tensor | None) -> list[RemovableHandle]:
        """The same, until the handles are removed. scales: (n K), or (1 K) for all rows alike. Twins of the network are treated too.

        Raises KakusanError if a scale is for a LoRA that is not there.
        """
        if scales is None:
            return []
        used = tuple(int(k) for k in (scales != 0).any(0).nonzero().flatten())
        if gone := [k for k in used if k not in self.terms]:
            raise KakusanError(
                f"LoRA number {gone[0]} was unloaded while a picture was drawn with it; draw it again without it",
                f"{gone[0]} 番の LoRA は、それを使って描いている間に外されました。使わずに描き直してください",
            )
        if self._packed[0] != used:
            self._packed = (used, self._pack(network, used))
        beside = self._packed[1]
        return [network.get_submodule(name).register_forward_hook(partial(one, scales)) for name, one in beside.items()]

    def fuse(self, network: nn.Module, scales: Mapping[int, float]) -> None:
        """Add LoRAs to the weights themselves, each at its scale; on top of what is fused already."""
        for name in dict.fromkeys(name for k in scales for name in self.terms[k]):
            weight = _layer(network, name).weight
            original = self.originals.setdefault(name, weight.data)
            with torch.inference_mode(False), torch.no_grad():
                added = [s * self.terms[k][name].delta(original) for k, s in scales.items() if name in self.terms[k]]
                weight.data = (weight.data.float() + sum(added)).to(weight.dtype)
        self._packed = ((), {})

    def unfuse(self, network: nn.Module) -> None:
        """Give back the weights that were there before the first `fuse`, every bit of them."""
        for name, original in self.originals.items():
            weight = _layer(network, name).weight
            with torch.inference_mode(False):
                weight.data = original.to(weight.device, weight.dtype)  # which may have become wider since
        self.originals.clear()
        self._packed = ((), {})

    def keep(self) -> None:
        """Leave what is fused in the weights for good."""
        self.originals.clear()
        self._packed = ((), {})

    def _pack(self, network: nn.Module, used: tuple[int, ...]) -> dict[str, "Beside"]:
        names = dict.fromkeys(name for k in used for name in self.terms[k])
        with torch.inference_mode(False), torch.no_grad():
            return {name: Beside(_layer(network, name), {k: self.terms[k][name] for k in used if name in self.terms[k]}) for name in names}


class Beside:
    """What several LoRAs do to the output of one layer: their ranks lie side by side, so that two products do for all of them."""

    def __init__(self, layer: Layer, terms: Mapping[int, Term]):
        weight, low = layer.weight, {k: term for k, term in terms.items() if term.up is not None}
        self.gains = {k: term.gain(weight) for k, term in terms.items() if term.magnitude is not None}  # o each
        self.whole = {k: term.down.float().view(weight.shape) for k, term in terms.items() if term.up is None}
        self.down = torch.cat([term.down.float() for term in low.values()]) if low else None  # R i h w
        ups = [_gained(term, self.gains.get(k)) for k, term in low.items()]
        self.up = torch.cat(ups, dim=1) if low else None  # o R
        self.owner = torch.tensor([k for k, term in low.items() for _ in range(term.rank)], dtype=torch.int64)  # R
        self._ready: tuple[torch.device, torch.dtype] | None = None

    def __call__(self, scales: Tensor, layer: Layer, given: tuple[Tensor, ...], out: Tensor) -> Tensor:
        """The output of `layer` (n ... o, or n o h w) with what the LoRAs add; the hook of torch."""
        x = given[0]
        self._make_ready(x)
        scales, base = scales.to(x), out
        if self.down is not None and self.up is not None:
            found = _spread(scales[:, self.owner], layer, x) * _applied(layer, x, self.down)
            out = out + (F.conv2d(found, self.up[:, :, None, None]) if isinstance(layer, nn.Conv2d) else F.linear(found, self.up))
        for k, whole in self.whole.items():
            gain = self.gains.get(k)
            added = _applied(layer, x, whole)
            out = out + _spread(scales[:, k : k + 1], layer, x) * (added if gain is None else added * _spread(gain[None], layer, x))
        for k, gain in self.gains.items():
            bias = 0 if layer.bias is None else _spread(layer.bias.to(x)[None], layer, x)
            out = out + _spread(scales[:, k : k + 1] * (gain - 1), layer, x) * (base - bias)
        return out

    def _make_ready(self, x: Tensor) -> None:
        """Everything on the device and in the dtype of x."""
        if self._ready == (x.device, x.dtype):
            return
        with torch.inference_mode(False):
            self.down, self.up = (None if part is None else part.to(x.device, x.dtype) for part in (self.down, self.up))
            self.whole = {k: part.to(x.device, x.dtype) for k, part in self.whole.items()}
            self.gains = {k: part.to(x.device, x.dtype) for k, part in self.gains.items()}
            self.owner = self.owner.to(x.device)
        self._ready = (x.device, x.dtype)


def _layer(network: nn.Module, name: str) -> Layer:
    layer = network.get_submodule(name)
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    return layer


def _gained(term: Term, gain: Tensor | None) -> Tensor:
    assert term.up is not None
    up = term.strength * term.up.float()
    return up if gain is None else gain[:, None].to(up.device) * up


def _applied(layer: Layer, x: Tensor, weight: Tensor) -> Tensor:
    """What `layer` would give without its bias, had it this weight: with its stride, and its way of seeing beyond the edge."""
    seen: Tensor = layer._conv_forward(x, weight, None) if isinstance(layer, nn.Conv2d) else F.linear(x, weight)
    return seen


def _spread(values: Tensor, layer: Layer, x: Tensor) -> Tensor:
    """Values (n c) in the shape in which they multiply outputs of a layer: n c 1 1 of a convolution, n 1 ... c of a linear one."""
    if isinstance(layer, nn.Conv2d):
        return values[:, :, None, None]
    return values.view(len(values), *[1] * (x.ndim - 2), -1)


def _columns(values: Tensor, weight: Tensor) -> Tensor:
    return values.view(-1, *[1] * (weight.ndim - 1))
