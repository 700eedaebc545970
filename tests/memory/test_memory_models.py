"""Models found by what a picture tells of their weights: files and folders, moved and renamed, of the same name and not the same."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kakusan.formats.hashes import folder_hash, old_hash, sha256
from kakusan.memory.models import find, matches, weights
from kakusan.memory.reading import Memory
from kakusan.memory.record import Record
from kakusan.tasks.recipe import Recipe


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files and a folder, of different weights."""
    monkeypatch.setenv("KAKUSAN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "models"
    for i, name in enumerate(("a.safetensors", "sub/b.safetensors", "c/unet/model.safetensors", "c/vae/model.safetensors")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        save_file({"w": torch.full((300_000,), float(i))}, folder / name)
    (folder / "c/model_index.json").write_text("{}")
    for part in ("unet", "vae"):
        (folder / f"c/{part}/config.json").write_text("{}")
    return folder


def told(name: str = "", short: str = "", whole: dict[str, str] | None = None) -> Memory:
    recipe = Recipe("", "", 8, 8, 1, "euler", "karras", 1.0, 0, model=name, model_hash=short)
    return Memory(recipe, "", record=None if whole is None else Record(recipe, model=whole))


def test_by_hashes_of_every_length(models: Path) -> None:
    b = models / "sub/b.safetensors"
    for short in (sha256(b)[:10], sha256(b), old_hash(b), sha256(b)[:12].upper()):
        found = find(told("other name", short), (), models)
        assert found is not None
        assert (found.path, found.exact) == (b, True)


def test_by_our_own_record_wherever_it_lies(models: Path) -> None:
    whole = weights(models / "c")
    assert list(whole) == ["unet/model.safetensors", "vae/model.safetensors"]
    shutil.move(models / "c", models / "sub/renamed")
    found = find(told(whole=whole), (), models)
    assert found is not None
    assert (found.path, found.exact) == (models / "sub/renamed", True)
    assert weights(models / "a.safetensors") == {"a.safetensors": sha256(models / "a.safetensors")}
    assert matches(told(whole={"x": sha256(models / "a.safetensors")}), models / "a.safetensors")
    assert matches(told(short=folder_hash(models / "sub/renamed/unet")), models / "sub/renamed")


def test_names_are_the_last_resort_and_say_so(models: Path) -> None:
    assert find(told("B"), (), models) == (models / "sub/b.safetensors", None)
    assert find(told("b", "0" * 10), (), models) == (models / "sub/b.safetensors", False)
    assert find(told("nothing", "0" * 10), (), models) is None
    assert find(told("b"), (), models / "none") is None
    assert matches(told("a"), models / "a.safetensors") is None


def test_networks_within_a_model_are_no_models(models: Path) -> None:
    assert find(told("model"), (), models) is None


def test_weights_that_are_not_there() -> None:
    assert weights(None) == {}
    assert weights(Path("nowhere")) == {}
