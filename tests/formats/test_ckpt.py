"""Torch files as sources: what is read and what is not, where the numbers lie, and what stands beside them."""

import gc
import resource
import time
from pathlib import Path

import pytest
import torch

from formats import opcodes as op
from formats.legacy import VARIANTS, weights
from kakusan.errors import FileError
from kakusan.formats.ckpt import CkptFile, read_objects
from kakusan.formats.pickled_tensors import LazyTensor
from kakusan.formats.pickles import Symbol
from kakusan.formats.source import Stored


def save(file: Path, value: object) -> CkptFile:
    torch.save(value, file)
    return CkptFile(file)


def test_facts_beside_the_weights(tmp_path: Path) -> None:
    VARIANTS["lightning_v1"](tmp_path / "model.ckpt")
    source = CkptFile(tmp_path / "model.ckpt")
    assert source.metadata == {"epoch": "28", "global_step": "470000", "pytorch-lightning_version": "1.4.2"}
    assert source.tensors["betas"] == Stored((7,), torch.float32)
    assert source.home("betas") == source.file == tmp_path / "model.ckpt"


def test_texts_that_could_harm_a_terminal_are_no_metadata(tmp_path: Path) -> None:
    source = save(tmp_path / "m.pt", {"state_dict": {"w": torch.ones(2)}, "a": "x\ny", "b": "\x1b[2J", "c": "x" * 999, "d": True, "e": 0.5})
    assert source.metadata == {"d": "True", "e": "0.5"}


@pytest.mark.parametrize("new", [True, False])
def test_what_training_kept_is_not_read(new: bool, tmp_path: Path) -> None:
    """Its numbers may even be others than were saved: nobody looks."""
    file = tmp_path / "model.ckpt"
    kept = torch.full((64,), 7.0)
    torch.save({"optimizer_states": [{"state": {0: {"exp_avg": kept}}}], "state_dict": weights()}, file, _use_new_zipfile_serialization=new)
    data, raw = file.read_bytes(), kept.numpy().tobytes()
    assert data.count(raw) == 1
    file.write_bytes(data.replace(raw, b"\xff" * len(raw)))
    source = CkptFile(file)
    assert list(source.tensors) == list(weights())
    assert all(torch.equal(source.read(name), tensor) for name, tensor in weights().items())


def test_numbers_stay_in_the_map(tmp_path: Path) -> None:
    """Torch aligns them to 64 bytes: none is copied, and what is written to one reaches neither the file nor another source."""
    file = tmp_path / "model.ckpt"
    made = {f"w{i}": torch.randn(1 + 1100 * i) for i in range(5)}
    source = save(file, made)
    before = file.read_bytes()
    places = {name: before.index(tensor.numpy().tobytes()) for name, tensor in made.items()}
    starts = {source.read(name).data_ptr() - place for name, place in places.items()}
    assert len(starts) == 1
    tensors = [source.read(name).zero_() for name in made]
    assert file.read_bytes() == before
    assert torch.equal(CkptFile(file).read("w0"), made["w0"])
    del tensors
    gc.collect()
    assert all(torch.equal(source.read(name), tensor) for name, tensor in made.items())  # let go, and read from the file again


def test_copies_are_made_once_for_all_views(tmp_path: Path) -> None:
    """Old files begin their numbers anywhere; many views of such a storage share one copy while any of them lives."""
    file = tmp_path / "model.ckpt"
    base = torch.arange(300.0)
    for padding in range(8):
        torch.save({"x" * padding: 1, "v": {str(i): base[i:] for i in range(300)}}, file, _use_new_zipfile_serialization=False)
        source = CkptFile(file)
        views = [source.read(name) for name in source.tensors]
        assert len({view.untyped_storage().data_ptr() for view in views}) == 1
        assert all(torch.equal(view, base[i:]) for i, view in enumerate(views))


def test_more_tensors_than_files_may_be_open(tmp_path: Path) -> None:
    source = save(tmp_path / "model.ckpt", {f"w{i}": torch.full((3,), float(i)) for i in range(1831)})
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[0], 256), limits[1]))
    try:
        held = [source.read(name) for name in source.tensors]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert [int(tensor[0]) for tensor in held] == list(range(1831))


def test_opening_takes_no_time(tmp_path: Path) -> None:
    """As many tensors as a full v1 checkpoint has: 0.07 s of CPU where this was written."""
    torch.save({"state_dict": {f"model.diffusion_model.block.{i}.weight": torch.zeros(2, 2) for i in range(1831)}}, tmp_path / "model.ckpt")
    start = time.process_time()
    assert len(CkptFile(tmp_path / "model.ckpt").tensors) == 1831
    assert time.process_time() - start < 0.5


def test_objects_of_an_embedding(tmp_path: Path) -> None:
    VARIANTS["embedding"](tmp_path / "りんご.pt")
    value = read_objects(tmp_path / "りんご.pt")
    assert (value["name"], value["step"], list(value["string_to_param"])) == ("りんご", 500, ["*"])
    vectors = value["string_to_param"]["*"]
    assert isinstance(vectors, LazyTensor)
    assert (vectors.shape, vectors.dtype) == ((2, 3), torch.float32)
    assert torch.equal(vectors.read(), torch.arange(6.0).view(2, 3))


def test_objects_of_any_kind(tmp_path: Path) -> None:
    value = {
        "list": [1, 2.5, None, True, "りんご"],
        "tuple": (1,),
        768: [torch.ones(2)],
        "dtype": torch.float16,
        "size": torch.Size((2, 3)),
        "set": {1, 2},
    }
    torch.save(value, tmp_path / "m.pt")
    found = read_objects(tmp_path / "m.pt")
    assert isinstance(found["dtype"], Symbol)
    assert found["dtype"].name == "torch.float16"
    assert torch.equal(found[768][0].read(), torch.ones(2))
    assert {key: found[key] for key in ("list", "tuple", "size", "set")} == {
        "list": value["list"],
        "tuple": (1,),
        "size": (2, 3),
        "set": {1, 2},
    }


WEIGHT = torch.ones(2)
SHAPES = {
    "wrapped twice": ({"model": {"module": {"w": WEIGHT}}}, ["w"]),
    "state_dict in a wrapper": ({"generator": {"state_dict": {"w": WEIGHT}}}, ["w"]),
    "one group beside settings": ({"params": {"w": WEIGHT}, "config": {"lr": 1}, "list": [1, 2]}, ["w"]),
    "a group in a state_dict": ({"state_dict": {"a": WEIGHT, "b": {"c": WEIGHT, "d": {"e": WEIGHT}}}}, ["a", "b.c", "b.d.e"]),
    "plain values among weights": ({"a": WEIGHT, "step": 5, "name": "x", "none": None, "sizes": [1, 2], "empty": {}}, ["a"]),
    "a tensor called epoch": ({"a": WEIGHT, "epoch": WEIGHT}, ["a", "epoch"]),
    "whole numbers as keys": ({0: WEIGHT, 1: WEIGHT}, ["0", "1"]),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_where_weights_are_found(shape: str, tmp_path: Path) -> None:
    value, names = SHAPES[shape]
    assert list(save(tmp_path / "m.pt", value).tensors) == names


REFUSED = {
    "a tensor alone": (WEIGHT, "its weights are a LazyTensor, not a dictionary"),
    "a list": ([WEIGHT], "its weights are a list, not a dictionary"),
    "nothing": ({}, "it holds no tensors"),
    "nothing but numbers": ({"epoch": 1, "state_dict": {"a": 1}}, "it holds no tensors"),
    "a list of tensors": ({"a": WEIGHT, "b": [WEIGHT]}, "'b' is a list, not a tensor"),
    "a state_dict that is none": ({"state_dict": 5}, "its weights are a int, not a dictionary"),
    "one name twice": ({"a.b": WEIGHT, "a": {"b": WEIGHT}}, "'a.b' is there twice"),
    "a number and its text": ({0: WEIGHT, "0": WEIGHT}, "'0' is there twice"),
    "a key that is no name": ({None: WEIGHT}, "is no name of a tensor"),
    "a name without end": ({"x" * 600: WEIGHT}, "is no name of a tensor"),
    "a number of another kind": (
        {"a": torch.ones(2, dtype=torch.complex64)},
        "'torch.ComplexFloatStorage' is not part of any model format",
    ),
    "8-bit floats": ({"a": torch.ones(2).to(torch.float8_e4m3fn)}, "'torch._utils._rebuild_tensor_v3' is not part of any model format"),
    "a whole network": (torch.nn.Linear(2, 2), "'torch.nn.modules.linear.Linear' is not part of any model format"),
}


@pytest.mark.parametrize("shape", REFUSED)
@pytest.mark.parametrize("new", [True, False])
def test_what_holds_no_weights_is_refused(shape: str, new: bool, tmp_path: Path) -> None:
    value, said = REFUSED[shape]
    torch.save(value, tmp_path / "m.pt", _use_new_zipfile_serialization=new)
    with pytest.raises(FileError) as caught:
        CkptFile(tmp_path / "m.pt")
    assert said in caught.value.en or "something is kept outside that is no storage" in caught.value.en  # the old form of a network
    assert caught.value.en.startswith(f"{tmp_path / 'm.pt'}: refused: ")


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    for name, said in {"nothing": "cannot be read (No such file or directory)", "folder": "not an ordinary file", "empty": "empty"}.items():
        with pytest.raises(FileError) as caught:
            CkptFile(tmp_path / name)
        assert caught.value.en == f"{tmp_path / name}: {said}"
        assert caught.value.exit_code == 3


def test_the_byte_is_that_of_the_instruction(tmp_path: Path) -> None:
    """The place in the message is where a disassembler shows the name."""
    attack = op.mapping({"a": op.NONE}) + op.named("posix", "system")
    (tmp_path / "m.ckpt").write_bytes(op.archive(attack))
    at = op.pickled(attack).index(b"cposix")
    with pytest.raises(FileError, match=rf"m.ckpt: refused: data.pkl at byte {at}: 'posix.system' is not part of any model format"):
        CkptFile(tmp_path / "m.ckpt")
