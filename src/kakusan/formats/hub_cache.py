"""The cache of model repositories that huggingface_hub and the programs built on it share, and what its files must hold.

models--ORG--NAME/refs/main                     which commit a branch or tag is
                  snapshots/COMMIT/FILE         links to
                  blobs/HASH                    the contents: HASH is a SHA-256, or git's hash of a small file
"""

import hashlib
import os
import re
import shutil
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import hashes

COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256, GIT = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Contents:
    """What a file must hold. size: in bytes, None if nobody says. digest: SHA-256 or git's hash, else a name that proves nothing."""

    size: int | None
    digest: str

    @property
    def provable(self) -> bool:
        """Whether the digest is one."""
        return bool(SHA256.fullmatch(self.digest) or GIT.fullmatch(self.digest))

    def are_in(self, file: Path, on_bytes: hashes.OnBytes | None = None) -> bool:
        """Whether a file holds just this; a SHA-256 once computed is remembered while the file stays as it is."""
        size = file.stat().st_size
        if self.size not in (None, size):
            return False
        if SHA256.fullmatch(self.digest):
            return hashes.sha256(file, on_bytes) == self.digest
        if GIT.fullmatch(self.digest):
            return hashlib.sha1(b"blob %d\0" % size + file.read_bytes(), usedforsecurity=False).hexdigest() == self.digest
        return True


class Repository:
    """One repository's place in the cache; nothing is made before something is put there."""

    def __init__(self, id: str, root: Path | None = None):
        self.id = id
        self.root = root or cache_root()
        self.folder = self.root / f"models--{id.replace('/', '--')}"

    def commit_of(self, revision: str) -> str | None:
        """The commit that a branch or tag was when it was last looked up, or the commit itself."""
        if COMMIT.fullmatch(revision):
            return revision
        with suppress(OSError, ValueError):
            commit = (self.folder / "refs" / revision).read_text(encoding="ascii").strip()
            return commit if COMMIT.fullmatch(commit) else None
        return None

    def snapshot(self, commit: str) -> Path:
        """The folder of one commit's files."""
        return self.folder / "snapshots" / commit

    def blob(self, contents: Contents) -> Path:
        """Where contents are kept."""
        return self.folder / "blobs" / re.sub(r"[^0-9A-Za-z._-]", "_", contents.digest)

    def lock(self, contents: Contents) -> Path:
        """The lock that huggingface_hub takes for the same contents."""
        folder = self.root / ".locks" / self.folder.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self.blob(contents).name}.lock"

    def held(self, commit: str) -> list[str]:
        """The names of a snapshot's files that are there."""
        folder = self.snapshot(commit)
        return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())

    def link(self, commit: str, name: str, contents: Contents) -> Path:
        """Puts contents that are in the cache where a snapshot has them; a copy where there are no links.

        What stands there meanwhile is the old or the new, never nothing: others may be reading. The caller holds the contents' lock.
        """
        pointer, blob = self.snapshot(commit) / name, self.blob(contents)
        pointer.parent.mkdir(parents=True, exist_ok=True)
        fresh = blob.with_name(f"{blob.name}.{os.getpid()}.{threading.get_ident()}.incomplete")
        try:
            fresh.symlink_to(os.path.relpath(blob, pointer.parent))
        except OSError:
            shutil.copyfile(blob, fresh)
        fresh.replace(pointer)
        return pointer

    def remember(self, revision: str, commit: str) -> None:
        """Notes which commit a branch or tag is, once all of it that is needed is there; not in a cache that cannot be written to."""
        if self.commit_of(revision) == commit:
            return
        ref = self.folder / "refs" / revision
        with suppress(OSError):
            ref.parent.mkdir(parents=True, exist_ok=True)
            part = ref.with_name(f".{ref.name}.{os.getpid()}")
            part.write_text(commit, encoding="ascii")
            part.replace(ref)


def expected(pointer: Path) -> Contents:
    """What a cached file must hold by the name of what it links to."""
    return Contents(None, pointer.resolve().name)


def cache_root() -> Path:
    """The folder all repositories lie in, as the environment has it now: HF_HUB_CACHE, else hub/ in HF_HOME."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := os.environ.get(name):
            return Path(value).expanduser()
    if value := os.environ.get("HF_HOME"):
        return Path(value).expanduser() / "hub"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface" / "hub"


def offline() -> bool:
    """Whether the environment forbids asking the hub."""
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
