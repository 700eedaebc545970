"""Where windows lie along a length, and how much each counts where they overlap."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Span(NamedTuple):
    """From `start` up to, and not with, `stop`."""

    start: int
    stop: int


class Window(NamedTuple):
    """The places (l) that a window covers along a length, and its share (l) at each: the shares at a place sum to 1."""

    places: Tensor
    share: Tensor


def spans(length: int, size: int, overlap: int) -> list[Span]:
    """The fewest spans of `size` that cover `length` and overlap by at least `overlap`, spread evenly; one if it is long enough.

    Raises ValueError if a span is no longer than the overlap.
    """
    if not 0 <= overlap < size:
        raise ValueError(f"windows of {size} cannot overlap by {overlap}")
    if length <= size:
        return [Span(0, length)]
    steps = math.ceil((length - size) / (size - overlap))
    starts = [round(i * (length - size) / steps) for i in range(steps + 1)]
    return [Span(start, start + size) for start in starts]


def windows(length: int, size: int, overlap: int, round_: bool = False) -> list[Window]:
    """`spans` with their shares: linear from one to the next over what they overlap, exactly 1 where one lies alone.

    round_: the length is a circle; the last windows go on at its beginning.
    """
    if round_ and length > size:
        count = math.ceil(length / (size - overlap))
        parts = [Span(start, start + size) for start in (round(i * length / count) for i in range(count))]
        before, after = parts[-1:] + parts[:-1], parts[1:] + parts[:1]
        raw = [_ramps((b.stop - p.start) % length, size, (p.stop - a.start) % length) for b, p, a in zip(before, parts, after, strict=True)]
    else:
        parts = spans(length, size, overlap)
        ends = [Span(0, parts[0].start), *parts, Span(parts[-1].stop, length)]
        raw = [_ramps(b.stop - p.start, p.stop - p.start, p.stop - a.start) for b, p, a in zip(ends, parts, ends[2:], strict=False)]
    places = [torch.arange(*part) % length for part in parts]
    total = torch.zeros(length).index_add(0, torch.cat(places), torch.cat(raw))
    return [Window(where, weight / total[where]) for where, weight in zip(places, raw, strict=True)]


def _ramps(before: int, size: int, after: int) -> Tensor:
    """Ones (size), rising over what the window before overlaps, falling over what the one after does."""
    weight = torch.ones(size)
    if before > 0:
        weight[:before] *= (torch.arange(before) + 0.5) / before
    if after > 0:
        weight[-after:] *= (torch.arange(after).flip(0) + 0.5) / after
    return weight
