"""The noise schedule of a single file, out of its own table of betas."""

from dataclasses import replace

import torch

from ..schedules import KINDS, NoiseSchedule
from .source import FLOATS, Source

SAME = 2e-3  # relative to the largest; half precision keeps three digits


def schedule_in(source: Source, name: str, expected: NoiseSchedule) -> NoiseSchedule:
    """The schedule of the betas called `name`; the expected one if they are its own, are of no known kind, or are not there."""
    stored = source.tensors.get(name)
    if stored is None or stored.dtype not in FLOATS or len(stored.shape) != 1 or stored.shape[0] < 2:
        return expected
    betas = source.read(name).double()
    for schedule in (expected, *_candidates(betas, expected)):
        table = torch.tensor(schedule.alphas_cumprod(), dtype=torch.float64)
        wanted = 1 - table / torch.cat([torch.ones(1, dtype=torch.float64), table[:-1]])
        if len(wanted) == len(betas) and bool((betas - wanted).abs().max() <= SAME * wanted.max()):
            return schedule
    return expected


def _candidates(betas: torch.Tensor, expected: NoiseSchedule) -> list[NoiseSchedule]:
    """Schedules of each kind that begin and end as the table does."""
    first, last = (float(f"{betas[i].item():.6g}") for i in (0, -1))
    if not 0 < first <= last < 1:
        return []
    return [replace(expected, beta_start=first, beta_end=last, kind=kind, steps=len(betas)) for kind in KINDS]
