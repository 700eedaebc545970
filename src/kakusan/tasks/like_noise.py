"""A picture's random numbers as another program draws them: which stream, on which device, which slice of a batch.

c channels, h w height and width of a latent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..noise import CpuStream, PhiloxStream, Stream
from ..schedules import NoiseSchedule
from .brownian_tree import BrownianTree
from .levels import BY_TIMESTEPS, STRAIGHT, levels, second, whole
from .like import Like
from .profiles import Rng
from .recipe import Recipe
from .seeds import Varied, VariedNoise

SDE = frozenset({"dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde"})
"""Samplers that draw from a Brownian tree in k-diffusion."""
Span = tuple[float, float]
"""The lowest level above 0 and the highest of a run."""


@dataclass(frozen=True)
class Source:
    """What a picture's numbers depend on. span, again: of the run and of a second pass, for a Brownian tree, None without one.

    shrunk: the first noise is multiplied by sigma alone, above: but from this level on by sqrt(1 + sigma^2).
    """

    varied: Varied
    like: Like
    span: Span | None = None
    again: Span | None = None
    shrunk: bool = False
    above: float = math.inf


def source(varied: Varied, recipe: Recipe, schedule: NoiseSchedule) -> Source:
    """The numbers of a recipe that is not drawn our own way."""
    row, sampler = recipe.like.row, recipe.sampler
    span = again = None
    if row.tree is not None and sampler in SDE:
        span = _span(whole(recipe, schedule, recipe.steps) if row.tree_whole else levels(recipe, schedule))
        again = _span(second(recipe, schedule)) if recipe.large.hires else span
    spaced = sampler in STRAIGHT and recipe.schedule != "leading"
    by_timesteps = recipe.like.name == "a1111" and sampler in BY_TIMESTEPS
    shrunk = spaced if row.start == "spaced" else row.start != "full" and not by_timesteps
    above = schedule.sigma_max * (1 - 1e-5) if row.start == "max" else math.inf
    return Source(varied, recipe.like, span, again, shrunk, above)


class LikeNoise(VariedNoise):
    """Noise of one picture (1 c h w) from a `Source`."""

    def __init__(self, source: Source):
        super().__init__(source.varied)
        self.source, varied, like = source, source.varied, source.like
        row = like.row
        self.place, self.of = (like.place, like.of) if row.slices else (0, 1)
        first = like.rng if like.rng and "first" in row.rng_changes else row.first
        again = like.rng if like.rng and "again" in row.rng_changes else row.again
        self.streams = [self._stream(seed, first) for seed in (varied.seed, varied.seed, varied.other)]
        self.own = 0  # the stream of a sampler's noise
        if like.ensd or row.follow != "stream":
            flipped = varied.seed ^ 0xFFFFFFFF if row.follow == "flipped" else varied.seed
            plus = int(row.follow == "plus_one_on_cpu" and again == "cpu")
            self.own = len(self.streams)
            self.streams.append(self._stream(flipped + plus + like.ensd, again))
        self.tree = None if source.span is None else self._tree(source.span, "cpu" if row.tree == "cpu" else first)

    def __call__(self, like: Tensor, sigma_from: float, sigma_to: float) -> Tensor:
        """A sampler's next numbers, as `like`."""
        if self.tree is not None:
            start, end = (torch.tensor(sigma, dtype=torch.float32).item() for sigma in (sigma_from, sigma_to))  # as there
            return self.tree((self.of, *like.shape[1:]), start, end)[self.place : self.place + 1].to(like)
        return self.streams[self.own].randn(like.shape).to(like)

    def first(self, shape: Sequence[int], sigma: float) -> Tensor:
        """What sampling from nothing starts from, at level sigma."""
        if self.source.shrunk and sigma < self.source.above:
            return sigma * self.randn(shape)
        return super().first(shape, sigma)

    def posterior(self, shape: Sequence[int]) -> Tensor:
        """What a latent is drawn with from an encoder's distribution; zeros give its mean."""
        return super().posterior(shape) if self.source.like.row.drawn_latent else torch.zeros(tuple(shape))

    def renewed(self) -> "LikeNoise":
        """The noise of a second pass."""
        if not self.source.like.row.renewed:
            return self
        return LikeNoise(replace(self.source, span=self.source.again))

    def _stream(self, seed: int, rng: Rng) -> Stream:
        dtype = torch.float16 if self.source.like.row.half else torch.float32
        whole = seed % 2**64
        return Slice(CpuStream(whole, dtype) if rng == "cpu" else PhiloxStream(whole), dtype, self.place, self.of)

    def _tree(self, span: Span, rng: Rng) -> BrownianTree:
        def draw(seed: int, shape: Sequence[int]) -> Tensor:
            return (CpuStream(seed, torch.float32) if rng == "cpu" else PhiloxStream(seed)).randn(shape)

        return BrownianTree(self.source.varied.seed, *span, draw)


class Slice:
    """A stream of which one picture's part is taken: what is drawn is drawn for a whole batch. dtype: what it is rounded to."""

    def __init__(self, stream: Stream, dtype: torch.dtype, place: int, of: int):
        self.stream, self.dtype, self.place, self.of = stream, dtype, place, of

    def randn(self, shape: Sequence[int]) -> Tensor:
        """The picture's next numbers, in float32; of a shape (1 c h w) if the batch has more than one."""
        whole = self.stream.randn((self.of * shape[0], *shape[1:]))
        return whole[self.place * shape[0] : (self.place + 1) * shape[0]].to(self.dtype).float()

    def state(self) -> bytes:
        """Where the stream stands."""
        return self.stream.state()

    def restore(self, state: bytes) -> None:
        """Go to where `state()` was taken."""
        self.stream.restore(state)

    def fork(self) -> "Slice":
        """A second stream that goes on from here."""
        return Slice(self.stream.fork(), self.dtype, self.place, self.of)


def _span(sigmas: Sequence[float]) -> Span:
    single = torch.tensor([sigma for sigma in sigmas if sigma > 0], dtype=torch.float32)  # as there
    return float(single.min()), float(single.max())
