"""Folders of one family that keep once what they have in common."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from formats.tiny import tiny_model
from kakusan.errors import FileError
from kakusan.formats.folder import read_folder, write_folder

SHARED = ("vae", "text_encoder", "tokenizer", "image_encoder")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model that has only its U-Net, beside the one that has the rest."""
    model = tiny_model()
    write_folder(model, tmp_path / "whole", dtype=torch.float32)
    shares = {name: f"../whole/{name}" for name in SHARED}
    write_folder(replace(model, settings={**model.settings, "shares": shares}), tmp_path / "part", dtype=torch.float32)
    for name in SHARED:
        shutil.rmtree(tmp_path / "part" / name, ignore_errors=True)
    return tmp_path / "part"


def test_shared_parts_are_read_from_the_neighbour(folder: Path) -> None:
    ours, whole = read_folder(folder), read_folder(folder.parent / "whole")
    for name in ("unet", "autoencoder", "text"):
        a, b = getattr(ours, name).state_dict(), getattr(whole, name).state_dict()
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)
    assert ours.tokenizer.padded("cat") == whole.tokenizer.padded("cat")


def test_written_again_it_is_whole(folder: Path) -> None:
    write_folder(read_folder(folder), folder.parent / "again")
    assert all((folder.parent / "again" / name).is_dir() for name in SHARED)
    assert read_folder(folder.parent / "again").settings == read_folder(folder.parent / "whole").settings


def test_a_missing_neighbour_is_named(folder: Path) -> None:
    shutil.rmtree(folder.parent / "whole" / "vae")
    with pytest.raises(FileError, match="whole/vae"):
        read_folder(folder)


@pytest.mark.parametrize("place", ["/etc", "../../elsewhere/vae", 7])
def test_only_neighbours_can_share(folder: Path, place: object) -> None:
    path = folder / "kakusan.json"
    settings = json.loads(path.read_text())
    settings["shares"]["vae"] = place
    path.write_text(json.dumps(settings))
    with pytest.raises(FileError, match="shares"):
        read_folder(folder)
