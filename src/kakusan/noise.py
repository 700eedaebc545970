"""The random numbers of one request. The same seed gives the same picture, alone or in company, on any machine.

All are drawn on the CPU, one stream an image, in a fixed dtype: another device or dtype is another stream, so both belong to the
seed. n images, c channels, h w height and width; a `Noise` is called as noise(like, sigma_from, sigma_to).
"""

import copy
import hashlib
import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, Self

import torch
from torch import Tensor

from .errors import KakusanError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]  # 32-bit words, each in 64 bits to leave room for a product


class SeededNoise:
    """Fresh standard normal numbers at every call, whatever the noise levels.

    seed: one for each image; a single one for n images draws them together, as one tensor (as diffusers with one generator).
    source: "cpu" is torch's CPU stream, as diffusers with a CPU generator; of a seed it uses the low 32 bits. "nv" is what torch
    draws on an NVIDIA GPU, computed here (`PhiloxStream`), in float32 whatever `dtype` says.
    """

    def __init__(self, seed: int | Sequence[int], dtype: torch.dtype = torch.float32, source: str = "cpu"):
        if source not in ("cpu", "nv"):
            raise KakusanError(
                f"noise source is {source!r}; it must be cpu or nv", f"乱数の種類が {source!r} です。cpu か nv にしてください"
            )
        seeds = _checked(seed)
        self.streams: list[Stream] = [CpuStream(s, dtype) if source == "cpu" else PhiloxStream(s) for s in seeds]

    def __call__(self, like: Tensor, sigma_from: float, sigma_to: float) -> Tensor:
        """The next numbers, as `like`."""
        return self.randn(like.shape).to(like)

    def randn(self, shape: Sequence[int]) -> Tensor:
        """The next numbers, for the first latent for instance: (n c h w), on the CPU, in the stream's dtype.

        Raises ValueError if there are several seeds and not n.
        """
        if len(self.streams) == 1:
            return self.streams[0].randn(shape)
        if len(self.streams) != shape[0]:
            raise ValueError(f"{len(self.streams)} seeds for a shape of {shape[0]} images: {tuple(shape)}")
        return torch.cat([stream.randn((1, *shape[1:])) for stream in self.streams])

    def first(self, shape: Sequence[int], sigma: float) -> Tensor:
        """What sampling from nothing starts from at level sigma: the next numbers, as strong as a clean latent with that noise."""
        return math.hypot(1, sigma) * self.randn(shape)

    def posterior(self, shape: Sequence[int]) -> Tensor:
        """The next numbers, for a latent that is drawn from an encoder's distribution."""
        return self.randn(shape)

    def renewed(self) -> "SeededNoise":
        """The noise of a second pass over the same picture: this one goes on."""
        return self

    def state(self) -> tuple[bytes, ...]:
        """Where each image's stream stands, for a journal; `restore` goes back there."""
        return tuple(stream.state() for stream in self.streams)

    def restore(self, state: Sequence[bytes]) -> None:
        """Go to where `state()` was taken from noise made with the same arguments."""
        for stream, saved in zip(self.streams, state, strict=True):
            stream.restore(saved)

    def fork(self) -> Self:
        """A second noise that goes on from here on its own, with the same numbers."""
        other = copy.copy(self)
        other.streams = [stream.fork() for stream in self.streams]
        return other


class BrownianNoise:
    """Noise of one Brownian path W over all noise levels: normalised W(sigma_to) - W(sigma_from).

    The numbers depend on the seed and the two levels alone, not on which were asked for before; so a stochastic sampler converges
    to one picture as its steps grow, and a step split in two gets the same noise as the whole. W is a virtual Brownian tree: a
    point is found by bisection, each midpoint drawn from its own seed (Li et al. 2020, https://arxiv.org/abs/2001.01328,
    section 4). Its time runs from 0 to 1 as sigma from 0 to infinity, 2 / pi * arctan(sigma), so no range need be known beforehand.
    Raises ValueError if the two levels are the same, or closer than the tree can tell apart (2 ** -30 of its time).
    """

    depth = 30
    remembered = 4  # levels whose W is kept: a step usually starts where the last one ended

    def __init__(self, seed: int | Sequence[int]):
        self.seeds = _checked(seed)
        self._points: OrderedDict[tuple[float, torch.Size], Tensor] = OrderedDict()

    def __call__(self, like: Tensor, sigma_from: float, sigma_to: float) -> Tensor:
        """The path's numbers between two levels, as `like`."""
        span = abs(_time(sigma_to) - _time(sigma_from))
        if span < 2.0**-self.depth:
            raise ValueError(f"no noise between levels so close: sigma_from={sigma_from}, sigma_to={sigma_to}")
        return (self.increment(like.shape, sigma_from, sigma_to) / math.sqrt(span)).to(like)

    def increment(self, shape: Sequence[int], sigma_from: float, sigma_to: float) -> Tensor:
        """W(sigma_to) - W(sigma_from), of variance |difference of their times|; increments of joined intervals add up."""
        return self._at(sigma_to, torch.Size(shape)) - self._at(sigma_from, torch.Size(shape))

    def _at(self, sigma: float, shape: torch.Size) -> Tensor:
        key = (sigma, shape)
        if key not in self._points:
            self._points[key] = self._descend(_time(sigma), shape)
        self._points.move_to_end(key)
        while len(self._points) > self.remembered:
            self._points.popitem(last=False)
        return self._points[key]

    def _descend(self, time: float, shape: torch.Size) -> Tensor:
        w_left, w_right = torch.zeros(shape), self._draw(1, shape)  # W(0), W(1)
        node, place, width = 1, time, 1.0  # a node of a binary tree, counted as in a heap; where `time` lies in it, 0 to 1
        for _ in range(self.depth):
            if place in (0.0, 1.0):
                break
            w_middle = (w_left + w_right) / 2 + math.sqrt(width) / 2 * self._draw(2 * node, shape)
            width, place = width / 2, place * 2
            if place < 1:
                node, w_right = 2 * node, w_middle
            else:
                node, place, w_left = 2 * node + 1, place - 1, w_middle
        return torch.lerp(w_left, w_right, place)

    def _draw(self, node: int, shape: torch.Size) -> Tensor:
        keys = [hashlib.blake2b(f"brownian {seed} {node}".encode(), digest_size=4).digest() for seed in self.seeds]
        return SeededNoise([int.from_bytes(key, "big") for key in keys]).randn(shape)


class Stream(Protocol):
    """One image's numbers."""

    def randn(self, shape: Sequence[int]) -> Tensor:
        """The next standard normal numbers."""

    def state(self) -> bytes:
        """Where the stream stands."""

    def restore(self, state: bytes) -> None:
        """Go to where `state()` was taken."""

    def fork(self) -> "Stream":
        """A second stream that goes on from here."""


class CpuStream:
    """torch.randn with a CPU generator of this seed."""

    def __init__(self, seed: int, dtype: torch.dtype):
        self.generator, self.dtype = torch.Generator().manual_seed(seed), dtype

    def randn(self, shape: Sequence[int]) -> Tensor:
        """The next standard normal numbers."""
        return torch.randn(tuple(shape), generator=self.generator, dtype=self.dtype)

    def state(self) -> bytes:
        """The generator's state as torch writes it."""
        return bytes(self.generator.get_state().tolist())

    def restore(self, state: bytes) -> None:
        """Go to where `state()` was taken."""
        self.generator.set_state(torch.tensor(list(state), dtype=torch.uint8))

    def fork(self) -> "CpuStream":
        """A second stream that goes on from here."""
        other = CpuStream(0, self.dtype)
        other.generator.set_state(self.generator.get_state())
        return other


class PhiloxStream:
    """torch.randn(..., device="cuda") after torch.manual_seed(seed), computed without a GPU; float32.

    There element i is made by thread i, whose counter is (number of draws so far, 0, i, 0) and whose key is the seed; the first two
    of the four words become the number. That holds while every element has a thread of its own: up to 2048 (on small GPUs 1024 or
    1536) times the number of multiprocessors, some 40,000 elements at the least (a latent for 800 x 800 pixels).
    """

    def __init__(self, seed: int, draws: int = 0):
        self.seed, self.draws = seed, draws

    def randn(self, shape: Sequence[int]) -> Tensor:
        """The next standard normal numbers."""
        import numpy as np

        count = math.prod(shape)
        counter = np.zeros((4, count), np.uint64)
        counter[0] = self.draws
        counter[2] = np.arange(count)
        self.draws += 1
        words = philox(counter, (self.seed & 0xFFFFFFFF, self.seed >> 32))
        return torch.from_numpy(box_muller(words[0], words[1])).view(tuple(shape))

    def state(self) -> bytes:
        """The number of draws so far."""
        return self.draws.to_bytes(8, "big")

    def restore(self, state: bytes) -> None:
        """Go to where `state()` was taken."""
        self.draws = int.from_bytes(state, "big")

    def fork(self) -> "PhiloxStream":
        """A second stream that goes on from here."""
        return PhiloxStream(self.seed, self.draws)


def philox(counter: "Words", key: tuple[int, int]) -> "Words":
    """Philox 4x32-10: four random words (4 count) from four counter words (4 count) and a key of two.

    Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3, https://doi.org/10.1145/2063384.2063405.
    """
    import numpy as np

    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        a, b = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (b >> shift) ^ c1 ^ np.uint64(k0), b & low, (a >> shift) ^ c3 ^ np.uint64(k1), a & low
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3])


def box_muller(first: "Words", second: "Words") -> "NDArray[np.float32]":
    """One standard normal number from two random words, sqrt(-2 log u) sin(2 pi v), with u and v in the middle of their 2 ** -32."""
    import numpy as np

    u, v = (first + 0.5) * 2.0**-32, (second + 0.5) * 2.0**-32
    numbers: NDArray[np.float32] = (np.sqrt(-2 * np.log(u)) * np.sin(2 * np.pi * v)).astype(np.float32)
    return numbers


def _time(sigma: float) -> float:
    return 2 / math.pi * math.atan(sigma)


def _checked(seed: int | Sequence[int]) -> tuple[int, ...]:
    seeds = (seed,) if isinstance(seed, int) else tuple(seed)
    for value in seeds:
        if not 0 <= value < 2**64:
            raise KakusanError(
                f"seed is {value}; it must be from 0 to 2^64 - 1", f"シードが {value} です。0 から 2^64 - 1 の間にしてください"
            )
    if not seeds:
        raise ValueError("no seed given")
    return seeds
