"""Tokenizer: against transformers' for folders, against the published algorithm with ftfy for CLIP's own rules."""

import copy
import gzip
import hashlib
import html
import json
import pickle
import random
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import ftfy
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from kakusan.errors import FileError
from kakusan.prompts import tokenizer as module
from kakusan.prompts.tokenizer import END_OF_WORD, Tokenizer, token_bytes
from kakusan.prompts.tokenizer_files import END, START, Specials

PARTS = (
    "a photo of an astronaut riding a horse", "masterpiece, best quality, (8k:1.3), [blurry]", "don't we'll I'D they'Ve 'S it's",
    "a <lora:x:0.8> b", "白い背景に赤いリンゴ", "ｶﾞﾗｽの東京ﾀﾜｰ", "か\u3099き\u3099", "サイバーパンク、夜景。「桜」…〜", "々〆〇ヶ",
    "한국어 조선말 \u1112\u1161\u11ab", "中文，全角。！？", "👩‍👩‍👧‍👦", "👍🏽", "🇯🇵🏴\U000e0067\U000e0062\U000e007f", "🎉!!",
    "☃️", "e\u0301cole naïve Ångström", "a\u0316\u0301\u0344b", "Zalgo\u0300\u0301\u0302\u0303",
    "&amp;amp; &lt;b&gt; &eacute; &#x41; &#12354; &nbsp;x &bogus;", "\t\r\n\v\f x\u00a0y\u2003z\u3000w\u2028v\u0085u",
    "\x00\x01\x1b[31mred\x7f\u200b\ufeff", "12345 ４５６ ½ ² Ⅷ ٣", "1024x1024 f/1.8 3.14", "ΑΣ ΟΔΟΣ σς", "İstanbul ıI ſtrange 'ſ K",
    "ÃÂ©tÃ© â€œquoteâ€\x9d", "“curly” ‘it’s’ — –", "ﬁne ﬂow ǆ", "!", "!!", "a!b ! c!", START, END, f"x{START}y{END}{END}z",
    "<|STARTOFTEXT|>", "<|EndOfText|>!", "<|endoftext", "<|ſtartoftext|>", "|><|", "https://example.org/?a=b&c=d#e",
    "snake_case camelCase kebab-case", "#$%^&*()_+-=[]{}\\|;:'\",.<>/?`~", "'''", "''s", "x's's", "\ufffd\ufffe", "\U0010ffff",
    "مرحبا بالعالم", "שָׁלוֹם", "नमस्ते", "สวัสดี", "Привет", "𝕳𝖊𝖑𝖑𝖔", "𠮷野家", "supercalifragilisticexpialidocious",
    "aaaaaaaaaaaaaaaaaaaaaaaa", "", " ",
)  # fmt: skip


def hard_prompts(count: int) -> list[str]:
    """Each part alone, then mixtures, some far too long, some cut at any place."""
    rng = random.Random(20)
    mixed = []
    while len(mixed) < count - len(PARTS):
        text = "".join(rng.choice(PARTS) + rng.choice(("", " ", ", ", "\n", "  ")) for _ in range(rng.choice((2, 3, 5, 40))))
        start = rng.randrange(len(text) + 1)
        mixed.append(rng.choice((str.upper, str.lower, str.title, str))(text[start:] if rng.random() < 0.3 else text))
    return [*PARTS, *mixed]


HARD = hard_prompts(600)


@pytest.fixture(scope="module")
def clip() -> Tokenizer:
    return shared()


@pytest.fixture(scope="module")
def table(clip: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """vocab.json and merges.txt of the table alone, written here and not by the code under test."""
    folder = tmp_path_factory.mktemp("table")
    (folder / "vocab.json").write_text(json.dumps(clip.vocab))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in clip.merges), encoding="utf-8")
    return folder


def named(name: str, normalized: bool = True, typed: bool = False, **more: bool) -> dict[str, object]:
    row: dict[str, object] = {"content": name, "lstrip": False, "normalized": normalized, "rstrip": False, "single_word": False, **more}
    return {**row, "__type": "AddedToken"} if typed else row


SD1 = {
    "tokenizer_config": {
        "bos_token": named(START, typed=True),
        "eos_token": named(END, typed=True),
        "pad_token": END,
        "model_max_length": 77,
    },
    "special_tokens_map": {"bos_token": named(START), "eos_token": named(END), "pad_token": END, "unk_token": named(END)},
}
SD2 = {**SD1, "special_tokens_map": {**SD1["special_tokens_map"], "pad_token": "!"}}
SD2_LISTED = {
    "tokenizer_config": {
        "added_tokens_decoder": {
            "0": named("!", False, special=True), "49406": named(START, special=True), "49407": named(END, special=True),
        },
        "bos_token": START, "eos_token": END, "unk_token": END, "pad_token": "!", "model_max_length": 77,
    },
    "special_tokens_map": {"pad_token": END},  # out of use beside the list
}  # fmt: skip
PLAIN = {
    "special_tokens_map": {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END},
    "tokenizer_config": {"model_max_length": 77},
}
ADDED = {**SD1, "added_tokens": {"<Cat>": 49408, "<MY-toy>": 49409}}
ADDED["special_tokens_map"] = {**SD1["special_tokens_map"], "additional_special_tokens": ["<Cat>"]}
PAD_IN_CONFIG = {"tokenizer_config": {"pad_token": named("!", typed=True), "model_max_length": 20}}
FOLDERS: dict[str, dict[str, Any]] = {
    "sd1": SD1, "sd2": SD2, "sd2 listed": SD2_LISTED, "plain": PLAIN, "added": ADDED, "pad in config": PAD_IN_CONFIG, "bare": {},
}  # fmt: skip


def make_folder(folder: Path, table: Path, configs: dict[str, Any]) -> Path:
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(table / name, folder / name)
    for name, content in configs.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def assert_same(ours: Tokenizer, theirs: Any, prompts: list[str]) -> None:
    assert ours.pad == theirs.pad_token_id
    whole = theirs(prompts, add_special_tokens=False).input_ids
    rows = theirs(prompts, padding="max_length", max_length=ours.length, truncation=True).input_ids
    for prompt, ids, row in zip(prompts, whole, rows, strict=True):
        assert ours.encode(prompt) == ids, repr(prompt)
        assert ours.padded(prompt) == row, repr(prompt)


@pytest.mark.parametrize("kind", FOLDERS)
def test_folder_agrees_with_transformers(kind: str, table: Path, tmp_path: Path) -> None:
    folder = make_folder(tmp_path, table, FOLDERS[kind])
    prompts = HARD if kind in ("sd1", "sd2") else [*HARD[:100], "<Cat> <cat>x<MY-toy> and <my-toy> <CAT>!"]
    assert_same(Tokenizer.from_folder(folder), CLIPTokenizer.from_pretrained(folder), prompts)


@pytest.mark.parametrize("kind", ["sd2", "added"])
def test_saved_folders_keep_their_meaning(kind: str, table: Path, tmp_path: Path) -> None:
    """Ours written by us is read alike by both; theirs written by them, tokenizer.json alone, too."""
    source = make_folder(tmp_path, table, FOLDERS[kind])
    ours, theirs = Tokenizer.from_folder(source), CLIPTokenizer.from_pretrained(source)
    prompts = [*HARD[:100], "<Cat> <cat>x<MY-toy> <my-toy>"]
    ours.save(tmp_path / "ours")
    assert_same(Tokenizer.from_folder(tmp_path / "ours"), theirs, prompts)
    assert_same(ours, CLIPTokenizer.from_pretrained(tmp_path / "ours"), prompts)
    theirs.save_pretrained(tmp_path / "theirs")
    (tmp_path / "alone").mkdir()
    shutil.copy(tmp_path / "theirs/tokenizer.json", tmp_path / "alone/tokenizer.json")
    for folder in ("theirs", "alone"):
        again = Tokenizer.from_folder(tmp_path / folder)
        assert [again.encode(prompt) for prompt in prompts] == [ours.encode(prompt) for prompt in prompts]


def test_exclamation_mark_is_padding_where_it_pads(table: Path, tmp_path: Path, clip: Tokenizer) -> None:
    sd2 = Tokenizer.from_folder(make_folder(tmp_path, table, SD2))
    assert sd2.pad == 0
    assert sd2.encode("hi! wow!!") == [*sd2.encode("hi"), 0, *sd2.encode("wow"), 0, 0]
    assert clip.encode("hi!")[-1] == 256
    openclip = Tokenizer.clip(pad=0)
    assert openclip.encode("hi!") == clip.encode("hi!")
    assert openclip.padded("hi")[-1] == 0


def published(text: str) -> list[int]:
    """CLIP's published algorithm, straight from its description: clean, split, and join the best pair everywhere until none is left."""
    vocab, ranks = published_table()
    text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    text = regex.sub(r"\s+", " ", text).strip().lower()
    pattern = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    ids = []
    for word in regex.findall(pattern, text, regex.IGNORECASE):
        if word in (START, END):
            ids.append(vocab[word])
            continue
        pieces = [byte_name(byte) for byte in word.encode()]
        pieces[-1] += "</w>"
        while pairs := [pair for pair in pairwise(pieces) if pair in ranks]:
            best, joined = min(pairs, key=ranks.__getitem__), []
            while pieces:
                count = 2 if tuple(pieces[:2]) == best else 1
                joined.append("".join(pieces[:count]))
                del pieces[:count]
            pieces = joined
        ids += [vocab[piece] for piece in pieces]
    return ids


def byte_name(byte: int) -> str:
    hidden = [*range(33), *range(127, 161), 173]
    return chr(256 + hidden.index(byte)) if byte in hidden else chr(byte)


@cache
def published_table() -> tuple[dict[str, int], dict[tuple[str, ...], int]]:
    lines = gzip.decompress(files("kakusan.prompts").joinpath("tables/bpe_simple_vocab_16e6.txt.gz").read_bytes()).decode().split("\n")
    merges = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
    letters = sorted(map(byte_name, range(256)))
    tokens = [*letters, *(letter + "</w>" for letter in letters), *map("".join, merges), START, END]
    return {token: id for id, token in enumerate(tokens)}, {pair: rank for rank, pair in enumerate(merges)}


def test_clip_agrees_with_the_published_algorithm(clip: Tokenizer) -> None:
    for prompt in HARD:
        assert clip.encode(prompt) == published(prompt), repr(prompt)


@settings(max_examples=200, deadline=None, database=None)
@given(st.text(max_size=40) | st.lists(st.sampled_from([*PARTS, "&", "amp;", "\u0301", "\u0344", "Ã", "©", "<"]), max_size=6).map("".join))
def test_clip_agrees_with_the_published_algorithm_on_any_text(text: str) -> None:
    assert shared().encode(text) == published(text)


def test_known_ids(clip: Tokenizer) -> None:
    assert len(clip) == 49408
    assert (clip.start, clip.end, clip.pad) == (49406, 49407, 49407)
    assert clip.encode("a photo of a cat") == [320, 1125, 539, 320, 2368]
    assert clip.padded("") == [49406] + [49407] * 76


def test_the_vendored_table_is_the_published_one() -> None:
    packed = files("kakusan.prompts").joinpath("tables/bpe_simple_vocab_16e6.txt.gz").read_bytes()
    assert len(packed) == 1_356_917
    assert hashlib.sha256(packed).hexdigest() == "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"


def test_padded_is_cut_to_its_length() -> None:
    short = Tokenizer.clip(length=5)
    assert short.padded("one two three four five six") == [49406, *short.encode("one two three"), 49407]
    assert Tokenizer.clip(length=2).padded("one") == [49406, 49407]


@pytest.mark.parametrize("rules", ["openai", "fast"])
def test_words_lie_where_they_say(rules: str, clip: Tokenizer) -> None:
    tokenizer = clip if rules == "openai" else Tokenizer(clip.vocab, clip.merges, pad=49407)
    for prompt in HARD[:300]:
        clean, words = tokenizer.clean(prompt), tokenizer.words(prompt)
        assert [word.id for word in words] == tokenizer.encode(prompt)
        for word in words:
            if "\ufffd" not in word.piece:
                assert clean[word.start : word.end] == word.piece
            else:
                assert 0 <= word.start < word.end <= len(clean)
        covered = {place for word in words for place in range(word.start, word.end)}
        assert all(regex.fullmatch(r"\s", clean[place]) for place in set(range(len(clean))) - covered)


def test_words_show_names_and_shared_letters(clip: Tokenizer) -> None:
    words = clip.words("Hi 家" + END)
    assert [(word.piece, word.start, word.end) for word in words if word.id == clip.end] == [(END, 4, 17)]
    assert words[0][1:] == ("hi", 0, 2)
    assert {word[2:] for word in words[1:-1]} == {(3, 4)}


@settings(max_examples=200, deadline=None, database=None)
@given(st.text(max_size=60) | st.sampled_from(HARD))
def test_decoding_gives_back_the_clean_text(text: str) -> None:
    for tokenizer in (shared(), fast()):
        spelt = tokenizer.decode(tokenizer.encode(text))
        assert "".join(spelt.split()) == "".join(tokenizer.clean(text).split())


@cache
def shared() -> Tokenizer:
    return Tokenizer.clip()


@cache
def fast() -> Tokenizer:
    return Tokenizer(shared().vocab, shared().merges, pad=shared().end)


def test_text_no_utf8_can_hold() -> None:
    """Halves of surrogate pairs are joined, or replaced."""
    for tokenizer in (fast(), shared()):
        assert tokenizer.encode("\ud83d\ude00") == tokenizer.encode("😀")
        assert tokenizer.encode("a \udc00 b") == tokenizer.encode("a \ufffd b")


def test_an_entity_with_very_many_digits(clip: Tokenizer) -> None:
    assert clip.encode("&#" + "9" * 5000 + "; &#0000000000065;") == clip.encode("\ufffd a")


class CountedRanks(dict[tuple[str, str], int]):
    """Merges that count how often they are asked."""

    asked = 0

    def get(self, *args: Any) -> Any:
        self.asked += 1
        return super().get(*args)

    def __contains__(self, key: object) -> bool:
        self.asked += 1
        return super().__contains__(key)


@pytest.mark.parametrize("letters", ["a", "ab", "abcdefghijklmnopqrstuvwxyz", "家の赤"])
def test_long_words_take_linear_work(letters: str, clip: Tokenizer) -> None:
    """Merges asked for: a fixed number a byte, whatever the length, and never more than a few."""
    rng = random.Random(0)
    for size in (500, 1000, 2000, 16000):
        ranks = CountedRanks((pair, rank) for rank, pair in enumerate(clip.merges))
        word = "".join(rng.choices(letters, k=size))
        module._pieces(ranks, word)
        assert ranks.asked <= 4 * len(word.encode())


def test_a_megabyte_is_no_matter() -> None:
    """Each of these took quadratic time in one of the steps before."""
    for tokenizer in (fast(), shared()):
        assert len(tokenizer.encode("a red apple, " * 40_000)) == 160_000
        for text in ("a" + "\u0301\u0316" * 30_000, "&#769;&#790;" * 10_000, "x " * 200_000, " " * 1_000_000, "赤い家" * 5_000):
            assert len(tokenizer.padded(text)) == 77


def test_marks_in_any_number_are_composed_as_unicode_says() -> None:
    rng = random.Random(1)
    marks = [*map(chr, range(0x300, 0x370)), "\u05b0", "\u3099", "\u0f71", "\u0f73"]
    for _ in range(300):
        text = "".join(rng.choice(["a", "e", "か"]) if rng.random() < 0.01 else rng.choice(marks) for _ in range(150))
        assert module._nfc(text) == unicodedata.normalize("NFC", text)


def test_only_short_words_are_kept_and_not_too_many(clip: Tokenizer) -> None:
    tokenizer = Tokenizer.clip()
    tokenizer.encode("x" * 65)
    assert tokenizer._known_pieces.cache_info().currsize == 0
    tokenizer.encode(" ".join(f"{'abcdefghij'[i % 10]}q{'z' * (i % 50)}" for i in range(500)))
    info = tokenizer._known_pieces.cache_info()
    assert 0 < info.currsize <= 500
    assert info.maxsize is not None


def test_a_tokenizer_can_be_copied_and_pickled(clip: Tokenizer) -> None:
    for twin in (copy.deepcopy(clip), pickle.loads(pickle.dumps(clip)), pickle.loads(pickle.dumps(fast()))):
        assert twin.rules in ("openai", "fast")
        assert twin.padded("A cat &amp; a dog") == (clip if twin.rules == "openai" else fast()).padded("A cat &amp; a dog")


def test_bytes_the_table_lacks_are_unknown(tmp_path: Path) -> None:
    vocab = {"a": 0, "a</w>": 1, "b": 2, "ab": 3, START: 4, END: 5}
    ours = Tokenizer(vocab, [("a", "b")], pad=5)
    assert ours.encode("ab aba z") == [0, 5, 3, 1, 5]
    ours.save(tmp_path)
    assert_same(Tokenizer.from_folder(tmp_path), CLIPTokenizer.from_pretrained(tmp_path), ["ab aba z", "b a c", "éa", "a!"])


def test_tables_with_two_ways_to_a_token_join_in_the_order_of_transformers(tmp_path: Path) -> None:
    """A merge may then open the way to a better one; random small tables find every such case."""
    rng = random.Random(3)
    for number in range(20):
        letters = [letter + end for letter in "abc" for end in ("", END_OF_WORD)]
        tokens, merges = list(letters), []
        for _ in range(40):
            left, right = rng.choice([token for token in tokens if not token.endswith(END_OF_WORD)]), rng.choice(tokens)
            if len(left + right) < 10 and (left, right) not in merges:
                merges.append((left, right))
                tokens = list(dict.fromkeys([*tokens, left + right]))
        rng.shuffle(merges)
        vocab = {token: id for id, token in enumerate([*tokens, START, END])}
        Tokenizer(vocab, merges, pad=vocab[END], length=40).save(tmp_path / str(number))
        prompts = ["".join(rng.choices("abc", k=rng.randrange(1, 30))) for _ in range(100)]
        assert_same(Tokenizer.from_folder(tmp_path / str(number)), CLIPTokenizer.from_pretrained(tmp_path / str(number)), prompts)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda v, m: Tokenizer(v, m, pad=99999), "99999"),
        (lambda v, m: Tokenizer(v, m, pad=0, length=1), "length is 1"),
        (lambda v, m: Tokenizer(v, [*m, ("q", "zz")], pad=0), "'zz'"),
        (lambda v, m: Tokenizer(v, m, pad=0, rules="slow"), "'slow'"),
        (lambda v, m: Tokenizer(v, m, pad=0, specials=Specials(start="<s>")), "'<s>'"),
    ],
)
def test_parts_that_do_not_fit_are_refused(make: Callable[[Any, Any], Tokenizer], says: str) -> None:
    vocab = {"a": 0, "a</w>": 1, "q": 2, START: 3, END: 4}
    with pytest.raises(ValueError, match=says):
        make(vocab, [])


def break_one(name: str, content: str | bytes | None) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


BROKEN = {
    "no vocab": (break_one("vocab.json", None), "vocab.json"),
    "no merges": (break_one("merges.txt", None), "merges.txt"),
    "cut vocab": (break_one("vocab.json", '{"a": 1, "b'), "vocab.json"),
    "vocab is a list": (break_one("vocab.json", "[]"), "vocab.json"),
    "vocab is empty": (break_one("vocab.json", "{}"), "vocab.json"),
    "deep vocab": (break_one("vocab.json", "[" * 100_000), "vocab.json"),
    "id is text": (break_one("vocab.json", '{"a": "1"}'), "vocab.json"),
    "id is true": (break_one("vocab.json", '{"a": true}'), "vocab.json"),
    "id is negative": (break_one("vocab.json", '{"a": -1}'), "vocab.json"),
    "id twice": (break_one("vocab.json", '{"a": 1, "b": 1}'), "vocab.json"),
    "not UTF-8": (break_one("merges.txt", b"\xff\xfe\n"), "merges.txt"),
    "one part": (break_one("merges.txt", "#version\na\n"), "merge 1"),
    "three parts": (break_one("merges.txt", "a b\na b c\n"), "merge"),
    "unknown part": (break_one("merges.txt", "a zz\n"), "zz"),
    "no start": (break_one("vocab.json", '{"a": 0, "b": 1, "ab": 2}'), "startoftext"),
    "unknown pad": (break_one("special_tokens_map.json", '{"pad_token": "[PAD]"}'), "PAD"),
    "pad is a number": (break_one("special_tokens_map.json", '{"pad_token": 3}'), "3"),
    "length is text": (break_one("tokenizer_config.json", '{"model_max_length": "77"}'), "model_max_length"),
    "length is NaN": (break_one("tokenizer_config.json", '{"model_max_length": NaN}'), "model_max_length"),
    "single word": (break_one("special_tokens_map.json", json.dumps({"pad_token": named("a", single_word=True)})), "single_word"),
    "another model": (break_one("tokenizer.json", '{"model": {"type": "Unigram", "vocab": []}}'), "tokenizer.json"),
    "no model": (break_one("tokenizer.json", "{}"), "tokenizer.json"),
    "no merges in the model": (break_one("tokenizer.json", '{"model": {"type": "BPE", "vocab": {"a": 0}}}'), "merge 1"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_folder_is_one_line_in_both_languages(kind: str, tmp_path: Path) -> None:
    Tokenizer({"a": 0, "b": 1, "ab": 2, START: 3, END: 4}, [("a", "b")], pad=4).save(tmp_path)
    change, says = BROKEN[kind]
    (tmp_path / "tokenizer_config.json").unlink()  # its list of names would put the older files out of use
    change(tmp_path)
    with pytest.raises(FileError, match=r"(?s)" + regex.escape(says)) as caught:
        Tokenizer.from_folder(tmp_path)
    for text in (caught.value.en, caught.value.ja):
        assert str(tmp_path) in text
        assert "\n" not in text
    assert any("\u3040" <= letter <= "\u30ff" for letter in caught.value.ja)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such folder"):
        Tokenizer.from_folder(tmp_path / "none")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot write"):
        fast().save(tmp_path / "file")


def test_every_byte_has_a_letter_of_its_own() -> None:
    assert Counter(map(byte_name, range(256))) == Counter(module.byte_letters())
    assert [token_bytes(letter) for letter in module.byte_letters()] == [bytes([byte]) for byte in range(256)]
