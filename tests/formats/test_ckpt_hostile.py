"""Files made to do harm are refused in one line, and nothing they ask for happens: measured by an audit hook and a canary."""

import subprocess
import sys
from pathlib import Path

import pytest

from formats.hostile import FILES, HONEST
from formats.watch import watching
from kakusan.errors import FileError
from kakusan.formats.ckpt import CkptFile, read_objects

BOMBS = ("ten million lists", "a list copied over and over", "a deep key", "ways without number")
MEASURE = """
import resource, sys
from kakusan.errors import FileError
from kakusan.formats.ckpt import CkptFile
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for file in sys.argv[1:]:
    try:
        CkptFile(file)
        raise SystemExit(f"{file} was loaded")
    except FileError:
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def load(file: Path) -> None:
    source = CkptFile(file)
    for name in source.tensors:
        source.read(name)


def test_the_watch_sees_what_it_should(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"x")
    (tmp_path / "honest.ckpt").write_bytes(HONEST)
    with watching(tmp_path / "honest.ckpt") as events:
        load(tmp_path / "honest.ckpt")
        assert events == []
        (tmp_path / "other").read_bytes()
        eval("1")
    assert [event.partition("(")[0] for event in events[:3]] == ["open", "compile", "exec"]


@pytest.mark.parametrize("name", FILES)
def test_harm_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    file, canary = tmp_path / "model.ckpt", tmp_path / "canary"
    file.write_bytes(FILES[name].make(f"touch {canary}"))
    with watching(file) as events, pytest.raises(FileError) as caught:
        load(file)
    assert events == []
    assert not canary.exists()
    assert FILES[name].said in caught.value.en
    for text in (caught.value.en, caught.value.ja):
        assert text.startswith(str(file))
        assert text.isprintable()
        assert len(text) < len(str(file)) + 300
    assert caught.value.ja != caught.value.en


def test_bombs_take_little_memory(tmp_path: Path) -> None:
    files = []
    for i, name in enumerate(BOMBS):
        files.append(tmp_path / f"{i}.ckpt")
        files[-1].write_bytes(FILES[name].make(""))
    done = subprocess.run([sys.executable, "-c", MEASURE, *map(str, files)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    largest = max(file.stat().st_size for file in files)
    assert int(done.stdout) << 10 < largest + (256 << 20)


def test_objects_are_plain_values(tmp_path: Path) -> None:
    """Whatever a file holds, what comes out is of a few known types and can be printed."""
    file = tmp_path / "model.ckpt"
    file.write_bytes(HONEST)
    value = read_objects(file)
    assert list(value) == ["w"]
    assert value["w"].read().tolist() == [[1, 2], [3, 4]]
