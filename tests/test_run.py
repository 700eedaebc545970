"""The one-request driver makes the calls a task asks for, and nothing else."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from kakusan.run import run
from kakusan.types import Cond, Task, Work


class Hint(NamedTuple):
    cond: Cond
    strength: float
    mask: Tensor | None


def test_collates_rows_and_returns_what_the_task_returns() -> None:
    def network(x: Tensor, sigma: Tensor, hint: Hint) -> Tensor:
        assert torch.is_inference_mode_enabled()
        assert x.shape == (2, 3)
        assert sigma.dtype == torch.float32
        assert hint.mask is None
        return x * sigma[:, None] + hint.cond.context.sum((1, 2))[:, None] * hint.strength[:, None]  # type: ignore[index]

    def task() -> Task:
        rows = [(torch.full((3,), v), v, Hint(Cond(torch.ones(2, 2)), 0.5 * v, None)) for v in (1.0, 2.0)]
        a, b = yield Work("unet", rows)
        assert not torch.is_inference_mode_enabled()
        a += b  # in place, on tensors that inference mode would have locked
        (c,) = yield Work("double", [(a,)])
        return c

    assert run(task(), {"unet": network, "double": lambda x: 2 * x}).tolist() == [2 * (1 + 2 + 4 + 4)] * 3


def test_errors_pass_through() -> None:
    def task() -> Task:
        (x,) = yield Work("n", [(torch.zeros(1),)])
        return x

    def network(x: Tensor) -> Tensor:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        run(task(), {"n": network})
    with pytest.raises(KeyError, match="n"):
        run(task(), {})
