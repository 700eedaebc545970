"""Weights stored in half precision and computed with in full, a layer at a time: two copies of a network never lie side by side."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


def wakened(network: nn.Module, dtype: torch.dtype) -> None:
    """From now on each layer of `network` takes on `dtype` when it is first called; one that never is stays as it is stored.

    The first layer does so at once: by its dtype others tell what the network computes in.
    """
    for i, layer in enumerate(list(_layers(network, dtype))):
        if i == 0:
            _cast(layer, dtype)
        else:
            handles: list[RemovableHandle] = []
            handles.append(layer.register_forward_pre_hook(partial(_wake, handles, dtype)))


def lent(network: nn.Module, dtype: torch.dtype) -> list[RemovableHandle]:
    """From now on each layer of `network` has `dtype` while it is being called, and only then; until the handles are removed."""
    handles: list[RemovableHandle] = []
    for layer in _layers(network, dtype):
        stored: list[Tensor] = []
        handles.append(layer.register_forward_pre_hook(partial(_lend, stored, dtype)))
        handles.append(layer.register_forward_hook(partial(_return, stored), always_call=True))
    return handles


def _layers(network: nn.Module, dtype: torch.dtype) -> Iterator[nn.Module]:
    """Modules with weights of their own of another dtype."""
    for layer in network.modules():
        if any(p.dtype != dtype for p in layer.parameters(recurse=False)):
            yield layer


def _wake(handles: list[RemovableHandle], dtype: torch.dtype, layer: nn.Module, given: Any) -> None:
    _cast(layer, dtype)
    handles.pop().remove()


def _lend(stored: list[Tensor], dtype: torch.dtype, layer: nn.Module, given: Any) -> None:
    stored[:] = [p.data for p in layer.parameters(recurse=False)]
    _cast(layer, dtype)


def _return(stored: list[Tensor], layer: nn.Module, given: Any, result: Any) -> None:
    for p, data in zip(layer.parameters(recurse=False), stored, strict=True):
        p.data = data
    stored.clear()


def _cast(layer: nn.Module, dtype: torch.dtype) -> None:
    with torch.inference_mode(False):  # weights are ordinary tensors even where they are first used without gradients
        for p in layer.parameters(recurse=False):
            p.data = p.data.to(dtype)
