"""JSON as strangers write it into pictures: read within bounds, and asked for numbers and texts without trust."""

import json
import math
from collections.abc import Mapping
from typing import Any

Table = Mapping[str, Any]


def table(text: str) -> Table | None:
    """The object that a text holds; None if it holds none, or is damaged, or nested too deep."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def inner(value: object, key: str) -> Table:
    """An object within an object; empty if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def said(value: object) -> str:
    """A number or a text as a setting's value, whole numbers without a point; "" for anything else."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 2**64 else ""
    if isinstance(value, float):
        if not math.isfinite(value):
            return ""
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return value if isinstance(value, str) else ""


def whole(value: object, usual: int = 0) -> int:
    """A whole number of at most nine digits."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 10**9  # false of NaN
    return int(value) if known and isinstance(value, int | float) else usual


def real(value: object, usual: float = 0.0) -> float:
    """A number of at most nine digits before the point."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 10**9
    return float(value) if known and isinstance(value, int | float) else usual
