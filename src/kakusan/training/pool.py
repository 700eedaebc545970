"""Pictures rendered once and kept on disk: numbers 0 ... n-1 of a deterministic stream, as uint8, mapped into memory.

n pictures, s side in pixels.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.pictures import WORLDS, Chance, Pictures, Scene, caption, load_pack
from ..messages import tr
from .log import Progress
from .workers import spread

HELD_OUT = 512  # the last pictures of a pool are never trained on
CHUNK = 256
MADE_FROM_IT = ("latents.npy", "captions.npy")  # by later stages; they go when the pictures are made again
READ = 40_000  # so many scenes are enough to know every word and every wording


@dataclass(frozen=True)
class Stream:
    """Names a stream of pictures, so that another process can make the same one."""

    pack: str
    world: str
    seed: int
    size: int

    def open(self) -> Pictures:
        """The generator of the stream."""
        return Pictures(load_pack(Path(self.pack)), WORLDS[self.world], self.seed)


class Pool:
    """`count` pictures of a stream and their scenes; captions are made anew at each use.

    device: where the pictures lie; on a CPU they stay on the disk, mapped into memory. workers: processes that render.
    """

    def __init__(self, folder: Path, stream: Stream, count: int, device: str = "cpu", workers: int = 1):
        self.stream, self.device, self.workers = stream, torch.device(device), workers
        self.pictures = opened(stream)
        self.images = rendered(folder / "pictures.npy", stream, count, workers).to(self.device)  # n 3 s s
        self.count = count - HELD_OUT
        self._scenes: dict[int, Scene] = {}

    def batch(self, indices: Tensor) -> Tensor:
        """Pictures by number (n 3 s s, float32, -1 to 1)."""
        return self.images[indices.to(self.device)].float() / 127.5 - 1

    def scene(self, index: int) -> Scene:
        """What a picture shows."""
        if index not in self._scenes:
            self._scenes[index] = self.pictures.spec(index)
        return self._scenes[index]

    def held_out(self, n: int, concepts: Sequence[str] = ()) -> Tensor:
        """Numbers of the first n pictures (of those concepts) that training never sees."""
        return torch.tensor(self._of(concepts, range(self.count, len(self.images)))[:n])

    def showing(self, concepts: Sequence[str]) -> list[int]:
        """Numbers of the pictures for training whose first thing is one of the concepts; all, if none are named."""
        return self._of(concepts, range(self.count))

    def _of(self, concepts: Sequence[str], numbers: range) -> list[int]:
        return [i for i in numbers if not concepts or self.scene(i).things[0].concept in concepts]

    def captions(self, indices: Tensor, generator: torch.Generator, japanese: float = 0.35) -> list[str]:
        """One fresh caption for each picture, in Japanese with the given probability."""
        seeds = torch.randint(0, 1 << 62, (len(indices),), generator=generator, device=generator.device).tolist()
        dice = torch.rand(len(indices), generator=generator, device=generator.device).tolist()
        return [
            caption(self.scene(i), "ja" if die < japanese else "en", Chance(seed, i)).text
            for i, die, seed in zip(indices.tolist(), dice, seeds, strict=True)
        ]

    def texts(self, per_picture: int = 4, concepts: Sequence[str] = ()) -> Iterator[str]:
        """Captions of the pool, or of its beginning, in both languages; of those concepts, if any are named."""
        for index in self._of(concepts, range(min(len(self.images), READ))):
            for language in ("en", "ja"):
                yield from self.pictures.captions(self.scene(index), language, per_picture // 2)


def rendered(path: Path, stream: Stream, count: int, workers: int) -> Tensor:
    """The pictures file (n 3 s s, uint8), made where it is missing, or where the generator would make others today."""
    scenes = hashlib.sha256(repr([opened(stream).spec(i) for i in range(CHUNK)]).encode()).hexdigest()
    facts = {"world": stream.world, "seed": stream.seed, "size": stream.size, "count": count, "scenes": scenes}
    label = path.with_suffix(".json")
    if not (label.exists() and path.exists() and json.loads(label.read_text()) == facts):
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in (label, *(path.parent / name for name in MADE_FROM_IT)):
            stale.unlink(missing_ok=True)
        fresh = path.with_suffix(".new.npy")
        render(fresh, stream, count, workers)
        os.replace(fresh, path)
        label.write_text(json.dumps(facts))
    return torch.from_numpy(np.load(path, mmap_mode="c"))


def render(path: Path, stream: Stream, count: int, workers: int) -> None:
    """Write the pictures file, a chunk at a time."""
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, 3, stream.size, stream.size)).flush()
    parts = [Part(path, stream, start, min(count, start + CHUNK)) for start in range(0, count, CHUNK)]
    progress, began = Progress(tr("pictures", "絵")), time.monotonic()
    for done in spread(render_part, parts, workers):
        progress.show(done, count, (time.monotonic() - began) / done * (count - done), {})
    progress.close()


@dataclass(frozen=True)
class Part:
    """Pictures start ... stop - 1 of a file."""

    path: Path
    stream: Stream
    start: int
    stop: int


def render_part(part: Part) -> int:
    """Render one part into its place in the file; returns where it ends."""
    pictures = opened(part.stream)
    image = pictures.render([pictures.spec(i) for i in range(part.start, part.stop)], part.stream.size).image
    out = np.load(part.path, mmap_mode="r+")
    out[part.start : part.stop] = (image * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
    return part.stop


@cache
def opened(stream: Stream) -> Pictures:
    """The generator of a stream, once for each process."""
    return stream.open()
