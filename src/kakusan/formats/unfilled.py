"""Networks of a shape and without numbers: what a loader builds before the file's tensors are put in their places."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

FILLERS = frozenset({"normal_", "uniform_", "zero_", "fill_", "trunc_normal_"})


class Unfilled(TorchFunctionMode):
    """Within it nothing is initialised, and tensors lie on the meta device: `with torch.device("meta"), Unfilled(): UNet(config)`.

    Random numbers on the meta device cost nothing by themselves, but torch imports its compiler to pretend to draw them,
    which is half of a cold start (1.0 of 2.0 CPU seconds measured).
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Skip what would fill a tensor, do the rest."""
        if getattr(func, "__name__", "") in FILLERS or getattr(func, "__module__", "") == torch.nn.init.__name__:
            return args[0] if args else next(iter((kwargs or {}).values()))
        return func(*args, **(kwargs or {}))
