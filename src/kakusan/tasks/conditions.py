"""From what a prompt says to what the U-Net is told at each evaluation: chunks are read, weighted, put in a row, and take turns.

l text tokens, d width of a text state, K adapters.
"""

import math
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import KakusanError
from ..guidance import Composed
from ..prompts import read
from ..prompts.chunks import Chunk, Embedding, chunked, of_ids
from ..prompts.prompt import Part
from ..prompts.tokenizer import Tokenizer
from ..types import Cond, Reading, Work
from .emphasis import Read, emphasised, readings
from .recipe import Recipe
from .wording import Emphasis, Wording, timeline

MOST_CHUNKS = 32
"""Chunks up to which prompts of different lengths are repeated until they are equally long; longer ones are filled up."""


class Stretch(NamedTuple):
    """What is said up to and with evaluation `until`, counted from 0; None: to the end."""

    chunks: tuple[Chunk, ...]
    until: int | None = None


class Line(NamedTuple):
    """One of the prompts that are composed, with its share of the guidance."""

    stretches: tuple[Stretch, ...]
    weight: float = 1.0

    def at(self, evaluation: int) -> int:
        """Which stretch is said at an evaluation; the last one ever after."""
        ends = (number for number, stretch in enumerate(self.stretches) if stretch.until is None or evaluation <= stretch.until)
        return next(ends, len(self.stretches) - 1)


class Adapters(NamedTuple):
    """How much of each low-rank adapter (K) the text encoder and the U-Net take."""

    text: Tensor | None = None
    unet: Tensor | None = None


NO_ADAPTERS = Adapters()


@dataclass(frozen=True)
class Manner:
    """How chunks are read. empty: the chunk without a word; skip: layers left out at the end; pad: see `Wording.pad`."""

    empty: Chunk
    emphasis: Emphasis = "original"
    skip: int = 0
    pad: bool = False
    adapters: Adapters = NO_ADAPTERS


@dataclass(frozen=True)
class Words:
    """What is drawn, and what is avoided. negative: has one line.

    second: what follows after `switch` evaluations, or, without a switch, `blend` (0 to 1) of the way to it.
    """

    prompt: tuple[Line, ...]
    negative: tuple[Line, ...]
    manner: Manner
    second: tuple[Line, ...] = ()
    blend: float = 0.0
    switch: int = 0

    def after(self, evaluations: int) -> "Words":
        """The words for a second pass, which begins after so many evaluations."""
        if not self.second or not self.switch:
            return self
        if evaluations >= self.switch:
            return replace(self, prompt=self.second, second=(), switch=0)
        return replace(self, switch=self.switch - evaluations)


def of_tokens(ids: Sequence[int], negative: Sequence[int]) -> Words:
    """Words that are given as token numbers (l), start, end and padding among them."""
    lines = [(Line((Stretch(of_ids(row)),)),) for row in (ids, negative)]
    return Words(lines[0], lines[1], Manner(of_ids(negative)[0], "ignore"))


@dataclass(frozen=True)
class Vocabulary:
    """What a model reads words with. embeddings: words with token embeddings of their own; adapters: of its networks."""

    tokenizer: Tokenizer
    embeddings: Sequence[Embedding] = ()
    adapters: Adapters = NO_ADAPTERS


def words_of(recipe: Recipe, vocabulary: Vocabulary, again: bool = False) -> Words:
    """The words of a recipe. again: for the second of two passes, on whose timeline fractions and numbers count from there.

    Raises KakusanError if two compositions of different size are to be blended.
    """
    wording, tokenizer = recipe.wording, vocabulary.tokenizer
    parts = [read_in(recipe, recipe.prompt, again), read_in(recipe, recipe.negative, again, True), read_in(recipe, recipe.second, again)]
    prompt, negative, second = (tuple(_line(part, vocabulary, wording) for part in each) for each in parts)
    if recipe.second and not recipe.switch and len(prompt) != len(second):
        raise KakusanError(
            f"a prompt of {len(prompt)} parts cannot be blended with one of {len(second)}; give both as many AND",
            f"{len(prompt)} 個の部分からなるプロンプトと {len(second)} 個のものは混ぜられません。AND の数を揃えてください",
        )
    manner = Manner(chunked((), tokenizer)[0], wording.weighting, wording.clip_skip - 1, wording.pad, vocabulary.adapters)
    return Words(prompt, negative, manner, second if recipe.second else (), recipe.blend, recipe.switch)


def read_in(recipe: Recipe, text: str, again: bool = False, negative: bool = False) -> tuple[Part, ...]:
    """The parts of a prompt as this recipe's sampler would go through them."""
    steps, wording = timeline(recipe.sampler, recipe.steps), recipe.wording
    hires = steps if again else None
    old, weights = wording.old_timelines, wording.weighting != "none"
    return read(text, wording.dialect, steps, hires_steps=hires, old_timelines=old, negative=negative, weights=weights).parts


class Told:
    """What the U-Net is told at each evaluation: call it with the evaluation's number, once `begin` has run.

    beside, label: what it sees besides the words (`Cond`).
    """

    def __init__(self, words: Words, beside: Tensor | None = None, label: Tensor | None = None):
        self.words, self.beside, self.label = words, beside, label
        self._contexts: dict[Line, list[Tensor]] = {}  # l d for each stretch
        self._empty: Tensor | None = None
        self._made: dict[tuple[int, ...], Composed] = {}

    def begin(self) -> "Generator[Work, list[Tensor], None]":
        """Have everything read that is needed from the start."""
        words = self.words
        yield from self._read([*words.prompt, *words.negative, *(() if words.switch else words.second)])

    def turn(self) -> "Generator[Work, list[Tensor], None]":
        """Have the second prompt read; it is the prompt from now on."""
        yield from self._read(self.words.second)
        self.words = replace(self.words, prompt=self.words.second, second=(), switch=0)
        self._made.clear()

    def __call__(self, evaluation: int) -> Composed:
        """Prompts and their weights, and the negative prompt, all equally long."""
        words = self.words
        lines = [*words.prompt, *words.negative, *(() if words.switch else words.second)]
        key = tuple(line.at(evaluation) for line in lines)
        if key not in self._made:
            contexts = [self._contexts[line][number] for line, number in zip(lines, key, strict=True)]
            count = len(words.prompt)
            prompts = _as_long(contexts[:count])
            negative, second = contexts[count], contexts[count + 1 :]
            if second:
                pairs = (self._level(list(pair)) for pair in zip(prompts, _as_long(second), strict=True))
                prompts = [torch.lerp(one, other, words.blend) for one, other in pairs]
            *prompts, negative = self._level([*prompts, negative])
            weights = tuple(line.weight for line in words.prompt)
            self._made[key] = Composed(tuple(map(self._cond, prompts)), weights, self._cond(negative))
        return self._made[key]

    def _cond(self, context: Tensor) -> Cond:
        return Cond(context, self.beside, self.label, self.words.manner.adapters.unet)

    def _read(self, lines: Iterable[Line]) -> "Generator[Work, list[Tensor], None]":
        manner, lines = self.words.manner, list(lines)
        said = {line: Counter(_filled(line, manner.empty)) for line in lines}
        chunks = dict.fromkeys(chunk for stages in said.values() for stage in stages for chunk in stage)
        reads = dict.fromkeys(read for chunk in chunks for read in readings(chunk, manner.empty, manner.emphasis))
        if self._fills({_length(line) for line in [*lines, *self.words.prompt, *self.words.negative]}):
            reads[Read(manner.empty)] = None
        reply = yield Work("text", rows(list(reads), manner))
        states = dict(zip(reads, reply, strict=True))
        self._empty = states.get(Read(manner.empty), self._empty)
        for line, stages in said.items():
            made = emphasised(list(stages), list(stages.values()), manner.empty, manner.emphasis, states.__getitem__)
            of_stage = dict(zip(stages, made, strict=True))
            self._contexts[line] = [of_stage[stage] for stage in _filled(line, manner.empty)]

    def _fills(self, lengths: set[int]) -> bool:
        """Whether prompts of so many chunks, put together, are filled up with the empty prompt."""
        return len(lengths) > 1 and (self.words.manner.pad or math.lcm(*lengths) > MOST_CHUNKS)

    def _level(self, contexts: list[Tensor]) -> list[Tensor]:
        """Contexts (l d) of one length, each of them read as if it had its own.

        Attention to the same tokens several times over is attention to them once, so what is repeated is what AUTOMATIC1111 and
        ComfyUI get, who run prompts of different lengths apart or repeat them. Where that would be very long, or by `Manner.pad`,
        the states of the empty prompt fill up what is missing: `pad_cond_uncond` in AUTOMATIC1111's sd_samplers_cfg_denoiser.py.
        """
        lengths = [len(context) // len(self.words.manner.empty.tokens) for context in contexts]
        if self._empty is not None and self._fills(set(lengths)):
            missing = (max(lengths) - length for length in lengths)
            return [torch.cat([context, self._empty.repeat(count, 1)]) for context, count in zip(contexts, missing, strict=True)]
        together = math.lcm(*lengths)
        return [context.repeat(together // n, 1) if n < together else context for context, n in zip(contexts, lengths, strict=True)]


def rows(reads: Sequence[Read], manner: Manner) -> list[tuple[Tensor] | tuple[Tensor, Reading]]:
    """What the text encoder is asked: token ids (l), and, where any of them needs it, how to read them."""
    ids = [torch.tensor(read.chunk.ids) for read in reads]
    masked, placed = any(read.seen is not None for read in reads), any(read.chunk.placed for read in reads)
    if not (masked or placed or manner.skip or manner.adapters.text is not None):
        return [(row,) for row in ids]
    width = next((place.embedding.vectors.shape[1] for read in reads for place in read.chunk.placed), 0)
    made: list[tuple[Tensor] | tuple[Tensor, Reading]] = []
    for row, asked in zip(ids, reads, strict=True):
        seen = torch.ones(len(row), dtype=torch.bool) if masked and asked.seen is None else asked.seen
        where, vectors = _vectors(asked.chunk, width) if placed else (None, None)
        made.append((row, Reading(torch.tensor(manner.skip), seen, where, vectors, manner.adapters.text)))
    return made


def _vectors(chunk: Chunk, width: int) -> tuple[Tensor, Tensor]:
    """Where embeddings stand in a chunk (l, true or false), and their vectors there (l d)."""
    where, vectors = torch.zeros(len(chunk.tokens), dtype=torch.bool), torch.zeros(len(chunk.tokens), width)
    for at, embedding in chunk.placed:
        where[at : at + len(embedding.vectors)] = True
        vectors[at : at + len(embedding.vectors)] = embedding.vectors.float()
    return where, vectors


def _filled(line: Line, empty: Chunk) -> list[tuple[Chunk, ...]]:
    """The chunks of each stretch of a line, all of them as many: the empty prompt's fill up, as AUTOMATIC1111's do."""
    return [stretch.chunks + (empty,) * (_length(line) - len(stretch.chunks)) for stretch in line.stretches]


def _length(line: Line) -> int:
    return max(len(stretch.chunks) for stretch in line.stretches)


def _as_long(contexts: list[Tensor]) -> list[Tensor]:
    """Contexts (l d) of prompts that are composed: the last state of a shorter one is repeated.

    `reconstruct_multicond_batch` in AUTOMATIC1111's prompt_parser.py.
    """
    longest = max(map(len, contexts))
    missing = [longest - len(context) for context in contexts]
    return [torch.cat([context, context[-1:].expand(n, -1)]) if n else context for context, n in zip(contexts, missing, strict=True)]


def _line(part: Part, vocabulary: Vocabulary, wording: Wording) -> Line:
    most = 1 if wording.cut else None
    made = {
        stage.pieces: chunked(stage.pieces, vocabulary.tokenizer, vocabulary.embeddings, wording.wrap, wording.moved)[:most]
        for stage in part.stages
    }
    return Line(tuple(Stretch(made[stage.pieces], stage.until) for stage in part.stages), part.weight)
