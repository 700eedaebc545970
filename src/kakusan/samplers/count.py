"""How many times a sampler will ask the network: found by driving it on a single number, without any network."""

import torch

from ..types import Prediction, Sigmas
from . import sample


def evaluations(name: str, sigmas: Sigmas) -> int:
    """Network evaluations that the sampler of that name makes over these levels; for dpm_adaptive a lower bound.

    Raises KakusanError as `sample` does.
    """
    zero, count = torch.zeros(1, 1, 1, 1), 0
    sampler = sample(name, zero, sigmas, lambda like, _from, _to: torch.zeros_like(like))
    try:
        next(sampler)
        while True:
            count += 1
            sampler.send(Prediction(zero, zero))
    except StopIteration:
        return count
