"""A job's replies on disk, so that a run killed in its middle goes on from there, bit for bit.

A file is MAGIC, then frames; a frame is a length (8 bytes), the CRC-32 of that length and the payload (4 bytes), and
the payload. The first payload is the caller's recipe as JSON, each further one a reply as safetensors: tensors "0",
"1", ... for its rows, and the network's name as metadata. All numbers are little-endian. Nothing in it is executed.
"""

import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
from safetensors import SafetensorError

from ..errors import FileError
from ..types import Task
from .job import Job, Reply, replay

MAGIC = b"kakusan journal 1\n"
LENGTH, CHECK = struct.Struct("<Q"), struct.Struct("<I")
HEAD = LENGTH.size + CHECK.size


@dataclass(frozen=True)
class Recorded:
    """What a journal holds. `end`: where its last whole reply ends, in bytes; `torn`: bytes after that, which are lost."""

    recipe: dict[str, Any]
    replies: list[Reply]
    end: int
    torn: int


class Journal:
    """Appends a job's replies to a file: `engine.submit(task, journal=Journal.create(path, recipe))`.

    sync_every: every so many replies, wait until they are on the disk itself. 0, the default, leaves that to the
    operating system: a killed process loses nothing, a power cut the last few replies, which are then computed again.
    The file is open only while it is written, so that thousands of jobs can have one.
    """

    def __init__(self, path: Path, sync_every: int = 0) -> None:
        self.path, self.sync_every = path, sync_every
        self._unsynced = 0

    @classmethod
    def create(cls, path: str | Path, recipe: Mapping[str, Any], *, sync_every: int = 0) -> "Journal":
        """Begin a file with what the task can be made from again, as JSON. Raises FileError if the file exists or cannot be written."""
        payload = json.dumps(dict(recipe), ensure_ascii=False).encode()
        journal = cls(Path(path), sync_every)
        journal._write(MAGIC + frame(payload), "xb")
        return journal

    def append(self, reply: Reply) -> None:
        """Write one reply. Raises FileError if the disk does not take it."""
        rows = {str(i): row.contiguous() for i, row in enumerate(reply.rows)}
        self._write(frame(safetensors.torch.save(rows, metadata={"model": reply.model})), "r+b")  # not "ab": it would make a file anew

    def _write(self, data: bytes, mode: Literal["xb", "r+b"]) -> None:
        self._unsynced += 1
        try:
            with self.path.open(mode) as file:
                file.seek(0, os.SEEK_END)
                file.write(data)
                file.flush()
                if self.sync_every and self._unsynced >= self.sync_every:
                    os.fsync(file.fileno())
                    self._unsynced = 0
        except OSError as error:
            raise cannot_write(self.path, error) from error


def resume(
    path: str | Path,
    make_task: Callable[[dict[str, Any]], Task],
    *,
    priority: float = 0,
    reproducible: bool = False,
    device: str = "cpu",
    sync_every: int = 0,
) -> Job:
    """The job of a journal as it stood after the last whole reply (`job.calls` of them), for `Engine.add`.

    make_task(recipe) makes the same task anew. A torn tail is cut off, and further replies go to the same file.
    device: where the networks had put their replies. Raises FileError where `read` does, or if the file cannot be
    written; KakusanError if the task asks for something else than what was recorded.
    """
    path, recorded = Path(path), read(path, device)
    job = replay(lambda: make_task(recorded.recipe), recorded.replies, priority=priority, reproducible=reproducible)
    if not job.settled:
        try:
            os.truncate(path, recorded.end)
        except OSError as error:
            raise cannot_write(path, error) from error
        job.journal = Journal(path, sync_every)
    return job


def read(path: str | Path, device: str = "cpu") -> Recorded:
    """The recipe and every whole reply of a journal. What a crash left half-written at its end is left out.

    Raises FileError if the file cannot be read, is not a journal, or has a recipe or a reply that is whole but not ours.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror})", f"{path}: 読めません ({error.strerror})") from error
    frames = list(whole_frames(data)) if data.startswith(MAGIC) else []
    if not frames:
        raise FileError(
            f"{path}: not a journal, or one without its first record; start the job anew",
            f"{path}: ジャーナルではないか、最初の記録がありません。ジョブを最初からやり直してください",
        )
    try:
        recipe = dict(json.loads(frames[0][0]))
        replies = [parse(payload, device) for payload, _ in frames[1:]]
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise FileError(
            f"{path}: a record is not a recipe or reply of ours ({error}); start the job anew",
            f"{path}: 記録がレシピや返答として読めません ({error})。ジョブを最初からやり直してください",
        ) from error
    end = frames[-1][1]
    return Recorded(recipe, replies, end, len(data) - end)


def whole_frames(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Each payload and where its frame ends, up to the first frame that is cut off or damaged: behind it nothing is certain."""
    at = len(MAGIC)
    while at + HEAD <= len(data):
        (length,) = LENGTH.unpack_from(data, at)
        (check,) = CHECK.unpack_from(data, at + LENGTH.size)
        payload = data[at + HEAD : at + HEAD + length]
        if len(payload) != length or check != checksum(payload):
            return
        at += HEAD + length
        yield payload, at


def frame(payload: bytes) -> bytes:
    """A payload with its length and checksum in front."""
    return LENGTH.pack(len(payload)) + CHECK.pack(checksum(payload)) + payload


def checksum(payload: bytes) -> int:
    """CRC-32 of length and payload: with the length in it, a run of zeros is not a frame."""
    return zlib.crc32(payload, zlib.crc32(LENGTH.pack(len(payload))))


def parse(payload: bytes, device: str) -> Reply:
    """A reply from its safetensors bytes, whose header is a length (8 bytes) and JSON."""
    rows = safetensors.torch.load(payload)
    (length,) = LENGTH.unpack_from(payload)
    model = json.loads(payload[LENGTH.size : LENGTH.size + length])["__metadata__"]["model"]
    return Reply(model, [rows[str(i)].to(device) for i in range(len(rows))])


def cannot_write(path: Path, error: OSError) -> FileError:
    """The error of a journal that does not take more."""
    return FileError(
        f"{path}: the journal cannot be written ({error.strerror}); give a new file on a disk with room",
        f"{path}: ジャーナルに書けません ({error.strerror})。空きのあるディスクの新しいファイルを指定してください",
    )
