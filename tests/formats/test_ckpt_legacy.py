"""Honest torch files of every age give the very bits that were saved, and the same as a safetensors file with these weights."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from formats.legacy import TORCH_REFUSES, VARIANTS
from kakusan.formats.ckpt import CkptFile
from kakusan.formats.safetensors import SafetensorsFile
from kakusan.formats.source import Source


def read_all(source: Source) -> dict[str, Tensor]:
    return {name: source.read(name) for name in source.tensors}


def assert_same_bits(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert list(found) == list(wanted)
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype, name
        assert found[name].shape == tensor.shape, name
        assert torch.equal(found[name].contiguous().flatten().view(torch.uint8), tensor.contiguous().flatten().view(torch.uint8)), name


@pytest.mark.parametrize("name", VARIANTS)
def test_weights_are_those_that_were_saved(name: str, tmp_path: Path) -> None:
    wanted = VARIANTS[name](tmp_path / "model.ckpt")
    source = CkptFile(tmp_path / "model.ckpt")
    assert {key: tuple(stored) for key, stored in source.tensors.items()} == {key: (tuple(t.shape), t.dtype) for key, t in wanted.items()}
    assert_same_bits(read_all(source), wanted)

    apart = {key: tensor.contiguous().clone() for key, tensor in wanted.items()}
    safetensors.torch.save_file(apart, tmp_path / "model.safetensors")
    other = read_all(SafetensorsFile(tmp_path / "model.safetensors"))
    assert_same_bits({key: other[key] for key in wanted}, read_all(source))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("name", VARIANTS)
def test_torch_agrees(name: str, tmp_path: Path) -> None:
    VARIANTS[name](tmp_path / "model.ckpt")
    if name in TORCH_REFUSES:
        with pytest.raises(Exception, match=r"[Ww]eights_only|[Uu]nsupported|expected 'ascii'|codec"):
            torch.load(tmp_path / "model.ckpt", weights_only=True, map_location="cpu")
        return
    value = torch.load(tmp_path / "model.ckpt", weights_only=True, map_location="cpu")
    while isinstance(inner := value.get("state_dict", value.get("model")), dict):
        value = inner
    theirs = {}
    stack = [("", value)]
    while stack:
        prefix, group = stack.pop(0)
        for key, one in group.items():
            if isinstance(one, Tensor):
                theirs[prefix + key] = one.detach()
            elif isinstance(one, dict):
                stack.append((f"{prefix}{key}.", one))
    assert_same_bits(read_all(CkptFile(tmp_path / "model.ckpt")), theirs)
