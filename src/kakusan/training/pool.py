"""Pictures rendered once and kept on disk: numbers 0 ... n-1 of a deterministic stream, as uint8, mapped into memory."""

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.pictures import WORLDS, Pictures, Scene
from ..messages import tr

HELD_OUT = 512  # the last pictures of a pool are never trained on
CHUNK = 512


@dataclass(frozen=True)
class Stream:
    """Names a stream of pictures, so that another process can make the same one."""

    pack: str
    world: str
    seed: int
    size: int

    def open(self) -> Pictures:
        """The generator of the stream."""
        return Pictures(self.pack, WORLDS[self.world], self.seed)


class Pool:
    """`count` pictures of a stream (n 3 s s, uint8) and their scenes; captions are made anew at each use."""

    def __init__(self, folder: Path, stream: Stream, count: int):
        self.stream, self.pictures = stream, stream.open()
        self.images = _rendered(folder / "pictures.npy", stream, count)
        self.scenes: list[Scene] = [self.pictures.spec(i) for i in range(count)]
        self.count = count - HELD_OUT

    def batch(self, indices: Tensor) -> Tensor:
        """Pictures by number (n 3 s s, float32, -1 to 1)."""
        return torch.from_numpy(self.images[indices.numpy()]).float() / 127.5 - 1

    def held_out(self, n: int) -> Tensor:
        """Numbers of the first n pictures that training never sees."""
        return torch.arange(self.count, self.count + n)

    def captions(self, indices: Tensor, generator: torch.Generator, japanese: float = 0.35) -> list[str]:
        """One fresh caption for each picture, in Japanese with the given probability."""
        seeds = torch.randint(0, 1 << 62, (len(indices),), generator=generator).tolist()
        dice = torch.rand(len(indices), generator=generator).tolist()
        return [
            self.pictures.caption(self.scenes[i], "ja" if chance < japanese else "en", seed)
            for i, chance, seed in zip(indices.tolist(), dice, seeds, strict=True)
        ]

    def texts(self, per_picture: int = 4) -> Iterator[str]:
        """Captions of the whole pool in both languages, for training a tokenizer."""
        for i, scene in enumerate(self.scenes):
            for k in range(per_picture):
                yield self.pictures.caption(scene, "ja" if k % 2 else "en", i * per_picture + k)


def _rendered(path: Path, stream: Stream, count: int) -> np.ndarray:
    """The pictures file, rendered by all cores where it is missing or of another stream."""
    facts = {"world": stream.world, "seed": stream.seed, "size": stream.size, "count": count}
    label = path.with_suffix(".json")
    if label.exists() and json.loads(label.read_text()) == facts:
        return np.load(path, mmap_mode="r")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new.npy")
    out = np.lib.format.open_memmap(fresh, mode="w+", dtype=np.uint8, shape=(count, 3, stream.size, stream.size))
    starts = list(range(0, count, CHUNK))
    workers = max(1, len(os.sched_getaffinity(0)))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_open, initargs=(stream,)) as executor:
        jobs = executor.map(_render, starts, [min(count, s + CHUNK) for s in starts])
        for start, block in zip(starts, chain(jobs), strict=True):
            out[start : start + len(block)] = block
            print(
                tr(f"\rpictures: {start + len(block)}/{count}", f"\r絵: {start + len(block)}/{count}"), end="", file=sys.stderr, flush=True
            )
    print(file=sys.stderr)
    out.flush()
    os.replace(fresh, path)
    label.write_text(json.dumps(facts))
    return np.load(path, mmap_mode="r")


_worker: tuple[Pictures, int] | None = None


def _open(stream: Stream) -> None:
    global _worker
    torch.set_num_threads(1)
    _worker = stream.open(), stream.size


def _render(start: int, stop: int) -> np.ndarray:
    assert _worker is not None
    pictures, size = _worker
    parts = [pictures.render([pictures.spec(i) for i in range(a, min(stop, a + 128))], size).image for a in range(start, stop, 128)]
    return (torch.cat(parts) * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
