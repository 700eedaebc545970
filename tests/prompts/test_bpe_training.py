"""Tables learnt from captions: CLIP's format, clean Japanese pieces, agreement with transformers and with a plain trainer."""

import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from kakusan.prompts.bpe_training import _allowed, _count_pieces, split_scripts, train
from kakusan.prompts.tokenizer import Tokenizer, byte_letters, byte_tokens, fast_words, token_bytes
from kakusan.prompts.tokenizer_files import END, START

THINGS = {
    "cat": "猫", "dog": "犬", "apple": "りんご", "house": "家", "robot": "ロボット", "star": "星", "banana": "バナナ", "fish": "魚",
    "umbrella": "傘", "cup": "コップ", "castle": "城", "astronaut": "宇宙飛行士", "bicycle": "自転車", "rabbit": "うさぎ", "flower": "花",
}  # fmt: skip
COLOURS = {"red": "赤い", "blue": "青い", "green": "緑の", "yellow": "黄色い", "black": "黒い", "white": "白い", "pink": "ピンクの"}
PLACES = {"sea": "海", "night sky": "夜空", "snow": "雪", "forest": "森", "room": "部屋"}


def captions(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        (thing, mono), (other, betsu) = rng.sample(list(THINGS.items()), 2)
        (colour, iro), (shade, shoku) = rng.sample(list(COLOURS.items()), 2)
        place, basho = rng.choice(list(PLACES.items()))
        english = (f"a {colour} {thing}", f"A {shade} {other} next to the {thing}, {place}", f"{rng.randrange(2, 5)} {thing}s' friends")
        japanese = (f"{iro}{mono}", f"{basho}の下の{mono}", f"{shoku}背景の{iro}{mono}と{betsu}", f"{mono}、{basho}")
        made.append(rng.choice(rng.choice((english, japanese))))
    return made


@pytest.fixture(scope="module")
def learnt() -> Tokenizer:
    return train(captions(4000), 1024)


def test_the_vocabulary_has_clips_order(learnt: Tokenizer) -> None:
    letters = byte_tokens()
    tokens = sorted(learnt.vocab, key=learnt.vocab.__getitem__)
    assert sorted(learnt.vocab.values()) == list(range(len(learnt)))
    assert tokens[:256] == list(letters)
    assert tokens[256:512] == [letter + "</w>" for letter in letters]
    assert tokens[512:-2] == list(dict.fromkeys(left + right for left, right in learnt.merges))
    assert tokens[-2:] == [START, END]
    assert (learnt.start, learnt.end, learnt.pad) == (len(learnt) - 2, len(learnt) - 1, len(learnt) - 1)


def test_the_size_is_kept(learnt: Tokenizer) -> None:
    assert len(train(captions(4000), 700)) == 700
    assert 700 < len(learnt) <= 1024
    assert len(train([], 2000)) == 514
    assert train(captions(4000), 700).merges == learnt.merges[:186]
    assert train(["a"], 514, length=16).length == 16
    with pytest.raises(ValueError, match="size is 513"):
        train(["a"], 513)


def test_the_order_of_the_captions_does_not_matter(learnt: Tokenizer) -> None:
    mixed = captions(4000)
    random.Random(5).shuffle(mixed)
    assert train(iter(mixed), 1024).vocab == learnt.vocab


def test_merges_agree_with_counting_anew() -> None:
    """Algorithm 1 as it stands, all pairs counted again for every merge."""
    pieces = _count_pieces(captions(150))
    rows = {piece: list(piece) for piece in pieces}
    allowed, merges = _allowed(), []
    for _ in range(150):
        counts: Counter[tuple[str, str]] = Counter()
        for piece, row in rows.items():
            for pair in pairwise(row):
                counts[pair] += pieces[piece] if allowed(*pair) else 0
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        assert counts[best] >= 2
        merges.append(best)
        for piece, row in rows.items():
            joined: list[str] = []
            while row:
                taken = 2 if tuple(row[:2]) == best else 1
                joined.append("".join(row[:taken]))
                del row[:taken]
            rows[piece] = joined
    assert train(captions(150), 514 + 150).merges == merges


def test_runs_of_one_letter() -> None:
    """Pairs that overlap themselves are joined from the left, and their counts stay right."""
    assert train(["aaaa aaaaaaa"] * 2, 1000).merges[0] == ("a", "a")
    tokenizer = train(["aaaaaaaaaa baaaab"] * 3, 1000)
    assert len(tokenizer.encode("aaaaaaaaaa")) == 1


@pytest.mark.parametrize(
    ("word", "pieces"),
    [
        ("赤いりんごの家", "赤 い りんご の 家"),
        ("夜空の下の家", "夜空 の 下 の 家"),
        ("馬に乗るロボット", "馬 に 乗 る ロボット"),
        ("ラーメンを食べる", "ラーメン を 食 べる"),
        ("らーめん", "らーめん"),
        ("佐々木のテレビゲーム", "佐々木 の テレビゲーム"),
        ("cat猫", "cat 猫"),
        ("のの", "の の"),
        ("ー", "ー"),
        ("、", "、"),
    ],
)
def test_words_are_cut_where_the_script_changes(word: str, pieces: str) -> None:
    assert split_scripts(word) == pieces.split()


def test_nothing_is_lost_in_cutting() -> None:
    for caption in [*captions(500), "한국어 ñandú Привет 𠮷野家 か\u3099 ｶﾞﾗｽ 👍🏽", "ゝ々〆ヶ・ー゛"]:
        for word in fast_words(caption):
            assert "".join(split_scripts(word)) == word


def test_no_token_crosses_a_border_or_breaks_a_letter(learnt: Tokenizer) -> None:
    """Every token is whole letters within one piece, or the first bytes of one letter."""
    for left, right in learnt.merges:
        spelt = token_bytes(left + right)
        try:
            text = spelt.decode()
        except UnicodeDecodeError:
            assert spelt[0] >= 0xC0
            assert all(0x80 <= byte < 0xC0 for byte in spelt[1:])
            assert len(spelt) < 4
        else:
            assert len(split_scripts(text)) == 1


def test_the_ordinary_tokenizer_keeps_the_borders(learnt: Tokenizer) -> None:
    """It knows no borders, yet on unseen captions it cuts at nearly all of them."""
    kept = total = 0
    for caption in set(captions(2000, seed=9)) - set(captions(4000)):
        clean, ends = learnt.clean(caption), {token.end for token in learnt.words(caption)}
        place = 0
        for word in fast_words(caption):
            place = clean.index(word, place)
            for piece in split_scripts(word):
                place += len(piece)
                kept += place in ends
                total += 1
    assert total > 1000
    assert kept / total > 0.99


def test_words_become_tokens(learnt: Tokenizer) -> None:
    for caption, pieces in {
        "夜空の下の家": "夜空 の 下 の 家",
        "赤い猫": "赤 い 猫",
        "猫、夜空": "猫 、 夜空",
        "a red apple next to the dog": "a red apple next to the dog",
    }.items():
        assert [word.piece for word in learnt.words(caption)] == pieces.split()
    lengths = [len(learnt.encode(caption)) for caption in captions(500, seed=2)]
    assert max(lengths) <= 14


def test_every_text_can_be_written(learnt: Tokenizer) -> None:
    for text in ("unseen words 宇宙船", "👍🏽 ñ é ½", "x\u0301", "".join(map(chr, range(33, 127)))):
        assert "".join(learnt.decode(learnt.encode(text)).split()) == "".join(learnt.clean(text).split())
        assert learnt.end not in learnt.encode(text)


@pytest.mark.parametrize("size", [514, 600, 1024])
def test_transformers_reads_the_table_alike(size: int, tmp_path: Path) -> None:
    ours = train(captions(4000), size, length=24)
    ours.save(tmp_path)
    theirs = CLIPTokenizer.from_pretrained(tmp_path)
    assert len(theirs) == len(ours)
    again = Tokenizer.from_folder(tmp_path)
    assert (again.vocab, again.merges, again.pad, again.length) == (ours.vocab, ours.merges, ours.pad, ours.length)
    prompts = [*captions(300, seed=4), "宇宙船と猫!!", f"a{END}b {START.upper()}", "Ünseen 👍🏽 1024x", "", "か\u3099\n\tい"]
    rows = theirs(prompts, padding="max_length", max_length=24, truncation=True).input_ids
    assert [ours.padded(prompt) for prompt in prompts] == rows
    assert [again.padded(prompt) for prompt in prompts] == rows


def test_letters_are_counted_with_the_end_of_the_run() -> None:
    """The last piece of a run ends the word, the others do not."""
    letters = byte_letters()
    cat = [letters[byte] for byte in "猫".encode()]
    pieces = _count_pieces(["猫", "猫の猫"])
    assert pieces[(*cat[:2], cat[2] + "</w>")] == 2
    assert pieces[tuple(cat)] == 1
