"""kakusan.formats.hashes: against hashlib, and that a remembered hash is never another file's."""

import hashlib
import json
import os
import struct
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kakusan.errors import FileError
from kakusan.formats import hashes
from kakusan.formats.hashes import content_hash, folder_hash, old_hash, sha256, short_hash, unchanged

LONG_AGO = time.time() - 1000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own; files settle at once, as a new file's ctime cannot be set back."""
    monkeypatch.setenv("KAKUSAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hashes, "SETTLED", -1e12)
    return tmp_path / "cache/hashes.json"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.safetensors"
    path.write_bytes(os.urandom(3 << 20))
    return path


def read(path: Path) -> tuple[str, int]:
    """The hash, and how many bytes were read for it."""
    read: list[int] = []
    return sha256(path, read.append), sum(read)


def test_hashes_are_those_of_hashlib(file: Path) -> None:
    data = file.read_bytes()
    whole = hashlib.sha256(data).hexdigest()
    assert sha256(file) == whole
    assert short_hash(file) == whole[:10]
    assert old_hash(file) == hashlib.sha256(data[1 << 20 : (1 << 20) + (64 << 10)]).hexdigest()[:8]
    assert folder_hash(file.parent) == whole[:10]
    assert folder_hash(file.parent, limit=1000) == ""


def test_content_hash_does_not_depend_on_metadata(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4)}
    for name in ("x", "y"):
        save_file(tensors, tmp_path / name, metadata={"name": name * 100})
    data = (tmp_path / "x").read_bytes()
    header = struct.unpack("<Q", data[:8])[0]
    assert content_hash(tmp_path / "x") == hashlib.sha256(data[8 + header :]).hexdigest()[:12] == content_hash(tmp_path / "y")
    assert sha256(tmp_path / "x") != sha256(tmp_path / "y")
    (tmp_path / "x").write_bytes(b"\xff" * 20)
    with pytest.raises(FileError, match="x: cannot be read"):
        content_hash(tmp_path / "x")


def test_second_time_nothing_is_read(file: Path, cache: Path) -> None:
    digest, count = read(file)
    assert count == 3 << 20
    assert read(file) == (digest, 0)
    link = file.with_name("link")
    link.symlink_to(file)
    assert read(link) == (digest, 0)
    assert [entry["sha256"] for entry in json.loads(cache.read_text()).values()] == [digest]


@pytest.mark.parametrize("change", ["size", "bytes", "bytes and time", "swap"])
def test_a_changed_file_is_read_again(file: Path, change: str) -> None:
    before = file.stat()
    first = sha256(file)
    data = bytearray(file.read_bytes())
    if change == "size":
        data.pop()
    data[100] ^= 1
    target = file.with_name("other") if change == "swap" else file
    with target.open("wb" if change == "swap" else "r+b") as stream:
        stream.truncate(len(data))
        stream.write(data)
    if change != "bytes":
        os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    if change == "swap":
        target.replace(file)
    second = sha256(file)
    assert second == hashlib.sha256(data).hexdigest() != first


def test_a_file_just_written_is_not_remembered(file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "SETTLED", 2.0)
    sha256(file)
    assert not cache.exists()
    monkeypatch.setattr(time, "time", lambda: LONG_AGO + 2000)
    sha256(file)
    assert cache.exists()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"%s": 5}', b'{"%s": {"stamp": [], "sha256": "no"}}', b"[" * 100000], ids=range(7)
)
def test_a_damaged_cache_is_no_cache(file: Path, cache: Path, content: bytes) -> None:
    cache.parent.mkdir()
    cache.write_bytes(content.replace(b"%s", str(file).encode()))
    assert sha256(file) == hashlib.sha256(file.read_bytes()).hexdigest()
    assert read(file)[1] == 0


def test_a_forged_digest_of_another_shape_is_not_shown(file: Path, cache: Path) -> None:
    sha256(file)
    entries = json.loads(cache.read_text())
    entries[str(file)]["sha256"] = "\x1b[31m" + "0" * 59
    cache.write_text(json.dumps(entries))
    assert sha256(file) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_an_unwritable_cache_is_no_error(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").write_text("a file where the folder would be")
    monkeypatch.setenv("KAKUSAN_CACHE", str(tmp_path / "taken"))
    assert sha256(file) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_cache_lies_in_the_users_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hashes.cache_file() == tmp_path / "cache/hashes.json"
    monkeypatch.delenv("KAKUSAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert hashes.cache_file() == Path("/x/kakusan/hashes.json")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert hashes.cache_file() == Path("/home/someone/.cache/kakusan/hashes.json")


def test_a_swap_while_hashing_is_noticed(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(bytes(3 << 20))

    def swap(_: int) -> None:
        if other.exists():
            other.replace(file)

    with pytest.raises(FileError, match="changed while it was being read"):
        sha256(file, swap)
    with pytest.raises(FileError, match="changed while"), unchanged(file):
        file.write_bytes(b"shorter")
    with pytest.raises(FileError, match="changed while"), unchanged(file):
        file.unlink()
    for reader in (sha256, old_hash, content_hash):
        with pytest.raises(FileError, match=r"a\.safetensors: cannot be read \(No such file"):
            reader(file)
    with pytest.raises(FileError, match=r"a\.safetensors: cannot be read"), unchanged(file):
        pytest.fail("entered")
