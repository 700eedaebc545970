"""Learnt words in everybody's files, and hostile ones."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kakusan.errors import FileError
from kakusan.formats.embedding import Embedding, Embeddings, read_embedding, write_embedding

VECTORS = torch.randn(3, 24, generator=torch.Generator().manual_seed(0))


def a1111(vectors: Tensor) -> object:
    said = {"string_to_token": {"*": 265}, "string_to_param": nn.ParameterDict({"*": nn.Parameter(vectors)})}
    return said | {"name": "x", "step": 500, "sd_checkpoint": "abc", "sd_checkpoint_name": None}


def textual_inversion(vectors: Tensor) -> object:
    """As the paper's own code saved it: a parameter in a plain dictionary."""
    return {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": {"*": nn.Parameter(vectors)}}


FILES: dict[str, Callable[[Path], None]] = {
    "a1111.pt": lambda file: torch.save(a1111(VECTORS), file),
    "paper.pt": lambda file: torch.save(textual_inversion(VECTORS), file),
    "old.pt": lambda file: torch.save(a1111(VECTORS), file, _use_new_zipfile_serialization=False),
    "diffusers.bin": lambda file: torch.save({"<cat-toy>": VECTORS}, file),
    "half.bin": lambda file: torch.save({"<cat-toy>": VECTORS.half()}, file),
    "emb.safetensors": lambda file: save_file({"emb_params": VECTORS}, file),
    "token.safetensors": lambda file: save_file({"<cat-toy>": VECTORS}, file),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_is_read(name: str, tmp_path: Path) -> None:
    FILES[name](tmp_path / name)
    found = read_embedding(tmp_path / name, width=24)
    torch.testing.assert_close(found.vectors, VECTORS, atol=1e-3 if name == "half.bin" else 0, rtol=0)
    assert found.name == name.partition(".")[0]
    assert found.token == ("<cat-toy>" if name.startswith(("diff", "half", "token")) else "")


def test_a_single_vector_and_a_name_that_says_nothing(tmp_path: Path) -> None:
    torch.save({"<cat-toy>": VECTORS[0]}, tmp_path / "learned_embeds.bin")
    found = read_embedding(tmp_path / "learned_embeds.bin")
    assert (found.name, found.vectors.shape) == ("<cat-toy>", (1, 24))
    assert read_embedding(tmp_path / "learned_embeds.bin", "toy").name == "toy"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_embedding(Embedding("toy", VECTORS), tmp_path / "toy.safetensors")
    assert torch.equal(load_file(tmp_path / "toy.safetensors")["emb_params"], VECTORS)
    back = read_embedding(tmp_path / "toy.safetensors")
    assert (back.name, len(back.hash)) == ("toy", 10)
    assert torch.equal(back.vectors, VECTORS)


HOSTILE: dict[str, tuple[dict[str, Tensor], str]] = {
    "SD1": ({"emb_params": torch.zeros(1, 768)}, r"for Stable Diffusion 1 \(768\); this model is Stable Diffusion 2 \(1024\)$"),
    "SD2 in a tower of its own": ({"clip_l": torch.zeros(1, 768), "clip_g": torch.zeros(1, 1280)}, "holds 2 embeddings"),
    "NaN": ({"emb_params": torch.full((1, 1024), torch.nan)}, "emb_params holds NaN or infinity"),
    "empty": ({}, r"holds 0 embeddings"),
    "no numbers": ({"emb_params": torch.zeros(0, 1024)}, "an embedding is"),
    "too many": ({"emb_params": torch.zeros(5000, 1024)}, "an embedding is"),
    "a cube": ({"emb_params": torch.zeros(1, 1, 1024)}, "an embedding is"),
    "a scalar": ({"emb_params": torch.tensor(1.0)}, "an embedding is"),
    "integers": ({"emb_params": torch.zeros(1, 1024, dtype=torch.int64)}, "holds 0 embeddings"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    tensors, told = HOSTILE[name]
    for file, write in ((tmp_path / "a.safetensors", save_file), (tmp_path / "a.pt", torch.save)):
        write(tensors, file)
        if file.suffix == ".pt" and not tensors:
            told = "holds no tensors"
        with pytest.raises(FileError, match=told) as caught:
            read_embedding(file, width=1024)
        assert "\n" not in str(caught.value)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, ("raise SystemExit('it ran')",)

    torch.save({"string_to_param": {"*": VECTORS}, "name": Bomb()}, tmp_path / "a.pt")
    with pytest.raises(FileError):
        read_embedding(tmp_path / "a.pt")


def test_words_of_a_folder_are_read_when_a_prompt_has_them(tmp_path: Path) -> None:
    write_embedding(Embedding("", VECTORS), tmp_path / "my-toy.safetensors")
    (tmp_path / "broken.pt").write_bytes(b"")
    words = Embeddings(24, tmp_path)
    assert words.used("a cat", "my-toys", "brokens") == []
    assert [one.name for one in words.used("a cat", "(My-Toy:1.2), red")] == ["my-toy"]
    with pytest.raises(FileError, match="is empty"):
        words.used("a broken toy")
    words.load(tmp_path / "my-toy.safetensors", "other")
    assert {one.name for one in words.used("other my-toy")} == {"my-toy", "other"}
    words.unload("other")
    assert [one.name for one in words.used("other my-toy")] == ["my-toy"]
