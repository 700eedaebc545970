"""Textual inversion under diffusers' names draws diffusers' pictures."""

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from compat import tiny_folders as tiny
from kakusan.compat import diffusers as ours
from kakusan.errors import FileError, KakusanError

diffusers.utils.logging.set_verbosity_error()
VECTORS = torch.randn(3, tiny.WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny.folder(tmp_path_factory.mktemp("model") / "tiny")
    words = folder / "words"
    words.mkdir()
    torch.save({"<cat-toy>": VECTORS[0]}, words / "learned_embeds.bin")
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": VECTORS}, "name": "ink"}, words / "ink.pt")
    save_file({"emb_params": VECTORS[:2]}, words / "wash.safetensors")
    return folder


def both(folder: Path) -> tuple[Any, Any]:
    theirs = diffusers.StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    theirs.set_progress_bar_config(disable=True)
    return ours.StableDiffusionPipeline.from_pretrained(folder), theirs


def drawn(pipe: Any, prompt: str) -> np.ndarray:
    generator = torch.Generator().manual_seed(7)
    image = pipe(prompt, negative_prompt="bad <cat-toy>", num_inference_steps=3, generator=generator).images[0]
    return np.asarray(image).astype(int)


def test_pictures_equal_diffusers(folder: Path) -> None:
    mine, theirs = both(folder)
    plain = drawn(mine, "a <cat-toy>, ink")
    for pipe in (mine, theirs):
        pipe.load_textual_inversion(folder / "words" / "learned_embeds.bin")
        pipe.load_textual_inversion(folder / "words", weight_name="ink.pt", token="<ink>")
        pipe.load_textual_inversion(str(folder / "words" / "wash.safetensors"), token="wash-style")
    assert len(mine.tokenizer) == len(theirs.tokenizer)
    assert torch.equal(mine.text_encoder.get_input_embeddings().weight, theirs.text_encoder.get_input_embeddings().weight)
    for prompt in ("a <cat-toy>", "<ink>", "a red <cat-toy> by <ink>, wash-style", "<cat-toy><cat-toy>", "no word of it"):
        wanted = drawn(theirs, prompt)
        assert np.abs(drawn(mine, prompt) - wanted).max() <= 1, prompt
        assert wanted.std() > 5
    assert np.abs(drawn(mine, "a <cat-toy>, ink") - plain).max() > 1
    for pipe in (mine, theirs):
        pipe.unload_textual_inversion("<cat-toy>")
    assert np.abs(drawn(mine, "a <ink>, wash-style") - drawn(theirs, "a <ink>, wash-style")).max() <= 1
    mine.unload_textual_inversion()
    assert np.array_equal(drawn(mine, "a <cat-toy>, ink"), plain)


def test_several_at_once_and_out_of_memory(folder: Path) -> None:
    mine, theirs = both(folder)
    for pipe in (mine, theirs):
        pipe.load_textual_inversion([VECTORS[0], {"<b>": VECTORS[1]}], token=["<a>", "<b>"])
    assert np.abs(drawn(mine, "<a> or <b>") - drawn(theirs, "<a> or <b>")).max() <= 1


def test_the_tokenizer_knows_the_words(folder: Path) -> None:
    pipe = ours.StableDiffusionPipeline.from_pretrained(folder)
    pipe.load_textual_inversion(folder / "words" / "ink.pt", token="<ink>")
    words = pipe.tokenizer
    first = words.vocab_size
    assert words.convert_tokens_to_ids(["<ink>", "<ink>_1"]) == [first, first + 1]
    assert words.tokenize("<INK>") == ["<ink>", "<ink>_1", "<ink>_2"]
    assert words.decode([first, first + 1]) == "<ink> <ink>_1"
    assert pipe.text_encoder.config.vocab_size == len(words) == first + 3


def test_what_cannot_be_is_one_line(folder: Path, tmp_path: Path) -> None:
    pipe = ours.StableDiffusionPipeline.from_pretrained(folder)
    pipe.load_textual_inversion(folder / "words" / "learned_embeds.bin")
    save_file({"emb_params": torch.zeros(1, 768)}, tmp_path / "sd1.safetensors")
    for call, kind, told in (
        (lambda: pipe.load_textual_inversion(folder / "words" / "learned_embeds.bin"), KakusanError, "is known already"),
        (lambda: pipe.load_textual_inversion(tmp_path / "sd1.safetensors"), FileError, r"for Stable Diffusion 1 \(768\)"),
        (lambda: pipe.load_textual_inversion(tmp_path / "none.pt"), FileError, "no such folder"),
        (lambda: pipe.load_textual_inversion([VECTORS[0]], token=["<a>", "<b>"]), KakusanError, "1 embeddings but 2 tokens"),
        (lambda: pipe.load_textual_inversion(VECTORS[0]), KakusanError, "give token"),
        (lambda: pipe.unload_textual_inversion("<z>"), KakusanError, "was not taught; there are: <cat-toy>"),
    ):
        with pytest.raises(kind, match=told) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert len(pipe.tokenizer) == pipe.tokenizer.vocab_size + 1
