"""Rows of work: which of them may share a network call, and how they become its arguments."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from ..errors import KakusanError
from ..run import column
from ..types import Work


class Kind(NamedTuple):
    """Work of equal kind may share a call: the same network, and rows of the same shapes, dtypes and devices."""

    model: str
    form: Hashable


def kind(work: Work) -> Kind:
    """The kind of a Work. Raises KakusanError if it has no rows, or rows that cannot run in one call."""
    if not work.rows:
        raise KakusanError(
            f"work for network {work.model!r} has no rows; ask for at least one",
            f"ネットワーク {work.model!r} への仕事に行がありません。1 行以上を渡してください",
        )
    forms = [tuple(form(value, work.model) for value in row) for row in work.rows]
    for other in forms[1:]:
        if other != forms[0]:
            raise KakusanError(
                f"rows of one work for network {work.model!r} differ: {forms[0]} and {other}; give them one shape, or yield them apart",
                f"ネットワーク {work.model!r} への仕事の行が揃っていません: {forms[0]} と {other}。形を揃えるか、別々に渡してください",
            )
    return Kind(work.model, forms[0])


def form(value: Any, model: str) -> Hashable:
    """What two arguments must share to be stacked."""
    if value is None:
        return None
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype, value.device
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value), *(form(field, model) for field in value)
    raise KakusanError(
        f"a row for network {model!r} holds a {type(value).__name__}; tensors, numbers, None and named tuples of them can be batched",
        f"ネットワーク {model!r} への行に {type(value).__name__} があります。使えるのはテンソル、数、None と、それらの名前付きタプルです",
    )


def collate(rows: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Rows of one kind as the arguments of a network, which have a batch dimension in front: (n ...) for each column."""
    return tuple(column(values) for values in zip(*rows, strict=True))
