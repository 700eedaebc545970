"""Where a training step's captions come from, as token numbers: made anew at every use, or read from a table on the device.

n pictures, k captions of each, l tokens.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.pictures import Chance, caption
from ..prompts.tokenizer import Tokenizer
from .pool import CHUNK, Pool, Stream, opened
from .strangers import estranged
from .workers import spread

LANGUAGES = ("en", "ja", "en")  # of the captions in a table, in turns


class Captions(Protocol):
    """Gives the captions of pictures."""

    def ids(self, indices: Tensor, generator: torch.Generator, drop: float = 0.0) -> Tensor:
        """Token numbers (n l) of one caption of each picture, cut after the longest; with probability `drop`, of no words."""
        ...


class FreshCaptions:
    """Captions made anew at every use: the widest choice of wordings, where a step takes longer than its captions.

    strange: the share of captions that get words which mean nothing (see strangers.py).
    """

    def __init__(self, pool: Pool, tokenizer: Tokenizer, strange: float = 0.0):
        self.pool, self.tokenizer, self.strange = pool, tokenizer, strange

    def ids(self, indices: Tensor, generator: torch.Generator, drop: float = 0.0) -> Tensor:
        """See Captions."""
        captions = self.pool.captions(indices, generator)
        if self.strange:
            seeds = torch.randint(0, 1 << 62, (len(captions),), generator=generator, device=generator.device).tolist()
            captions = [strangely(text, self.strange, Chance(seed, 0)) for text, seed in zip(captions, seeds, strict=True)]
        if drop:
            dropped = torch.rand(len(captions), generator=generator, device=generator.device) < drop
            captions = ["" if silent else text for text, silent in zip(captions, dropped.tolist(), strict=True)]
        return trimmed(token_ids(self.tokenizer, captions), self.tokenizer.end).to(generator.device)


class StoredCaptions:
    """Some captions of every picture, made once and kept on the device: a step costs no Python and never waits for the CPU."""

    def __init__(self, pool: Pool, tokenizer: Tokenizer, folder: Path, many: int, strange: float = 0.0):
        self.table = caption_table(pool, folder, many, strange).to(pool.device)  # n k l
        self.silence = token_ids(tokenizer, [""])[:, : self.table.shape[2]].to(pool.device)  # 1 l

    def ids(self, indices: Tensor, generator: torch.Generator, drop: float = 0.0) -> Tensor:
        """See Captions."""
        device, count = generator.device, len(indices)
        ids = self.table[indices, torch.randint(self.table.shape[1], (count,), generator=generator, device=device)].long()
        if drop:
            dropped = torch.rand(count, 1, generator=generator, device=device) < drop
            ids = torch.where(dropped, self.silence, ids)
        return ids


def token_ids(tokenizer: Tokenizer, captions: list[str]) -> Tensor:
    """Padded token numbers (n l)."""
    return torch.tensor([tokenizer.padded(text) for text in captions])


def trimmed(ids: Tensor, end: int) -> Tensor:
    """Token numbers (n l) cut after the last caption's end: in a causal tower, what follows cannot change what is before."""
    return ids[:, : int((ids == end).int().argmax(1).max()) + 1]


def padded(ids: Tensor, tokenizer: Tokenizer) -> Tensor:
    """Token numbers (n l) filled up to the tokenizer's length, as the finished model will see them."""
    return F.pad(ids, (0, tokenizer.length - ids.shape[1]), value=tokenizer.pad)


def strangely(text: str, share: float, chance: Chance) -> str:
    """The caption, in this share of cases with words in it that mean nothing."""
    return estranged(text, chance) if chance.happens(share) else text


def caption_table(pool: Pool, folder: Path, many: int, strange: float) -> Tensor:
    """Captions of every picture (n k l, int32), kept in `folder/captions.npy`; the tokenizer lies in the same folder."""
    path, count = folder / "captions.npy", len(pool.images)
    if not path.exists():
        parts = [
            Part(pool.stream, str(folder / "tokenizer"), many, strange, start, min(count, start + 16 * CHUNK))
            for start in range(0, count, 16 * CHUNK)
        ]
        tables = [torch.from_numpy(table) for table in spread(table_part, parts, pool.workers)]
        longest = max(table.shape[2] for table in tables)
        pad = Tokenizer.from_folder(folder / "tokenizer").pad
        fresh = path.with_suffix(".new.npy")
        np.save(fresh, torch.cat([F.pad(table, (0, longest - table.shape[2]), value=pad) for table in tables]).numpy())
        fresh.replace(path)
    return torch.from_numpy(np.load(path))


@dataclass(frozen=True)
class Part:
    """Pictures start ... stop - 1 of a stream, the tokenizer's folder, how many captions each gets, and how many of them strange."""

    stream: Stream
    tokenizer: str
    many: int
    strange: float
    start: int
    stop: int


def table_part(part: Part) -> npt.NDArray[np.int32]:
    """Captions of some pictures (n k l), cut after the longest."""
    pictures, tokenizer = opened(part.stream), Tokenizer.from_folder(Path(part.tokenizer))
    texts = []
    for index in range(part.start, part.stop):
        scene, chance = pictures.spec(index), Chance(part.stream.seed + (1 << 33), index)
        for i in range(part.many):
            text = caption(scene, LANGUAGES[i % len(LANGUAGES)], chance).text
            texts.append(strangely(text, part.strange, chance) if part.strange else text)
    ids = trimmed(token_ids(tokenizer, texts), tokenizer.end).to(torch.int32)
    return ids.view(part.stop - part.start, part.many, -1).numpy()
