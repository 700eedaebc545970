"""kakusan.formats.stream: byte for byte the safetensors library's own file, whole or not at all."""

import os
import resource
import weakref
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from formats.memory import Memory
from kakusan.errors import FileError
from kakusan.formats import stream
from kakusan.formats.convert import Cast
from kakusan.formats.merge import Blend, Merged
from kakusan.formats.safetensors import TYPES
from kakusan.formats.stream import size, write_source

MIXED = {
    "b": torch.randn(3, 5),
    "a.重み": torch.randn(7).half(),
    "half": torch.randn(2, 2).half(),
    "transposed": torch.randn(4, 6).t(),
    "number": torch.tensor(3.5),
    "nothing": torch.zeros(0, 4),
    "counts": torch.arange(5),
    "bytes": torch.arange(5, dtype=torch.uint8),
}


def test_the_same_bytes_as_the_library(tmp_path: Path) -> None:
    contiguous = {name: tensor.contiguous() for name, tensor in MIXED.items()}
    save_file(contiguous, tmp_path / "theirs", metadata={"format": "pt"})
    written: list[int] = []
    source = Memory(MIXED, {"format": "pt"})
    write_source(source, tmp_path / "ours", on_bytes=written.append)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert sum(written) == size(source)
    assert len(source.reads) == len(MIXED)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours", "theirs"]


def test_one_tensor_at_a_time_is_in_memory(tmp_path: Path) -> None:
    """Also where each is made of two others, or cast."""
    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()

    class Watched(Memory):
        def read(self, name: str) -> torch.Tensor:
            assert not [tensor for tensor in alive if tensor.shape != (8, self.tensors[name].shape[1])]
            tensor = torch.zeros(self.tensors[name].shape)
            alive.add(tensor)
            return tensor

    sources = [Watched({f"model.{i}": torch.zeros(8, i + 1) for i in range(20)}) for _ in range(2)]
    write_source(Cast(Merged(sources, Blend("weighted", 0.5)), torch.float16), tmp_path / "a")
    assert not alive


def test_every_type_is_read_back(tmp_path: Path) -> None:
    tensors = {str(dtype): torch.arange(5).to(dtype) for dtype in TYPES.values()}
    write_source(Memory(tensors), tmp_path / "a")
    found = load_file(tmp_path / "a")
    assert {name: t.dtype for name, t in found.items()} == {name: t.dtype for name, t in tensors.items()}
    assert all(torch.equal(found[name].to(torch.complex64), t.to(torch.complex64)) for name, t in tensors.items())


def test_metadata_and_no_tensors(tmp_path: Path) -> None:
    told = {"title": 'りんご "\n', "recipe": "{}"}
    write_source(Memory({}, told), tmp_path / "a")
    with safe_open(tmp_path / "a", "pt") as file:
        assert file.metadata() == told
        assert list(file.keys()) == []
    write_source(Memory({"x": torch.ones(1)}), tmp_path / "b")
    with safe_open(tmp_path / "b", "pt") as file:
        assert not file.metadata()


def test_no_file_is_overwritten_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("precious")
    with pytest.raises(FileError, match="already there"):
        write_source(Memory(MIXED), path)
    assert path.read_text() == "precious"
    with pytest.raises(FileError, match="already there"):
        write_source(Memory(MIXED), tmp_path, replace=True)
    write_source(Memory(MIXED), path, replace=True)
    assert torch.equal(load_file(path)["b"], MIXED["b"])


def test_one_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with pytest.raises(FileError, match="already there"):
        write_source(Memory({"x": torch.ones(2)}), path, on_bytes=lambda _: path.write_text("precious") and None)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), FileError("a: damaged", ""), OSError(28, "No space left on device")], ids=repr)
def test_nothing_is_left_behind(tmp_path: Path, fault: BaseException) -> None:
    class Faulty(Memory):
        def read(self, name: str) -> torch.Tensor:
            if self.reads:
                raise fault
            return super().read(name)

    path = tmp_path / "a"
    path.write_text("precious")
    with pytest.raises(FileError if isinstance(fault, OSError) else type(fault)):
        write_source(Faulty(MIXED), path, replace=True)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once foreseen, once found out: the limit on a file's size stops a write as a full disk does."""
    source = Memory({"x": torch.zeros(1 << 18)})
    with monkeypatch.context() as patch:
        patch.setattr(stream.shutil, "disk_usage", lambda _: os.terminal_size((1, 1)) and type("Usage", (), {"free": 1000}))
        with pytest.raises(FileError, match=r"needs 1,048,\d+ bytes, the disk has 1,000 free"):
            write_source(source, tmp_path / "a")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, hard))
    try:
        with pytest.raises(FileError, match=r"a: cannot be written \(File too large\)"):
            write_source(source, tmp_path / "a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileError, match=r"a: cannot be written \(No such file"):
        write_source(source, tmp_path / "none" / "a")


def test_what_safetensors_cannot_hold_is_refused(tmp_path: Path) -> None:
    for tensors, said in (
        ({"c": torch.zeros(2, dtype=torch.complex128)}, "c holds complex128 numbers"),
        ({"__metadata__": torch.zeros(2)}, "__metadata__ is no name"),
        ({"\ud800": torch.zeros(2)}, r"'\\ud800', which is no character"),
    ):
        with pytest.raises(FileError, match=said):
            write_source(Memory(tensors), tmp_path / "a")
    monster = Memory({"x": torch.zeros(2)}, {"a": "x" * stream.LONGEST_HEADER})
    with pytest.raises(FileError, match="too many tensors or too much metadata"):
        write_source(monster, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_lies_about_a_tensor_is_a_fault_of_ours(tmp_path: Path) -> None:
    source = Memory({"x": torch.zeros(2)})
    source.numbers = {"x": torch.zeros(3)}
    with pytest.raises(ValueError, match="x was announced as"):
        write_source(source, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
