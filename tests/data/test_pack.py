"""The sprite pack: made from archives, saved and read back, refused when it is damaged."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from data.sprites import synthetic_pack
from kakusan.data.pictures import Pack, load_pack, save_pack, sources
from kakusan.data.pictures.pack import PIXELS, cut_out
from kakusan.errors import FileError


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_a_saved_pack_is_the_same_when_read(tmp_path: Path) -> None:
    pack = synthetic_pack(("3d", "flat"))
    save_pack(pack, tmp_path / "deep/sprites.npz")
    again = load_pack(tmp_path / "deep/sprites.npz")
    assert list(again.sprites) == list(pack.sprites)
    for name, pixels in pack.sprites.items():
        seen = pixels[..., 3] > 0  # WebP forgets the colour of what cannot be seen
        np.testing.assert_array_equal(again.sprites[name][..., 3], pixels[..., 3])
        np.testing.assert_array_equal(again.sprites[name][seen], pixels[seen])
    assert not list(tmp_path.rglob("*.partial"))


def test_a_missing_damaged_or_old_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="kakusan pictures"):
        load_pack(tmp_path / "nothing.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(FileError, match=r"bad\.npz"):
        load_pack(tmp_path / "bad.npz")
    (tmp_path / "empty.npz").write_bytes(b"")
    with pytest.raises(FileError, match=r"empty\.npz"):
        load_pack(tmp_path / "empty.npz")
    save_pack(Pack(dict(list(synthetic_pack().sprites.items())[:2])), tmp_path / "old.npz")
    with np.load(tmp_path / "old.npz") as stored:
        names = json.dumps({"version": 0, "sprites": []}).encode()
        np.savez(tmp_path / "old.npz", sheet=stored["sheet"], names=np.frombuffer(names, np.uint8))
    with pytest.raises(FileError, match="version 0"):
        load_pack(tmp_path / "old.npz")


def test_a_cut_out_stands_on_the_ground_in_the_middle() -> None:
    drawing = Image.new("RGBA", (256, 256))
    ImageDraw.Draw(drawing).rectangle((100, 20, 219, 79), fill=(10, 200, 30, 255))  # 120 wide, 60 high
    alpha = cut_out(drawing)[..., 3]
    assert alpha.shape == (PIXELS, PIXELS)
    rows, columns = np.nonzero(alpha > 128)
    assert (rows.min(), rows.max()) == (64, 127)
    assert (columns.min(), columns.max()) == (0, 127)


def test_drawings_are_found_by_code_point_in_both_kinds_of_package(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("RGBA", (32, 32), (255, 0, 0, 255)).save(file, "WEBP")
    loose = archive(tmp_path / "loose.tgz", {"package/assets/2764-fe0f.webp": file.getvalue(), "package/assets/1f34e-200d.webp": b"RIFF"})
    found = sources.drawings(sources.SOURCES[0], loose, ["2764", "1f34e"])
    assert list(found) == ["2764"]
    assert found["2764"].size == (256, 256)
    assert found["2764"].mode == "RGBA"

    pytest.importorskip("resvg_py")
    icons = {"icons": {"heart": {"body": '<rect width="32" height="16" fill="#0f0"/>'}}, "aliases": {"love": {"parent": "heart"}}}
    icons |= {"width": 32, "height": 32}
    members = {"package/icons.json": json.dumps(icons).encode(), "package/chars.json": json.dumps({"2764-fe0f": "love"}).encode()}
    found = sources.drawings(sources.SOURCES[2], archive(tmp_path / "icons.tgz", members), ["2764"])
    assert np.asarray(found["2764"])[[40, 200], 128].tolist() == [[0, 255, 0, 255], [0, 0, 0, 0]]


def test_a_damaged_archive_and_a_missing_client_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.tgz").write_bytes(b"no archive")
    with pytest.raises(FileError, match=r"broken\.tgz"):
        sources.drawings(sources.SOURCES[0], tmp_path / "broken.tgz", ["2764"])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileError, match="npm is needed"):
        sources.fetch(tmp_path / "archives")


def test_fetch_leaves_what_is_there_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for source in sources.SOURCES:
        (tmp_path / source.archive).touch()
    assert [path.name for path in sources.fetch(tmp_path)] == [source.archive for source in sources.SOURCES]
