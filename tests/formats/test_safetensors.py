"""Tensors come back bit for bit, whole or in shards; any damage is one line that names the file and the tensor."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from kakusan.errors import FileError
from kakusan.formats.safetensors import read_tensors, write_tensors

TENSORS = {f"layer.{i}.weight": torch.randn(5, 7, generator=torch.Generator().manual_seed(i)) for i in range(6)}
SHAPES = {name: tuple(tensor.shape) for name, tensor in TENSORS.items()}
BYTES = 5 * 7 * 4


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
    assert_same(read_tensors(tmp_path, "model", SHAPES), TENSORS)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes_are_kept_or_changed_as_asked(dtype: torch.dtype, tmp_path: Path) -> None:
    cast = {name: tensor.to(dtype) for name, tensor in TENSORS.items()}
    write_tensors(tmp_path, "model", cast, 10**9)
    assert_same(read_tensors(tmp_path, "model", SHAPES), cast)
    assert_same(read_tensors(tmp_path, "model", SHAPES, dtype=torch.float32), {name: tensor.float() for name, tensor in cast.items()})


def test_channels_last_weights_are_stored_in_the_usual_order(tmp_path: Path) -> None:
    weight = {"w": torch.randn(4, 3, 2, 2)}
    write_tensors(tmp_path, "model", {"w": weight["w"].contiguous(memory_format=torch.channels_last)}, 10**9)
    assert_same(read_tensors(tmp_path, "model", {"w": (4, 3, 2, 2)}), weight)


def test_names_of_other_days_are_understood_and_some_left_out(tmp_path: Path) -> None:
    write_tensors(tmp_path, "model", {"old.a": torch.ones(1), "position_ids": torch.arange(3)}, 10**9)
    modern = {"old.a": "new.a", "position_ids": None}
    assert read_tensors(tmp_path, "model", {"new.a": (1,)}, lambda name: modern[name]).keys() == {"new.a"}


def test_the_half_precision_variant_is_read_where_there_is_no_other(tmp_path: Path) -> None:
    write_tensors(tmp_path, "model.fp16", TENSORS, 10**9)
    assert_same(read_tensors(tmp_path, "model", SHAPES), TENSORS)


def save(folder: Path, tensors: dict[str, Tensor]) -> None:
    safetensors.torch.save_file(tensors, folder / "model.safetensors")


def cut(folder: Path, size: int) -> None:
    save(folder, TENSORS)
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:size])


def shard(folder: Path, index: object = None, without: str | None = None, extra: bool = False) -> None:
    write_tensors(folder, "model", TENSORS, 2 * BYTES)
    if index is not None:
        (folder / "model.safetensors.index.json").write_text(json.dumps(index) if not isinstance(index, str) else index)
    if without:
        (folder / without).unlink()
    if extra:
        safetensors.torch.save_file(
            {name: TENSORS["layer.0.weight"].clone() for name in ("layer.4.weight", "layer.5.weight", "layer.0.weight")},
            folder / "model-00003-of-00003.safetensors",
        )


LAST = "layer.5.weight"
DAMAGES = {
    "nothing there": (lambda f: None, "model.safetensors: the file is missing"),
    "a tensor missing": (lambda f: save(f, {k: v for k, v in TENSORS.items() if k != LAST}), f"{LAST} is missing"),
    "tensors missing": (lambda f: save(f, dict(list(TENSORS.items())[:4])), r"layer.4.weight is missing \(\+1\)"),
    "one too many": (lambda f: save(f, TENSORS | {"lora.down": torch.ones(1)}), "lora.down is not a tensor of this model"),
    "a name of two lines": (lambda f: save(f, TENSORS | {"a\nb": torch.ones(1)}), r"'a\\nb' is not a tensor of this model"),
    "another shape": (lambda f: save(f, TENSORS | {LAST: torch.ones(7, 5)}), rf"{LAST} has shape \[7, 5\] instead of \[5, 7\]"),
    "whole numbers": (lambda f: save(f, TENSORS | {LAST: torch.ones(5, 7, dtype=torch.int8)}), f"{LAST} holds int8 numbers"),
    "8-bit floats": (lambda f: save(f, TENSORS | {LAST: torch.ones(5, 7).to(torch.float8_e4m3fn)}), f"{LAST} holds float8_e4m3fn"),
    "empty": (lambda f: cut(f, 0), "damaged or cut short"),
    "cut in the header": (lambda f: cut(f, 40), "damaged or cut short"),
    "cut in the numbers": (lambda f: cut(f, -1), "damaged or cut short"),
    "a web page": (lambda f: (f / "model.safetensors").write_text("<!DOCTYPE html>" * 99), "damaged or cut short"),
    "a folder": (lambda f: (f / "model.safetensors").mkdir(), "model.safetensors: the file is missing"),
    "a shard missing": (lambda f: shard(f, without="model-00002-of-00003.safetensors"), "00002-of-00003.safetensors: the file is missing"),
    "broken index": (lambda f: shard(f, "{"), "index.json: not valid JSON"),
    "index of nothing": (lambda f: shard(f, {"weight_map": {}}), '"weight_map" is missing or empty'),
    "index elsewhere": (lambda f: shard(f, {"weight_map": {LAST: "../x.safetensors"}}), f"{LAST} is in '../x.safetensors'"),
    "index of numbers": (lambda f: shard(f, {"weight_map": {LAST: 3}}), f"{LAST} is in 3"),
    "index promises more": (
        lambda f: shard(f, {"weight_map": dict.fromkeys([*TENSORS, "x"], "model-00001-of-00003.safetensors")}),
        "layer.2.weight is missing, though the index promises it",
    ),
    "not in the index": (lambda f: shard(f, extra=True), "layer.0.weight is not in the index"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named(damage: str, tmp_path: Path) -> None:
    make, said = DAMAGES[damage]
    make(tmp_path)
    with pytest.raises(FileError, match=said) as caught:
        read_tensors(tmp_path, "model", SHAPES)
    assert caught.value.en.startswith(str(tmp_path))
    assert caught.value.ja.startswith(str(tmp_path))
    assert "\n" not in caught.value.en + caught.value.ja
    assert caught.value.ja != caught.value.en
