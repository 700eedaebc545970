"""Japanese prompts in English: words, order, syntax that stays, and texts that nobody would write."""

import importlib.util
import random
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

import kakusan
from kakusan.prompts.japanese.inflection import BASES
from kakusan.prompts.japanese.kana import romanised
from kakusan.prompts.japanese.layout import HAS_JAPANESE
from kakusan.prompts.japanese.lexicon import entries, lexicon
from kakusan.prompts.japanese.segmentation import segmented
from kakusan.prompts.japanese.tables import rows

BENCHMARK = Path(__file__).parents[2] / "benchmarks/japanese.py"

SENTENCES = {
    "白い背景に赤いリンゴ": "red apple on white background",
    "馬に乗る宇宙飛行士の写真": "photo of astronaut riding horse",
    "桜の木の下で本を読む猫": "cat reading book under cherry tree",
    "ラーメンを食べるロボット": "robot eating ramen",
    "龍と戦う騎士": "knight fighting dragon",
    "浮世絵風の富士山と波": "ukiyo-e style Mount Fuji and waves",
    "森の中の小さな木造の家": "small wooden house in forest",
    "青い目の黒猫のクローズアップ写真": "close-up photo of black cat with blue eyes",
    "ガラスで作られた透明な蝶": "transparent butterfly made of glass",
    "可愛い柴犬が草原を走っている": "cute Shiba Inu running across grassland",
    "三匹の猫と二羽の鳥": "three cats and two birds",
    "猫３匹": "three cats",
    "20歳の女性": "20-year-old woman",
    "傘を持たない少女": "girl without umbrella",
    "本を読んでいない少年": "boy not reading book",
    "壊れた時計と枯れた薔薇": "broken clock and withered rose",
    "机の上の赤いりんごと緑の本": "red apple on desk and green book",
    "髪の長い少女": "long-haired girl",
    "空が青い": "blue sky",
    "ゴッホ風の猫": "cat in the style of Van Gogh",
    "背景に地球": "Earth in the background",
    "コーヒーを飲みながら窓の外を見る女性": "woman looking outside the window while drinking coffee",
    "犬を描いてください": "dog",
    "走る犬": "running dog",
    "海辺で、犬と歩く少女": "girl walking at seaside with dog",
    "サラリーマン 油絵": "office worker, oil painting",
}

KEPT = {
    "": "",
    "a red apple, (masterpiece:1.2) ＡＢＣ": "a red apple, (masterpiece:1.2) ＡＢＣ",
    "(赤い猫:1.3)": "(red cat:1.3)",
    "（赤い猫：１．３）": "(red cat:1.3)",
    "猫、<lora:猫:0.8>, [犬:鳥:0.5] BREAK 海 AND 空": "cat, <lora:猫:0.8>, [dog:bird:0.5] BREAK sea AND sky",
    "(富士山:1.3)の写真": "photo of (Mount Fuji:1.3)",
    "{赤い|青い}猫": "{red|blue} cat",
    "[猫:犬:0.5]がソファで寝ている": "[cat:dog:0.5] sleeping on sofa",
    "美しい湖、8k, 35mm, --ar 16:9": "beautiful lake, 8k, 35mm, --ar 16:9",
    "a cat on a ソファ, 傑作": "a cat on a sofa, masterpiece",
    "cyberpunkな東京": "cyberpunk Tokyo",
    "__動物__と猫": "__動物__ and cat",
    r"\(猫\)": r"\(cat\)",
    "「猫」": '"cat"',
}

FORMS = {
    "食べる": "食べた 食べて 食べている 食べていた 食べない 食べなかった 食べます 食べました 食べません 食べられる 食べられた 食べさせる "
    "食べたい 食べながら 食べず",
    "飲む": "飲んだ 飲んで 飲んでいる 飲まない 飲みます 飲まれる 飲ませる 飲める 飲みたい 飲みながら 飲めば 飲もう 飲んでください",
    "書く": "書いた 書いて 書いている 書かない 書かれた 書かれている 書きます 書ける 書いてある 書かせる 書かず",
    "泳ぐ": "泳いだ 泳いでいる 泳がない 泳ぎます 泳げる",
    "話す": "話した 話している 話さない 話します 話される",
    "持つ": "持った 持っている 持たない 持ちます 持たせる 持たず 持たれる",
    "遊ぶ": "遊んだ 遊んでいる 遊ばない 遊びます 遊ばせる",
    "座る": "座った 座っている 座らない 座ります 座れる 座ったまま",
    "買う": "買った 買っている 買わない 買います 買える 買われた",
    "行く": "行った 行って 行かない 行きます 行ける",
    "散歩する": "散歩した 散歩している 散歩しない 散歩します 散歩させる 散歩したい",
    "着る": "着た 着ている 着て 着ない 着ます 着られる 着せる",
}
WITHIN = {"着せる": "着せる", "散歩させる": "散歩させる", "遊ばせる": "遊ばせる", "食べさせる": "食べさせる"}
"""Forms that have entries of their own."""


@pytest.mark.parametrize(("japanese", "english"), SENTENCES.items())
def test_sentences(japanese: str, english: str) -> None:
    assert kakusan.translate(japanese).english == english


@pytest.mark.parametrize(("prompt", "english"), KEPT.items())
def test_what_is_no_japanese_stays(prompt: str, english: str) -> None:
    assert kakusan.translate(prompt).english == english


@pytest.mark.parametrize("verb", FORMS)
def test_forms_of_a_verb_lead_back_to_it(verb: str) -> None:
    """Against forms written by hand."""
    (plain,) = segmented(verb)
    for form in FORMS[verb].split():
        tokens = segmented(form)
        assert [token.kind for token in tokens] == ["verb"], (form, tokens)
        if form not in WITHIN:
            assert tokens[0].word == plain.word, form


def test_adjectives_and_rules() -> None:
    for form in ("赤い", "赤くて", "赤かった", "赤くない"):
        (token,) = segmented(form)
        assert token.word is not None
        assert token.word.english == "red"
    assert len(rows("inflection", 4)) + len(rows("adjective_inflection", 3)) >= 80


def test_words_that_are_not_known() -> None:
    told = kakusan.translate("ゼンデイヤのポートレート")
    assert told.english == "portrait of zendeiya"
    assert told.unknown == ("ゼンデイヤ",)
    told = kakusan.translate("鱶鰭の写真")
    assert told.unknown == ("鱶鰭",)
    assert told.english.isascii()
    pieces = kakusan.translate("赤い猫, cat").pieces
    assert [(piece.text, piece.english, piece.kind) for piece in pieces][:2] == [("赤い", "red", "word"), ("猫", "cat", "word")]


@pytest.mark.parametrize(
    ("kana", "letters"),
    [
        ("シャチホコ", "shachihoko"),
        ("マッチャ", "matcha"),
        ("ニッポン", "nippon"),
        ("ファン", "fan"),
        ("りゅう", "ryuu"),
        ("ジェット", "jetto"),
    ],
)
def test_hepburn(kana: str, letters: str) -> None:
    assert romanised(kana) == letters


def test_every_entry_is_whole() -> None:
    seen: set[tuple[str, str]] = set()
    found = entries()
    for spellings, word in found:
        assert word.english.isascii(), word
        assert word.english == word.english.strip(), word
        assert word.english or word.has("be"), word
        for spelling in spellings:
            assert HAS_JAPANESE.search(spelling) or spelling.isascii(), spelling
            assert (spelling, word.kind) not in seen, spelling
            seen.add((spelling, word.kind))
            assert word.kind != "i" or spelling.endswith("い"), spelling
    assert len(found) >= 6000
    assert {name for pairs in lexicon().stems.values() for _, name in pairs} <= {*BASES, "i"}


def test_the_reference_prompts() -> None:
    """Those that were held out as well: nouns recalled 0.95, relations in order 0.8, as the benchmark counts."""
    benchmark = _benchmark()
    groups: dict[str, list[tuple[int, ...]]] = {}
    for prompt in benchmark.prompts():
        groups.setdefault(prompt.group, []).append(benchmark.scored(prompt, kakusan.translate(prompt.japanese).english))
    assert {group: len(some) for group, some in groups.items()} == {"held-out": 40, "published": 20, "tuned": 60}
    for some in groups.values():
        nouns, recalled, relations, ordered = map(sum, zip(*some, strict=True))
        assert recalled >= 0.95 * nouns
        assert ordered >= 0.8 * relations


def test_the_benchmark_counts_order() -> None:
    benchmark = _benchmark()
    prompt = next(prompt for prompt in benchmark.prompts() if prompt.japanese == "ラーメンを食べるロボット")
    assert benchmark.judged(prompt, "ramen eating robot") == ([], ["robot eating ramen"])
    assert benchmark.judged(prompt, "a robot, eating ramen") == ([], ["robot eating ramen"])
    assert benchmark.judged(prompt, "robots eating a bowl of ramen") == ([], [])
    assert benchmark.judged(prompt, "a machine eating noodles")[0] == ["ramen", "robot"]
    by_hand = [benchmark.judged(prompt, prompt.english) for prompt in benchmark.prompts()]
    assert sum(bool(lost or broken) for lost, broken in by_hand) == 0


def test_no_text_is_an_error() -> None:
    book = lexicon()
    odd = [
        "(赤い猫:1.3)",
        "<lora:猫:1>",
        "BREAK",
        "AND",
        "cat",
        "\uf8ff",
        "\ud800",
        "が゙",
        "ｶﾞ",
        "é",
        "한",
        "\n",
        "\0",
        "・",
        "ー",
        "っ",
        "[",
        "]]",
        "「",
        "__",
    ]
    words = [*book.words, *book.stems, *odd * 40, *"のにをはがとでもやへ、。()[]{}<>:|\\_1２３匹人っているないた　上下中風" * 20]
    chance = random.Random(5)
    for _ in range(800):
        text = "".join(chance.choices(words, k=chance.randint(0, 12)))
        told = kakusan.translate(text)
        assert told.english == kakusan.translate(text).english


@pytest.mark.parametrize("text", ["猫が", "赤い", "ア", "漢", "一", "((", "(猫)の", "猫、", "本を読んで"])
def test_time_grows_with_the_length(text: str) -> None:
    kakusan.translate(text * 100)
    short, long = (min(_seconds(text * times) for _ in range(3)) for times in (300, 1500))
    assert long < 12 * short + 0.05  # 5 times as long; the square would be 25 times


def test_brackets_in_brackets_without_end() -> None:
    assert kakusan.translate("(" * 30000 + "猫" + ")" * 30000).english == "(" * 30000 + "cat" + ")" * 30000
    assert kakusan.translate("猫(" * 3000).english.count("cat") == 3000
    assert kakusan.translate("猫(" * 50 + "犬" + ")猫" * 50).english.count("dog") == 1


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, kakusan; kakusan.translate('猫'); print({'torch', 'numpy', 'PIL', 'transformers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"


def _seconds(text: str) -> float:
    start = time.perf_counter()
    kakusan.translate(text)
    return time.perf_counter() - start


def _benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("japanese_benchmark", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
