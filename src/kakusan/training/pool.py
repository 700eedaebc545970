"""Pictures rendered once and kept on disk: numbers 0 ... n-1 of a deterministic stream, as uint8, mapped into memory."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data.pictures import WORLDS, Chance, Pictures, Scene, caption, load_pack
from ..messages import tr
from .log import Progress

HELD_OUT = 512  # the last pictures of a pool are never trained on
CHUNK = 256


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
            caption(self.scenes[i], "ja" if die < japanese else "en", Chance(seed, i)).text
            for i, die, seed in zip(indices.tolist(), dice, seeds, strict=True)
        ]

    def texts(self, per_picture: int = 4) -> Iterator[str]:
        """Captions of the whole pool in both languages, for training a tokenizer."""
        for scene in self.scenes:
            for language in ("en", "ja"):
                yield from self.pictures.captions(scene, language, per_picture // 2)


def _rendered(path: Path, stream: Stream, count: int) -> npt.NDArray[np.uint8]:
    """The pictures file, made where it is missing, or where the generator would make others today."""
    pictures = stream.open()
    scenes = hashlib.sha256(repr([pictures.spec(i) for i in range(CHUNK)]).encode()).hexdigest()
    facts = {"world": stream.world, "seed": stream.seed, "size": stream.size, "count": count, "scenes": scenes}
    label = path.with_suffix(".json")
    if not (label.exists() and json.loads(label.read_text()) == facts):
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new.npy")
        _render(fresh, stream, count)
        os.replace(fresh, path)
        label.write_text(json.dumps(facts))
    images: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return images


def _render(path: Path, stream: Stream, count: int) -> None:
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, 3, stream.size, stream.size))
    pictures, progress = stream.open(), Progress(tr("pictures", "絵"))
    began = time.monotonic()
    for start in range(0, count, CHUNK):
        stop = min(count, start + CHUNK)
        image = pictures.render([pictures.spec(i) for i in range(start, stop)], stream.size).image
        out[start:stop] = (image * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
        progress.show(stop, count, (time.monotonic() - began) / stop * (count - stop), {})
    progress.close()
    out.flush()
