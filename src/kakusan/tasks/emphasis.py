"""Emphasis: what the weights of words do to the text encoder's states.

s stages of a prompt, l tokens, d width of a state.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..prompts.chunks import NOWHERE, Chunk
from .wording import Emphasis


class Read(NamedTuple):
    """A chunk as the text encoder is to read it. hidden: the piece whose tokens the others do not see, `NOWHERE` for none."""

    chunk: Chunk
    hidden: int = NOWHERE

    @property
    def seen(self) -> Tensor | None:
        """Which tokens (l, true or false) are seen; None for all."""
        if self.hidden == NOWHERE:
            return None
        return torch.tensor([token.piece != self.hidden for token in self.chunk.tokens])


def readings(chunk: Chunk, empty: Chunk, emphasis: Emphasis) -> list[Read]:
    """What must be read for the states of one chunk."""
    if emphasis not in ("comfyui", "compel") or not weighted(chunk):
        return [Read(chunk)]
    return [Read(chunk), Read(empty), *(Read(chunk, piece) for piece in (lowered([chunk]) if emphasis == "compel" else ()))]


def weighted(chunk: Chunk) -> bool:
    """Whether any token counts for more or less than it does by itself."""
    return any(weight != 1 for weight in chunk.weights)


def lowered(chunks: Sequence[Chunk]) -> dict[int, float]:
    """The pieces that count for less than 1, with their weights."""
    return {token.piece: token.weight for chunk in chunks for token in chunk.own if token.weight < 1}


def emphasised(
    stages: Sequence[Sequence[Chunk]], times: Sequence[int], empty: Chunk, emphasis: Emphasis, states: Callable[[Read], Tensor]
) -> list[Tensor]:
    """The states (l d) of each stage of a prompt, all chunks after one another; every stage has as many chunks.

    times: how often each stage comes. states: the text encoder's (l d) of what `readings` asks for.
    """
    columns = [_column(column, times, empty, emphasis, states) for column in zip(*stages, strict=True)]
    made = [torch.cat(parts) for parts in zip(*columns, strict=True)]
    return [_compel(z, stage, empty, states) for z, stage in zip(made, stages, strict=True)] if emphasis == "compel" else made


def _column(
    chunks: Sequence[Chunk], times: Sequence[int], empty: Chunk, emphasis: Emphasis, states: Callable[[Read], Tensor]
) -> list[Tensor]:
    """The states (l d) of the chunks that are at the same place in each stage."""
    plain = [states(Read(chunk)) for chunk in chunks]
    if emphasis in ("none", "ignore") or not any(map(weighted, chunks)):
        return plain
    if emphasis in ("comfyui", "compel"):
        return [_between(z, chunk, states(Read(empty))) if weighted(chunk) else z for z, chunk in zip(plain, chunks, strict=True)]
    scaled = [z * _weights(chunk) for z, chunk in zip(plain, chunks, strict=True)]
    return scaled if emphasis == "no_norm" else _restored(scaled, plain, times)


def _restored(scaled: Sequence[Tensor], plain: Sequence[Tensor], times: Sequence[int]) -> list[Tensor]:
    """States (l d) of all stages with the mean, over all of them, that they had: `EmphasisOriginal` of AUTOMATIC1111's sd_emphasis.py.

    There the states of all stages of a prompt are one tensor.
    """
    before, after = (torch.stack([n * z.mean() for z, n in zip(column, times, strict=True)]).sum() for column in (plain, scaled))
    return [z * (before / after) for z in scaled]


def _between(z: Tensor, chunk: Chunk, empty: Tensor) -> Tensor:
    """From the states of the empty prompt, through those of the prompt at weight 1, on as far as the weight says, token by token.

    ComfyUI (`encode_token_weights` in comfy/sd1_clip.py); Compel does the same first (`build_weighted_embedding_tensor` in
    embeddings_provider.py).
    """
    weight = _weights(chunk)
    return torch.where(weight == 1, z, empty + weight * (z - empty))


def _compel(z: Tensor, chunks: Sequence[Chunk], empty: Chunk, states: Callable[[Read], Tensor]) -> Tensor:
    """States (l d) mixed with those of the prompt without each piece that counts for less than 1, which is masked out.

    At weight 0.5 both count the same, at 0 only the prompt without it counts: tan((1 - weight) pi / 2) to 1.
    `get_embeddings_for_weighted_prompt_fragments` in Compel's embeddings_provider.py, with its default, DownweightMode.MASK.
    """
    mixed, total = z, 1.0
    for piece, weight in lowered(chunks).items():
        share = math.tan((1 - max(weight, 1e-5)) * math.pi / 2)
        parts = (_between(states(Read(chunk, piece if _has(chunk, piece) else NOWHERE)), chunk, states(Read(empty))) for chunk in chunks)
        mixed, total = mixed + share * torch.cat(list(parts)), total + share
    return mixed / total


def _has(chunk: Chunk, piece: int) -> bool:
    return any(token.piece == piece for token in chunk.own)


def _weights(chunk: Chunk) -> Tensor:
    return torch.tensor(chunk.weights)[:, None]  # l 1
