"""The stream of chance behind one picture or one caption: the same numbers on every machine, whatever else is drawn."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Option = TypeVar("Option")


class Chance:
    """Numbers from Philox keyed by (seed, index); Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405."""

    def __init__(self, seed: int, index: int):
        self._random = np.random.Generator(np.random.Philox(key=np.array([seed, index], np.uint64))).random

    def number(self) -> float:
        """Evenly spread in 0..1."""
        return self._random()

    def happens(self, share: float) -> bool:
        """True in this share of cases."""
        return self._random() < share

    def between(self, low: float, high: float) -> float:
        """Evenly spread between two numbers."""
        return low + (high - low) * self._random()

    def pick(self, options: Sequence[Option]) -> Option:
        """One of several, all alike."""
        return options[int(self._random() * len(options))]

    def weighted(self, options: Sequence[Option], weights: Sequence[float]) -> Option:
        """One of several, as often as its weight says."""
        left = self._random() * sum(weights)
        chosen = options[0]
        for option, weight in zip(options, weights, strict=True):
            if weight > 0:
                chosen, left = option, left - weight
                if left < 0:
                    break
        return chosen
