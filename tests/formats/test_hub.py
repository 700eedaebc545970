"""Models from a hub over real HTTP: whatever the line does, no file is let in that is not what the hub has."""

import errno
import hashlib
import json
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import huggingface_hub
import pytest
import torch

import kakusan
from formats.families import tiny_variant
from formats.hub_server import Hub, Repo
from formats.test_folder import assert_same_weights
from kakusan.cli import main
from kakusan.errors import FileError, KakusanError
from kakusan.formats import hub_cache, hub_fetch, hub_progress
from kakusan.formats.folder import read_component, read_folder, write_folder
from kakusan.formats.hub import snapshot, split_id
from kakusan.formats.licence import Terms
from kakusan.formats.model import Model

FAULTS = ("cut", "flip", "page", "500", "deaf", "longer", "empty", "429", "503", "cut deaf", "cut flip", "cut 500", "flip cut", "page page")
WEIGHTS = random.Random(1).randbytes(30_000)
SMALL = {"config.json": b'{"a": 1}', "model.safetensors": WEIGHTS, "README.md": b"---\nlicense: mit\n---\nsmall", "run.py": b"import os"}
OPENRAIL = {"license": "creativeml-openrail-m"}


class Place(NamedTuple):
    hub: Hub
    cache: Path


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_variant("")


@pytest.fixture(scope="module")
def files(model: Model, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("model") / "tiny"
    write_folder(model, path, torch.float32)
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.fixture
def place(files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAKUSAN_CACHE", str(tmp_path / "own"))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)  # what arrives in smaller pieces is lost with the line
    with Hub({"org/tiny": Repo(files), "org/small": Repo(dict(SMALL))}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield Place(hub, tmp_path / "home" / "hub")


def assert_sound(cache: Path, repo: Repo, id: str) -> None:
    """Every blob is what it is called, and every file of a snapshot is the repository's."""
    for blob in (cache / f"models--{id.replace('/', '--')}" / "blobs").glob("*"):
        data = blob.read_bytes()
        git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        assert blob.name in (hashlib.sha256(data).hexdigest(), git) or blob.name.endswith(".incomplete")
    folder = cache / f"models--{id.replace('/', '--')}" / "snapshots" / repo.commit
    for file in (file for file in folder.rglob("*") if file.is_file()):
        assert file.read_bytes() == repo.files[file.relative_to(folder).as_posix()]


def one_line(error: KakusanError) -> str:
    assert "\n" not in error.en + error.ja
    assert error.en != error.ja
    return error.en


def test_a_model_is_fetched_once_and_read(place: Place, model: Model) -> None:
    found = snapshot("org/tiny")
    assert found == place.cache / "models--org--tiny" / "snapshots" / place.hub.repos["org/tiny"].commit
    again = read_folder(found)
    for name in ("unet", "autoencoder", "text"):
        assert_same_weights(getattr(again, name), getattr(model, name), torch.float32)
    assert sorted(place.hub.fetched()) == sorted(place.hub.repos["org/tiny"].files)
    place.hub.asked.clear()
    assert snapshot("org/tiny") == found
    assert place.hub.fetched() == []
    assert_sound(place.cache, place.hub.repos["org/tiny"], "org/tiny")


def test_load_takes_an_id_and_nothing_else_asks_a_hub(place: Place, tmp_path: Path, model: Model) -> None:
    write_folder(model, tmp_path / "local")
    kakusan.load(str(tmp_path / "local"))
    read_component(tmp_path / "local", "vae")
    with pytest.raises(KakusanError):
        kakusan.load(str(tmp_path / "nowhere.safetensors"))
    assert place.hub.asked == []
    assert_same_weights(kakusan.load("org/tiny").model.text, model.text, torch.float32)
    assert place.hub.fetched()


def test_only_what_is_needed_is_fetched(place: Place) -> None:
    repo = place.hub.repos["org/small"]
    repo.files |= {"model.fp16.safetensors": WEIGHTS[:9000], "pytorch_model.bin": WEIGHTS, "model.ckpt": WEIGHTS, "model.onnx": WEIGHTS}
    snapshot("org/small")
    assert sorted(place.hub.fetched()) == ["README.md", "config.json", "model.safetensors"]
    snapshot("org/small", variant="fp16")
    assert place.hub.fetched()[3:] == ["model.fp16.safetensors"]
    snapshot("org/tiny", subfolder="vae")
    assert place.hub.fetched()[4:] == ["vae/config.json", "vae/diffusion_pytorch_model.safetensors", "README.md"]


def test_single_files_by_name(place: Place) -> None:
    place.hub.repos["org/files"] = Repo({"a.safetensors": WEIGHTS, "sub/b.ckpt": WEIGHTS[:5000], "sub/b.yaml": b"model: 1"})
    for found in (snapshot("org/files/sub/b.ckpt"), snapshot("org/files", file="sub/b.ckpt")):
        assert found.read_bytes() == WEIGHTS[:5000]
        assert found.with_suffix(".yaml").read_bytes() == b"model: 1"
    assert snapshot("org/files").name == "a.safetensors"  # safetensors go before the others
    assert snapshot("org/tiny/unet/config.json".replace("config.json", "diffusion_pytorch_model.safetensors")).is_file()


def test_ids() -> None:
    assert split_id("org/name") == ("org/name", None)
    assert split_id("Org-1/na.me_v1-5/sub/x.safetensors") == ("Org-1/na.me_v1-5", "sub/x.safetensors")
    for wrong in ("name", "/abs/path", "./rel/path", "../x", "org/", "org/na--me", "org/na..me", "a b/c", "~/x", "org/-", ""):
        assert split_id(wrong) is None, wrong


def test_branches_tags_and_commits(place: Place) -> None:
    repo = place.hub.repos["org/small"]
    repo.revisions = ("main", "fp16", "refs/pr/1")
    first = snapshot("org/small", "fp16")
    assert snapshot("org/small", repo.commit) == snapshot("org/small", "refs/pr/1") == first
    repo.files["config.json"] = b'{"a": 2}'
    assert snapshot("org/small", "fp16") != first
    assert (snapshot("org/small") / "config.json").read_bytes() == b'{"a": 2}'
    with pytest.raises(KakusanError) as caught:
        snapshot("org/small", "v9")
    assert one_line(caught.value) == "org/small: has no revision 'v9'"
    for wrong in ("../main", "a..b", " "):
        with pytest.raises(KakusanError, match="is not a hub id or revision"):
            snapshot("org/small", wrong)


@pytest.mark.parametrize("seed", range(12))
def test_no_fault_of_the_line_lets_a_bad_file_in(seed: int, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve times twelve runs, 1 to 4 faults in each, over files of many sizes; then one without faults, which completes what is there."""
    chance, repo = random.Random(seed), place.hub.repos["org/small"]
    faults = 0
    for run in range(12):
        repo.files = {f"{run}.json": chance.randbytes(chance.randrange(9)) for run in range(2)} | {"config.json": b"%d" % run}
        repo.files["model.safetensors"] = chance.randbytes(chance.choice((1, 1999, 2000, 9999, 50_000)))
        told = [fault for _ in range(chance.randint(1, 4)) for fault in chance.choice(FAULTS).split()]
        place.hub.faults.extend(["", *told])
        try:
            snapshot("org/small")
        except FileError as error:
            one_line(error)
        assert_sound(place.cache, repo, "org/small")
        faults += len(told) - len(place.hub.faults)
        place.hub.faults.clear()
        found = snapshot("org/small")
        assert {file.name: file.read_bytes() for file in found.iterdir()} == repo.files
        assert_sound(place.cache, repo, "org/small")
    assert faults >= 12, "faults that really happened; 144 in all"


def test_what_never_arrives_whole_is_refused_and_not_kept(place: Place) -> None:
    place.hub.faults.extend(["", *["flip"] * hub_fetch.TRIES])
    with pytest.raises(FileError) as caught:
        snapshot("org/small")
    assert one_line(caught.value).startswith("org/small: model.safetensors: arrived damaged 5 times")
    assert not list(place.cache.rglob("model.safetensors"))
    assert not list(place.cache.rglob("*.incomplete"))
    assert not list(place.cache.rglob("refs/main"))


def test_a_download_goes_on_where_it_broke_off(place: Place) -> None:
    place.hub.faults.extend(["", "cut", *["500"] * 9])
    with pytest.raises(FileError) as caught:
        snapshot("org/small")
    assert "the download broke off" in one_line(caught.value)
    assert "500" in caught.value.en
    place.hub.faults.clear()
    place.hub.asked.clear()
    assert (snapshot("org/small") / "model.safetensors").read_bytes() == WEIGHTS
    assert [(path.rpartition("/")[2], asked) for _, path, asked in place.hub.asked if "resolve" in path] == [
        ("model.safetensors", "bytes=15000-"),
        ("README.md", None),
    ]


def test_the_hub_may_stumble(place: Place) -> None:
    for faults in (["500"], ["503", "500"], ["page"]):
        place.hub.api_faults.extend(faults)
        assert snapshot("org/small").is_dir()
    place.hub.api_faults.extend(["500"] * 3)
    with pytest.raises(FileError, match="not in the local cache"):
        snapshot("org/tiny")
    place.hub.api_faults.extend(["500"] * 3)
    assert snapshot("org/small").is_dir()  # out of the cache


def test_a_listing_without_hashes(place: Place) -> None:
    """Each file's own headers name them."""
    place.hub.repos["org/small"].told = False
    place.hub.faults.extend(["", "flip"])
    assert (snapshot("org/small") / "model.safetensors").read_bytes() == WEIGHTS
    assert place.hub.fetched().count("model.safetensors") == 2
    assert_sound(place.cache, place.hub.repos["org/small"], "org/small")


def test_names_that_lead_out_of_the_cache_are_not_fetched(place: Place) -> None:
    place.hub.repos["org/small"].files |= {"../../../../evil.json": b"{}", "/evil.json": b"{}", "a\\..\\evil.json": b"{}"}
    snapshot("org/small")
    assert not any("evil" in name for name in place.hub.fetched())
    assert not list(place.cache.parent.parent.rglob("*evil*"))


def fetched_by_hub(place: Place, id: str) -> Path:
    """As huggingface_hub fetches it, file by file."""
    for name in place.hub.repos[id].files:
        file = huggingface_hub.hf_hub_download(id, name, cache_dir=place.cache, endpoint=place.hub.url)
    return place.cache / f"models--{id.replace('/', '--')}" / "snapshots" / Path(file).relative_to(place.cache).parts[2]


def test_what_other_programs_have_fetched_is_used(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = fetched_by_hub(place, "org/tiny")
    place.hub.asked.clear()
    assert snapshot("org/tiny") == theirs
    assert place.hub.fetched() == []
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert snapshot("org/tiny") == theirs


def test_other_programs_find_what_we_have_fetched(place: Place) -> None:
    snapshot("org/tiny")
    file = huggingface_hub.try_to_load_from_cache("org/tiny", "unet/config.json", cache_dir=place.cache)
    assert isinstance(file, str)
    assert Path(file).read_bytes() == place.hub.repos["org/tiny"].files["unet/config.json"]
    cached = huggingface_hub.scan_cache_dir(place.cache)
    assert [repo.repo_id for repo in cached.repos] == ["org/tiny"]
    assert not cached.warnings


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_bit_that_flipped_in_the_cache_is_found(name: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """huggingface_hub would use it: it looks at no file that is there."""
    folder = fetched_by_hub(place, "org/small")
    blob = (folder / name).resolve()
    data = bytearray(blob.read_bytes())
    data[3] ^= 1
    blob.write_bytes(data)
    assert Path(huggingface_hub.hf_hub_download("org/small", name, cache_dir=place.cache, endpoint=place.hub.url)).read_bytes() == data
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileError) as caught:
        snapshot("org/small")
    assert one_line(caught.value).startswith(f"{folder / name}: damaged")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert (snapshot("org/small") / name).read_bytes() == SMALL[name]


def test_offline(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = snapshot("org/small")
    place.hub.asked.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert snapshot("org/small") == found
    with pytest.raises(FileError) as caught:
        snapshot("org/tiny")
    assert "HF_HUB_OFFLINE is set); run `kakusan pull org/tiny` with a connection first" in one_line(caught.value)
    with pytest.raises(FileError):
        snapshot("org/small", "v2")
    with pytest.raises(FileError):
        snapshot("org/small", file="other.safetensors")
    assert place.hub.asked == []
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    capsys.readouterr()
    assert snapshot("org/small") == found
    assert "org/small: out of the cache" in capsys.readouterr().err
    with pytest.raises(FileError, match=r"not in the local cache .* and the hub cannot be asked"):
        snapshot("org/tiny")


def test_tokens_and_gates(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.hub.repos["org/small"].token = "hf_secret"
    with pytest.raises(KakusanError, match="no such model on the hub, or a private one") as caught:
        snapshot("org/small")
    one_line(caught.value)
    assert snapshot("org/small", token="hf_secret").is_dir()
    place.hub.repos["org/tiny"].token, place.hub.repos["org/tiny"].gated = "hf_other", "auto"
    with pytest.raises(KakusanError, match="org/tiny: gated: accept its terms") as caught:
        snapshot("org/tiny", token="hf_wrong")
    one_line(caught.value)
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert snapshot("org/tiny").is_dir()
    with pytest.raises(KakusanError, match="nobody/nothing: no such model"):
        snapshot("nobody/nothing")


def test_a_token_is_not_sent_on_to_another_host(place: Place) -> None:
    repo = place.hub.repos["org/small"]
    repo.token = "hf_secret"
    with Hub({"org/small": Repo(dict(repo.files))}) as elsewhere:
        repo.elsewhere = elsewhere.url
        assert (snapshot("org/small", token="hf_secret") / "model.safetensors").read_bytes() == WEIGHTS
        assert place.hub.tokens == {"Bearer hf_secret"}
        assert elsewhere.tokens == {None}


def test_many_at_once(place: Place) -> None:
    place.hub.faults.extend(["cut", "flip", "500"])  # fewer than a file is tried, whichever file they fall on
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(snapshot, ["org/small", "org/tiny"] * 3))
    assert len(set(found)) == 2
    for id in ("org/small", "org/tiny"):
        assert_sound(place.cache, place.hub.repos[id], id)
    assert not list(place.cache.rglob("*.incomplete"))


def test_a_file_that_is_linked_anew_is_never_gone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    pointer = snapshot("org/tiny") / "model_index.json"
    link, seen = Path.symlink_to, list[bool]()

    def watched(self: Path, target: str) -> None:
        seen.append(pointer.is_file())
        link(self, target)
        seen.append(pointer.is_file())

    monkeypatch.setattr(Path, "symlink_to", watched)
    hub_cache.Repository("org/tiny", place.cache).link(pointer.parent.name, pointer.name, hub_cache.expected(pointer))
    assert seen == [True, True]
    assert not list(place.cache.rglob("*.incomplete"))


@pytest.mark.parametrize("terminal", [True, False])
def test_how_far_it_is_shows_on_stderr(
    terminal: bool, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hub_progress, "PATIENCE", 0.0)
    monkeypatch.setattr(hub_progress, "INTERVAL", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    monkeypatch.setenv("TERM", "xterm")
    snapshot("org/small")
    said = capsys.readouterr()
    assert said.out == ""
    assert "downloading org/small" in said.err
    assert ("100% (30.0 kB)" in said.err) is not terminal
    snapshot("org/tiny", quiet=True)
    assert capsys.readouterr().err == ""
    assert [hub_progress.size(count) for count in (7, 1500, 2_500_000, 4_000_000_000)] == ["7 bytes", "1.5 kB", "2.5 MB", "4.0 GB"]


def test_a_full_disk(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda path: os.statvfs_result([0] * 10) and type("Usage", (), {"free": 99})())
        with pytest.raises(FileError) as caught:
            snapshot("org/small")
        assert "30.0 kB are to be downloaded and 99 bytes are free" in one_line(caught.value)
    write = hub_fetch._Watched.write

    def full(self: Any, data: bytes) -> int:
        if len(data) > 100:
            self.refused = OSError(errno.ENOSPC, "No space left on device")
            raise self.refused
        return write(self, data)

    monkeypatch.setattr(hub_fetch._Watched, "write", full)
    with pytest.raises(FileError) as caught:
        snapshot("org/small")
    assert "the disk is full" in one_line(caught.value)
    assert_sound(place.cache, place.hub.repos["org/small"], "org/small")


def test_terms_are_told_once(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    snapshot("org/small")
    assert "licence" not in capsys.readouterr().err
    repo = place.hub.repos["org/tiny"]
    repo.card = dict(OPENRAIL)
    with pytest.raises(KakusanError, match="not used without consent"):
        snapshot("org/tiny", agree=lambda terms: False)
    assert place.hub.fetched().count("unet/config.json") == 0
    asked: list[Terms] = []
    snapshot("org/tiny", agree=lambda terms: not asked.append(terms))
    assert asked == [Terms("org/tiny", "creativeml-openrail-m")]
    snapshot("org/tiny", agree=lambda terms: False)
    assert "comes under" not in capsys.readouterr().err
    repo.card = {"license": "other", "license_name": "new-openrail++"}
    snapshot("org/tiny")
    assert capsys.readouterr().err.count("org/tiny comes under new-openrail++") == 1
    snapshot("org/tiny")
    assert capsys.readouterr().err == ""
    assert Terms("o/n", "", gated=True).binding
    assert not Terms("o/n", "apache-2.0").binding


def test_terms_out_of_the_card_when_offline(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    place.hub.repos["org/small"].files["README.md"] = b"---\nlanguage: en\nlicense: 'openrail++'\n---\n# Small\nlicense: mit\n"
    fetched_by_hub(place, "org/small")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for times in (1, 0):
        snapshot("org/small")
        assert capsys.readouterr().err.count("org/small comes under openrail++") == times


def test_the_command(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place.hub.repos["org/small"].card = dict(OPENRAIL)
    assert main(["pull", "org/small", "--lang", "en"]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(snapshot("org/small"))
    assert said.err.splitlines()[0].startswith("org/small comes under creativeml-openrail-m")
    assert said.err.splitlines()[1] == "downloading org/small: 3 files, 30.0 kB"
    assert main(["pull", "org/tiny", "--outdir", str(tmp_path / "copy"), "--quiet", "--yes"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "copy")
    assert not any(file.is_symlink() for file in (tmp_path / "copy").rglob("*"))
    assert read_folder(tmp_path / "copy").unet is not None
    assert json.loads((tmp_path / "copy" / "model_index.json").read_text())["_class_name"] == "StableDiffusionPipeline"
    for words, code, text in (
        (["org/tiny", "--outdir", str(tmp_path / "copy")], 3, "already there"),
        (["nobody/nothing"], 2, "no such model"),
        (["tiny"], 2, "not a hub id"),
        (["org/tiny", "--variant", "fp16"], 2, "no weights of the variant 'fp16'"),
        (["org/tiny", "--file", "x.ckpt"], 2, "no model file 'x.ckpt'"),
    ):
        assert main(["pull", *words, "--lang", "en"]) == code
        lines = capsys.readouterr().err.splitlines()
        assert text in lines[-1]
        assert len(lines) == 1
