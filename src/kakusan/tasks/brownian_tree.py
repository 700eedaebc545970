"""The Brownian path that k-diffusion's SDE samplers draw their noise from, number for number as torchsde's BrownianTree makes it.

Facts: torchsde 0.2.6, _brownian/brownian_interval.py (halfway_tree, tol=1e-6, pool_size=24); k-diffusion, BrownianTreeNoiseSampler.
The tree halves an interval of sigma until its borders, rounded to six digits, are those asked for.
"""

import math
from collections.abc import Callable, Sequence

from torch import Tensor

Draw = Callable[[int, Sequence[int]], Tensor]
"""Standard normal numbers of a seed and a shape."""
DIGITS, POOL = 6, 24


class BrownianTree:
    """Noise between two levels of one path from `low` to `high`: normalised W(sigma_to) - W(sigma_from).

    seed: of the path; draw: where its numbers come from. Each interval has a seed of its own, from numpy's SeedSequence.
    """

    def __init__(self, seed: int, low: float, high: float, draw: Draw):
        self.seed, self.draw = seed, draw
        self.length = math.sqrt(high - low)
        self.low, self.high = round(low, DIGITS), round(high, DIGITS)

    def __call__(self, shape: Sequence[int], sigma_from: float, sigma_to: float) -> Tensor:
        """Standard normal numbers for a step; for one that is shorter than the tree resolves, zeros."""
        start, end = (min(max(round(sigma, DIGITS), self.low), self.high) for sigma in sorted((sigma_from, sigma_to)))
        parts: list[Tensor] = []
        top = self.draw(self._seed((), 3), shape) * self.length
        if start < end:
            self._collect((self.low, self.high, 0, 0), top, start, end, parts)
        total = sum(parts[1:], parts[0]) if parts else 0 * top
        sign = 1 if sigma_from < sigma_to else -1
        return total * sign / math.sqrt(abs(sigma_to - sigma_from))

    def _collect(self, node: tuple[float, float, int, int], w: Tensor, start: float, end: float, parts: list[Tensor]) -> None:
        """The increments of the largest intervals that make up start to end. w: the increment over the node (low, high, key, depth)."""
        low, high, key, depth = node
        if (low, high) == (start, end):
            parts.append(w)
            return
        middle = round(0.5 * (high + low), DIGITS)
        left, right, part = middle - low, high - middle, 1 / (high - low)
        noise = self.draw(self._seed((key, depth), 4), w.shape)
        w_left = left * w * part + math.sqrt(left * right * part) * noise
        if start < middle:
            self._collect((low, middle, 2 * key, depth + 1), w_left, start, min(end, middle), parts)
        if end > middle:
            self._collect((middle, high, 2 * key + 1, depth + 1), w - w_left, max(start, middle), end, parts)

    def _seed(self, key: tuple[int, ...], words: int) -> int:
        import numpy as np

        return int(np.random.SeedSequence(entropy=self.seed, spawn_key=key, pool_size=POOL).generate_state(words)[0])
