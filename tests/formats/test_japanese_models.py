"""Text encoders that take Japanese as it stands: AltDiffusion's and rinna's layouts, beside transformers and diffusers."""

import io
import json
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sentencepiece
import torch
import transformers
from diffusers.pipelines.deprecated.alt_diffusion.modeling_roberta_series import RobertaSeriesConfig, RobertaSeriesModelWithTransformation

from formats.tiny import randomise, tiny_model
from kakusan.cli import main
from kakusan.errors import FileError, KakusanError
from kakusan.formats.folder import read_component, read_folder, write_folder
from kakusan.formats.hub_files import chosen
from kakusan.formats.model import Model
from kakusan.formats.text_towers import write_config
from kakusan.models.clip_text import ClipText, ClipTextConfig, Given
from kakusan.models.xlm_roberta import XlmRoberta, XlmRobertaConfig
from kakusan.pipeline import Pipeline
from kakusan.prompts.chunks import chunked
from kakusan.prompts.prompt import Piece
from kakusan.prompts.sentencepieces import Layout, SentencePieces

DOCS = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))
TINY = XlmRobertaConfig(vocab=1202, width=24, layers=3, heads=4, positions=82, feedforward=64, hidden=32)
Trained = Callable[[Layout], bytes]


@pytest.fixture(scope="module")
def trained() -> Trained:
    """A sentencepiece model in the order of special pieces that the published ones have: T5's, fairseq's, and rinna's."""
    text = [line.strip() for page in DOCS for line in page.read_text(encoding="utf-8").splitlines() if line.strip()]
    orders = {
        "t5": {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
        "xlmr": {"unk_id": 0, "bos_id": 1, "eos_id": 2, "pad_id": -1},
        "rinna": {
            "unk_id": 0,
            "bos_id": 1,
            "eos_id": 2,
            "pad_id": 3,
            "pad_piece": "[PAD]",
            "user_defined_symbols": ["[CLS]", "[SEP]", "[MASK]"],
        },
    }
    made: dict[str, bytes] = {}

    def model(order: str) -> bytes:
        if order not in made:
            out = io.BytesIO()
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(text), model_writer=out, vocab_size=1200, minloglevel=2, num_threads=1, **orders[order]
            )
            made[order] = out.getvalue()
        return made[order]

    return model


def texts() -> list[str]:
    """200 prompts, half of them Japanese or mixed, and some with odd spaces, widths and signs.

    Without half-width letters that have a voice mark: today's transformers puts the two together otherwise than sentencepiece itself,
    which the models were trained with.
    """
    draw = random.Random(5)
    words = [
        "a red apple",
        "赤いりんご",
        "猫と犬",
        "in the style of Hokusai",
        "夕焼け",
        "８K ﾊｲｸｵﾘﾃｨ",
        "naïve café",
        "(masterpiece:1.2)",
        "①②",
        "ﾈｺ",
    ]
    found = [draw.choice([" ", "、", ", ", "の"]).join(draw.sample(words, draw.randint(1, 5))) for _ in range(188)]
    return [*found, "", "a", "。", "  a  b ", "a\tb", "A BIG CAT", "🍎 apple", "髙﨑", "é", "e\u0301", "a\u3000b", "~!@#$%^&*"]


@pytest.mark.parametrize("layout", ["xlmr", "t5"])
def test_token_ids_are_transformers(trained: Trained, tmp_path: Path, layout: Layout) -> None:
    ours = SentencePieces(trained(layout), layout)
    ours.save(tmp_path)
    theirs = {"xlmr": transformers.XLMRobertaTokenizer, "t5": transformers.T5Tokenizer}[layout].from_pretrained(tmp_path)
    assert len(texts()) == 200
    for text in texts():
        want = theirs(text, padding="max_length", max_length=77, truncation=True).input_ids
        assert ours.padded(text) == want, text
    again = SentencePieces.from_folder(tmp_path)
    assert (again.padded("赤いりんご"), len(again), again.vocab) == (ours.padded("赤いりんご"), len(ours), ours.vocab)
    assert pickle.loads(pickle.dumps(ours)).encode("夕焼け") == ours.encode("夕焼け")
    assert ours.decode(ours.encode("a red apple")) == "a red apple"


def test_rinnas_order_and_lower_case(trained: Trained, tmp_path: Path) -> None:
    """Its pipeline sets do_lower_case and 77; its padding is the piece [PAD]."""
    (tmp_path / "spiece.model").write_bytes(trained("rinna"))
    said = {"pad_token": "[PAD]", "eos_token": "</s>", "unk_token": "<unk>", "extra_ids": 0, "tokenizer_class": "T5Tokenizer"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**said, "model_max_length": 10**30}))
    ours = SentencePieces.from_folder(tmp_path)
    plain = sentencepiece.SentencePieceProcessor()
    plain.LoadFromSerializedProto(trained("rinna"))
    for text in texts():
        ids = [*plain.encode(text.lower())[:76], 2]
        assert ours.padded(text) == ids + [3] * (77 - len(ids)), text
    spelt, words = ours.clean("A 夕焼け"), ours.words("A 夕焼け")
    assert spelt == " a 夕焼け"
    assert [spelt[word.start : word.end] for word in words] == [word.piece for word in words]
    assert [word.id for word in words] == ours.encode("A 夕焼け")


@pytest.mark.parametrize("layout", ["xlmr", "t5"])
def test_long_prompts_become_chunks(trained: Trained, layout: Layout) -> None:
    ours = SentencePieces(trained(layout), layout)
    first, second = chunked([Piece("赤いりんご、" * 40, 1.2)], ours)[:2]
    ids = ours.encode("赤いりんご、" * 40)
    front = [ours.start] * ours.before
    assert list(first.ids) == [*front, *ids[: ours.room], ours.end]
    assert len(second.ids) == 77
    assert [token.id for token in first.own + second.own] == ids[: first.words + second.words]
    assert all(token.weight == 1.2 for token in second.own)
    assert list(chunked([Piece("apple")], ours)[0].ids) == ours.padded("apple")


@pytest.mark.parametrize("before_last", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_states_are_diffusers(before_last: bool, masked: bool, tmp_path: Path) -> None:
    """RobertaSeriesModelWithTransformation over transformers' XLMRobertaModel, both ways through our folder."""
    config = replace(TINY, before_last=before_last, masked=masked)
    said = RobertaSeriesConfig(**{k: v for k, v in write_config(config).items() if k not in ("architectures", "model_type")})
    torch.manual_seed(1)
    theirs = RobertaSeriesModelWithTransformation(said).eval()
    randomise(theirs)
    theirs.save_pretrained(tmp_path / "text_encoder")
    ours = read_component(tmp_path, "text_encoder")
    assert isinstance(ours, XlmRoberta)
    assert ours.config == config
    ids = torch.tensor([[0, 7, 9, 300, 2, 1, 1, 1], [0, 2, 1, 1, 1, 1, 1, 1], [0, 5, 6, 7, 8, 9, 10, 2]])
    with torch.inference_mode():
        want = theirs(input_ids=ids, attention_mask=(ids != 1).long() if masked else None, return_dict=True)[0]
        torch.testing.assert_close(ours(ids), want, rtol=1e-5, atol=1e-5)
        assert ours.states(ids, skip=1).shape == want.shape
    with pytest.raises(KakusanError, match="XLM-RoBERTa"):
        ours.states(ids, given=Given(ids == 7, torch.zeros(*ids.shape, 24)))
    with pytest.raises(ValueError, match="cannot skip"):
        ours.states(ids, skip=9)


def alt(trained: Trained) -> Model:
    """AltDiffusion's layout."""
    model = tiny_model(towers=False)
    torch.manual_seed(2)
    model.text, model.tokenizer, model.settings = XlmRoberta(TINY), SentencePieces(trained("xlmr"), "xlmr"), {}
    randomise(model.text)
    return model


def rinna(trained: Trained) -> Model:
    """Japanese Stable Diffusion's layout."""
    model = tiny_model(towers=False)
    torch.manual_seed(2)
    text = ClipTextConfig(1200, 24, 2, 3, feedforward=48, end_token=1199)
    model.text, model.settings = ClipText(text), {}
    model.tokenizer = SentencePieces(trained("rinna"), "t5", lower=True, pad="[PAD]")
    randomise(model.text)
    return model


@pytest.mark.parametrize("make", [alt, rinna])
def test_a_folder_is_read_written_and_draws(trained: Trained, tmp_path: Path, make: Callable[[Trained], Model]) -> None:
    model = make(trained)
    write_folder(model, tmp_path / "model", dtype=torch.float32)
    index = json.loads((tmp_path / "model/model_index.json").read_text())
    assert index["tokenizer"][1] == ("XLMRobertaTokenizer" if make is alt else "T5Tokenizer")
    again = read_folder(tmp_path / "model")
    assert again.takes_japanese
    assert not tiny_model().takes_japanese
    assert type(again.text) is type(model.text)
    ours, copy = Pipeline(model), Pipeline(again)
    results = [pipe("(赤い:1.3)りんご、夕焼け", seed=3, steps=2) for pipe in (ours, copy)]
    assert results[1].recipes[0].prompt == "(赤い:1.3)りんご、夕焼け", "it is not put into English"
    pictures = [result.images[0].tobytes() for result in results]
    assert pictures[0] == pictures[1]
    assert pictures[0] != ours("青い空", seed=3, steps=2).images[0].tobytes()


def test_diffusers_reads_alt_diffusions_folder_and_gives_the_same_states(trained: Trained, tmp_path: Path) -> None:
    model = alt(trained)
    write_folder(model, tmp_path / "model", dtype=torch.float32)
    text = RobertaSeriesModelWithTransformation.from_pretrained(tmp_path / "model/text_encoder").eval()
    tokenizer = transformers.XLMRobertaTokenizer.from_pretrained(tmp_path / "model/tokenizer")
    given = tokenizer("夕焼けの海", padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        want = text(input_ids=given.input_ids, attention_mask=given.attention_mask, return_dict=True)[0]
        torch.testing.assert_close(model.text(torch.tensor([model.tokenizer.padded("夕焼けの海")])), want, rtol=1e-5, atol=1e-5)


def test_their_tokenizers_are_fetched_and_counted(trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["model_index.json", "tokenizer/spiece.model", "tokenizer/tokenizer_config.json", "tokenizer/run.py"]
    assert "tokenizer/spiece.model" in chosen("o/n", names)
    assert "tokenizer/run.py" not in chosen("o/n", names)
    write_folder(rinna(trained), tmp_path / "model", dtype=torch.float32)
    assert main(["tokens", "夕焼け", "--model", str(tmp_path / "model"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["room"] == 76


def test_what_is_missing_or_damaged_is_one_line(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spiece.model").write_bytes(b"no model at all")
    with pytest.raises(FileError) as caught:
        SentencePieces.from_folder(tmp_path)
    assert "spiece.model: not a sentencepiece model" in str(caught.value)
    assert "\n" not in str(caught.value)
    (tmp_path / "spiece.model").write_bytes(trained("xlmr"))
    with pytest.raises(FileError, match="no piece '<pad>'"):
        SentencePieces.from_folder(tmp_path)
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(KakusanError, match=r"pip install \"kakusan\[japanese\]\""):
        SentencePieces(trained("xlmr"), "xlmr")


def test_sentencepiece_is_imported_only_where_it_is_needed() -> None:
    code = "import sys, kakusan.formats.folder; assert 'sentencepiece' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
