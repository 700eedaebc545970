"""Translation by Marian networks: the real classes of transformers over a tiny random model."""

import json
from pathlib import Path

import pytest
import sentencepiece
import torch
from transformers import MarianConfig, MarianMTModel, MarianTokenizer

from kakusan.errors import FileError
from kakusan.prompts.japanese.marian import marian
from kakusan.prompts.japanese.translators import translator

TEXTS = ["赤い猫がソファで寝ている", "青い海と白い雲", "red cat on a sofa", "blue sea and white clouds", "富士山の写真", "a photo"] * 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("marian")
    (path / "text.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(path / "text.txt"), model_prefix=str(path / "source"), vocab_size=60, hard_vocab_limit=False, minloglevel=2
    )
    (path / "source.model").rename(path / "source.spm")
    (path / "target.spm").write_bytes((path / "source.spm").read_bytes())
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(path / "source.spm"))
    words = ["</s>", "<unk>", *(pieces.id_to_piece(i) for i in range(pieces.get_piece_size()) if i > 2), "<pad>"]
    (path / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}), encoding="utf-8")
    tokenizer = MarianTokenizer(
        source_spm=str(path / "source.spm"),
        target_spm=str(path / "target.spm"),
        vocab=str(path / "vocab.json"),
        source_lang="ja",
        target_lang="en",
    )
    torch.manual_seed(0)
    pad = len(words) - 1
    config = MarianConfig(
        vocab_size=len(words), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=256, pad_token_id=pad, decoder_start_token_id=pad, eos_token_id=0,
    )  # fmt: skip
    model = MarianMTModel(config)
    model.generation_config.max_length = 20
    model.save_pretrained(path / "model")
    tokenizer.save_pretrained(path / "model")
    return path / "model"


def test_as_transformers_translates(folder: Path) -> None:
    tokenizer = MarianTokenizer.from_pretrained(folder)
    model = MarianMTModel.from_pretrained(folder).eval()
    rows = tokenizer(["赤い猫"], return_tensors="pt")
    wanted = tokenizer.decode(model.generate(**rows, max_new_tokens=128, num_beams=4)[0], skip_special_tokens=True).strip().rstrip(".")
    told = marian(folder)
    assert told("赤い猫") == wanted
    assert told("(赤い猫:1.3), <lora:猫:1>, a cat BREAK") == f"({wanted}:1.3), <lora:猫:1>, a cat BREAK"
    assert told("a red cat") == "a red cat"


def test_the_option(folder: Path) -> None:
    by = translator(f"marian:{folder}")
    assert by.name == "marian"
    assert by.function("赤い猫") == (marian(folder)("赤い猫"), ())


def test_no_model_there(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no Marian model here"):
        marian(tmp_path)
