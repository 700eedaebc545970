"""The driver for one request: each Work of the task is one call of its network. Many requests at once: `kakusan.engine`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .types import Task


def run(task: Task, networks: Mapping[str, Callable[..., Tensor]]) -> Tensor:
    """What the task returns, once every network call it asks for has been made. Errors of task and network pass through."""
    try:
        work = next(task)
        while True:
            with torch.inference_mode():
                out = networks[work.model](*(column(values) for values in zip(*work.rows, strict=True)))
            work = task.send([row.clone() for row in out])  # cloned outside inference mode: the task may change its rows
    except StopIteration as stop:
        result: Tensor = stop.value
        return result


def column(values: Sequence[Any]) -> Any:
    """One argument of a network, with batch dimension: tensors stacked, numbers as float32 (n,), named tuples field by field."""
    first = values[0]
    if first is None:
        return None
    if isinstance(first, Tensor):
        return torch.stack(list(values))  # n ...
    if isinstance(first, tuple):
        return type(first)(*(column(field) for field in zip(*values, strict=True)))
    return torch.tensor(values, dtype=torch.float32)  # n
