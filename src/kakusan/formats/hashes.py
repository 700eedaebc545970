"""What names a file of weights: SHA-256, remembered between calls, and the short hashes that other programs show."""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import FileError

CHUNK = 1 << 20
SETTLED = 2.0
"""Seconds after its last change before a file's hash is remembered: a clock's tick may hide a change sooner than that."""

OnBytes = Callable[[int], None]
"""Told how many bytes more have been read."""


class Stamp(NamedTuple):
    """Which state of which file: one of these differs when another file lies there, or the same one was written to."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


def stamp(file: Path | int) -> Stamp:
    """The state of a file, by its path or an open descriptor. Raises OSError."""
    s = os.stat(file)
    return Stamp(s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_dev)


@contextmanager
def unchanged(*files: Path) -> Iterator[None]:
    """Raises FileError if one of the files is missing, or is swapped or written to before the block ends.

    Hashes and contents that are read within one block are of the same bytes.
    """
    try:
        before = [stamp(file) for file in files]
    except OSError as error:
        raise _unreadable(Path(str(error.filename)), error) from error
    yield
    for file, was in zip(files, before, strict=True):
        with suppress(OSError):
            if stamp(file) == was:
                continue
        raise _changed(file)


def sha256(file: Path, on_bytes: OnBytes | None = None) -> str:
    """The SHA-256 of a whole file, 64 hexadecimal digits; out of the cache if the file is as it was when last read.

    Raises FileError if it cannot be read, or is swapped or written to meanwhile.
    """
    try:
        with file.open("rb") as stream:
            now = stamp(stream.fileno())
            if known := _remembered(file, now):
                return known
            digest = _digest(stream.read, on_bytes)
            if stamp(stream.fileno()) != now or stamp(file) != now:
                raise _changed(file)
    except OSError as error:
        raise _unreadable(file, error) from error
    if time.time() - max(now.mtime_ns, now.ctime_ns) / 1e9 >= SETTLED:
        _remember(file, now, digest)
    return digest


def remember(file: Path, digest: str) -> None:
    """Keeps the SHA-256, just computed, of a file that nobody else writes to: it need not have settled."""
    with suppress(OSError):
        _remember(file, stamp(file), digest)


def short_hash(file: Path, on_bytes: OnBytes | None = None) -> str:
    """The first ten digits of a file's SHA-256: the model hash in AUTOMATIC1111's parameters ("AutoV2" on model hubs)."""
    return sha256(file, on_bytes)[:10]


def folder_hash(folder: Path, limit: int = 1 << 28) -> str:
    """The first ten digits of the SHA-256 of all safetensors files in a folder, one after the other in the order of their names.

    Empty for weights of more than `limit` bytes: reading them all would take longer than drawing.
    """
    files = sorted(folder.glob("*.safetensors"))
    if sum(file.stat().st_size for file in files) > limit:
        return ""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:10]


def old_hash(file: Path) -> str:
    """The model hash of old pictures, as AUTOMATIC1111 had it before it hashed whole files: eight digits, of 64 KiB that begin at 1 MiB.

    Raises FileError if it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            stream.seek(0x100000)
            return hashlib.sha256(stream.read(0x10000)).hexdigest()[:8]
    except OSError as error:
        raise _unreadable(file, error) from error


def content_hash(file: Path) -> str:
    """The first twelve digits of the SHA-256 of a safetensors file's tensors, without what it says about itself: a LoRA's "AutoV3".

    Raises FileError if it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            stream.seek(8 + int.from_bytes(stream.read(8), "little"))
            return _digest(stream.read, None)[:12]
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from error


def cache_file() -> Path:
    """Where hashes are remembered: $KAKUSAN_CACHE, else kakusan/ in $XDG_CACHE_HOME or ~/.cache."""
    own, shared = os.environ.get("KAKUSAN_CACHE"), os.environ.get("XDG_CACHE_HOME")
    folder = Path(own) if own else Path(shared or Path.home() / ".cache") / "kakusan"
    return folder / "hashes.json"


def _digest(read: Callable[[int], bytes], on_bytes: OnBytes | None) -> str:
    digest = hashlib.sha256()
    while chunk := read(CHUNK):
        digest.update(chunk)
        if on_bytes is not None:
            on_bytes(len(chunk))
    return digest.hexdigest()


def _remembered(file: Path, now: Stamp) -> str | None:
    entry = _cache().get(str(file.resolve()))
    if not isinstance(entry, dict) or entry.get("stamp") != list(now):
        return None
    digest = entry.get("sha256")
    return digest if isinstance(digest, str) and len(digest) == 64 and set(digest) <= set("0123456789abcdef") else None


def _remember(file: Path, now: Stamp, digest: str) -> None:
    """Adds a hash to the cache, which is written whole or not at all; where it cannot be written there is none."""
    target = cache_file()
    with suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        entries = {**_cache(), str(file.resolve()): {"stamp": list(now), "sha256": digest}}
        descriptor, part = tempfile.mkstemp(prefix=".hashes", dir=target.parent)
        try:
            with open(descriptor, "w", encoding="utf-8") as stream:
                json.dump(entries, stream, indent=1)
            os.replace(part, target)
        except OSError:
            os.unlink(part)


def _cache() -> dict[str, Any]:
    """What is remembered; nothing if it is damaged."""
    try:
        entries = json.loads(cache_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return entries if isinstance(entries, dict) else {}


def _changed(file: Path) -> FileError:
    return FileError(
        f"{file}: was changed while it was being read; try again when nothing writes to it",
        f"{file}: 読み込み中に変更されました。書き込みが終わってからもう一度お試しください",
    )


def _unreadable(file: Path, error: Exception) -> FileError:
    reason = getattr(error, "strerror", None) or str(error)
    return FileError(f"{file}: cannot be read ({reason})", f"{file}: 読み込めません ({reason})")
