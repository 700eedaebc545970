"""One file of the hub's into the cache: gone on with where a download stopped, and let in only if it holds what it must."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from . import hashes
from .hub_cache import SHA256, Contents, Repository
from .hub_errors import damaged, disk, interrupted, refusal, status_of

TRIES = 5
PAUSE = 1.0  # seconds before the second try, twice as many before each further one
BAR = "huggingface_hub.http_get"

At = Callable[[int], None]
"""Told how many bytes of a file are there."""


@dataclass(frozen=True)
class Wanted:
    """A file of a repository, where it is fetched from, and what it must hold."""

    name: str
    url: str
    contents: Contents


def fetch(place: Repository, commit: str, wanted: Wanted, headers: Mapping[str, str], at: At) -> Path:
    """Fetch a file, unless its contents are in the cache under another name.

    Raises KakusanError if the hub refuses; FileError if the file does not arrive whole in several tries, or if the disk refuses.
    """
    from huggingface_hub.utils import WeakFileLock

    blob = place.blob(wanted.contents)
    try:
        with WeakFileLock(place.lock(wanted.contents)):
            blob.parent.mkdir(parents=True, exist_ok=True)
            if not (blob.is_file() and wanted.contents.are_in(blob)):
                _download(place.id, commit, wanted, blob, headers, at)
            return place.link(commit, wanted.name, wanted.contents)
    except OSError as error:
        raise disk(error, blob.parent) from error


def _download(repo: str, commit: str, wanted: Wanted, blob: Path, headers: Mapping[str, str], at: At) -> None:
    part = blob.with_name(f"{blob.name}.kakusan.incomplete")
    broken: Exception | None = None
    for attempt in range(TRIES):
        time.sleep(PAUSE * 2 ** (attempt - 1) if attempt else 0)
        broken = _go_on(wanted, part, headers, at)
        if broken is not None and (final := refusal(broken, repo, commit)) is not None:
            raise final from broken
        size = part.stat().st_size
        if broken is None and wanted.contents.are_in(part):
            part.replace(blob)
            if SHA256.fullmatch(wanted.contents.digest):
                hashes.remember(blob, wanted.contents.digest)
            return
        if broken is None or status_of(broken) == 416 or (wanted.contents.size is not None and size >= wanted.contents.size):
            part.unlink()  # what is there is wrong; a part that is merely short is gone on with
    raise interrupted(repo, wanted.name, broken) if broken else damaged(repo, wanted.name, TRIES)


def _go_on(wanted: Wanted, part: Path, headers: Mapping[str, str], at: At) -> Exception | None:
    """Fetch what a part of a file still lacks; returns what broke it off. Raises OSError for the disk's refusals alone."""
    from huggingface_hub.file_download import http_get

    with part.open("ab") as file, _silent():
        watched = _Watched(file, at)
        try:
            http_get(
                wanted.url,
                watched,  # type: ignore[arg-type]
                resume_size=file.tell(),
                headers=dict(headers),
                expected_size=wanted.contents.size,
                displayed_filename=wanted.name,
            )
        except Exception as error:  # which, differs with the library's version and the HTTP library under it
            if watched.refused is not None:
                raise watched.refused from error
            return error
    return None


class _Watched:
    """A file being written, that tells how far it is and keeps the disk's refusals apart from the network's."""

    def __init__(self, file: BinaryIO, at: At):
        self.file, self.at = file, at
        self.refused: OSError | None = None
        self.tell, self.seek, self.truncate = file.tell, file.seek, file.truncate

    def write(self, data: bytes) -> int:
        try:
            count = self.file.write(data)
            self.file.flush()
        except OSError as error:
            self.refused = error
            raise
        self.at(self.file.tell())
        return count


@contextmanager
def _silent() -> Iterator[None]:
    """Without the library's own bars and warnings: ours say the same once."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    logger = logging.getLogger("huggingface_hub")
    level, shown = logger.level, not are_progress_bars_disabled(BAR)
    logger.setLevel(logging.CRITICAL)
    if shown:
        disable_progress_bars(BAR)
    try:
        yield
    finally:
        logger.setLevel(level)
        if shown:
            enable_progress_bars(BAR)
