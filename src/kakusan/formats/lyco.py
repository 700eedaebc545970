"""Differences of weights in the forms of LyCORIS: Hadamard products (LoHa), Kronecker products (LoKr), and the difference itself.

Yeh et al. 2023, https://arxiv.org/abs/2309.14859. o i outputs and inputs of a layer, r rank, h w of a kernel.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from .source import Source, refuse

LARGEST = 1 << 28
"""Numbers that are held on the way to a difference, at most: 1 GiB of them."""


def difference(source: Source, group: Mapping[str, str], read: Mapping[str, Tensor], alpha: float | None, shape: tuple[int, ...]) -> Tensor:
    """What comes to a weight of that `shape`, in float32. group: names of tensors by their role for a layer; read: their numbers.

    Raises FileError if they are none of these forms, or do not fit together.
    """
    first = next(iter(group.values()))
    try:
        if all(f"hada_w{i}_{x}" in read for i in "12" for x in "ab"):
            found, rank = _hadamard(read, math.prod(shape)), read["hada_w1_b"].shape[0]
        elif any(word.startswith("lokr_w1") for word in read) and any(word.startswith("lokr_w2") for word in read):
            found, rank = _kronecker(read, math.prod(shape))
        elif "diff" in read:
            return read["diff"].float()
        else:
            words = ", ".join(group)
            refuse(
                source.file,
                first,
                f"lacks its counterpart: the layer has only {words}",
                f"に対になるものがありません。この層にあるのは {words} だけです",
            )
        found = found.reshape(shape)
    except (RuntimeError, KeyError, IndexError):
        refuse(source.file, first, "and the other tensors of its layer do not fit together", "と同じ層のテンソルの形が合いません")
    return found * (1.0 if alpha is None or not rank else alpha / rank)


def _hadamard(read: Mapping[str, Tensor], size: int) -> Tensor:
    """(w1a w1b) times (w2a w2b), number by number; with cores t1, t2 for the kernels of a convolution."""
    first, second = (_product(read[f"hada_w{i}_a"], read[f"hada_w{i}_b"], read.get(f"hada_t{i}"), size) for i in "12")
    return first * second


def _kronecker(read: Mapping[str, Tensor], size: int) -> tuple[Tensor, int]:
    """w1 kron w2, each whole or a product; and the rank that alpha is divided by, 0 if both are whole."""
    rank, sides = 0, []
    for i in "12":
        if f"lokr_w{i}" in read:
            sides.append(read[f"lokr_w{i}"].float())
            continue
        b = read[f"lokr_w{i}_b"]
        sides.append(_product(read[f"lokr_w{i}_a"], b, read.get(f"lokr_t{i}"), size))
        rank = b.shape[0]
    first, second = sides
    if first.numel() * second.numel() != size or first.ndim != 2 or second.ndim not in (2, 4):
        raise RuntimeError("not of the layer's size")
    if second.ndim == 4:
        first = first[:, :, None, None]
    return torch.kron(first, second.contiguous()), rank


def _product(a: Tensor, b: Tensor, core: Tensor | None, most: int) -> Tensor:
    """a b; with a core (r r h w) the convolution that it is between a (r o) and b (r i). Raises RuntimeError above `most` numbers."""
    if a.ndim < 2 or b.ndim < 2 or (core is not None and core.ndim != 4):
        raise RuntimeError("not matrices")
    numbers = a.shape[0] * b[0].numel() if core is None else a.shape[1] * b.shape[1] * core[0, 0].numel()
    between = 0 if core is None else core[:, 0].numel() * b.shape[1]  # what is made first
    if numbers > most or between > LARGEST:
        raise RuntimeError("larger than the layer")
    return a.float() @ b.float().flatten(1) if core is None else torch.einsum("pqhw,qi,po->oihw", core.float(), b.float(), a.float())
