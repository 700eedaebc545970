"""Tensors come back bit for bit, whole or in shards; damage is tested with the folders (test_folder_weights.py)."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from kakusan.formats.safetensors import write_tensors
from kakusan.formats.weights import open_weights

TENSORS = {f"layer.{i}.weight": torch.randn(5, 7, generator=torch.Generator().manual_seed(i)) for i in range(6)}
SHAPES = {name: tuple(tensor.shape) for name, tensor in TENSORS.items()}
BYTES = 5 * 7 * 4


def read(folder: Path) -> dict[str, Tensor]:
    source = open_weights(folder, "model")
    return {name: source.read(name) for name in source.tensors}


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name].view(torch.uint8), tensor.view(torch.uint8)), name


@pytest.mark.parametrize(("limit", "files"), [(6 * BYTES, 1), (6 * BYTES - 1, 2), (2 * BYTES, 3), (1, 6)])
def test_what_is_written_is_read(limit: int, files: int, tmp_path: Path) -> None:
    write_tensors(tmp_path, "model", TENSORS, limit)
    stored = sorted(tmp_path.glob("*.safetensors"))
    assert len(stored) == files
    assert (tmp_path / "model.safetensors.index.json").exists() == (files > 1)
    assert files == 1 or stored[0].name == f"model-00001-of-0000{files}.safetensors"
    assert_same(read(tmp_path), TENSORS)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes_are_kept(dtype: torch.dtype, tmp_path: Path) -> None:
    cast = {name: tensor.to(dtype) for name, tensor in TENSORS.items()}
    write_tensors(tmp_path, "model", cast, 10**9)
    assert_same(read(tmp_path), cast)


def test_channels_last_weights_are_stored_in_the_usual_order(tmp_path: Path) -> None:
    weight = {"w": torch.randn(4, 3, 2, 2)}
    write_tensors(tmp_path, "model", {"w": weight["w"].contiguous(memory_format=torch.channels_last)}, 10**9)
    assert_same(read(tmp_path), weight)
