"""Which prompts are drawn in English, and what a recipe keeps of them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kakusan
from kakusan import KakusanError, Pipeline
from kakusan.prompts.japanese.translators import LEXICON, OFF, by_hand, translator
from kakusan.tasks.recipe import Recipe
from kakusan.tasks.translated import Translated, in_english, speaks_japanese, translation_notes

PLAIN = Recipe("赤い猫", "低品質", 8, 8, 5, "euler", "karras", 7.0, 1)
TEXTS = st.text(st.characters(blacklist_categories=("C",)), max_size=20)


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    """The embedded model."""
    return kakusan.load()


@given(st.sampled_from(["", "lexicon", "marian", "hand"]), TEXTS, TEXTS, TEXTS)
def test_there_and_back(by: str, prompt: str, negative: str, second: str) -> None:
    recipe = replace(PLAIN, translated=Translated(by, prompt, negative, second))
    assert Recipe.parse(recipe.parameters()).translated == recipe.translated


def test_english_is_drawn_and_japanese_kept() -> None:
    told = in_english(PLAIN, LEXICON)
    assert (told.prompt, told.negative) == ("red cat", "low quality")
    assert told.translated == Translated("lexicon", "赤い猫", "低品質")
    assert in_english(told, LEXICON) is told
    assert translation_notes(told) == ["in English: red cat", "negative prompt in English: low quality"]
    assert Recipe.parse(told.parameters()) == told
    assert "Translation: lexicon, Original prompt: 赤い猫, Original negative: 低品質" in told.parameters()


def test_nothing_to_do() -> None:
    english = replace(PLAIN, prompt="a red cat", negative="")
    assert in_english(english, LEXICON) is english
    assert in_english(PLAIN, OFF) is PLAIN


def test_what_nobody_knew_is_told() -> None:
    told = in_english(replace(PLAIN, prompt="ゼンデイヤの写真", negative=""), LEXICON)
    assert translation_notes(told) == ["in English: photo of zendeiya", "words without a translation: ゼンデイヤ"]


def test_ones_own_translation() -> None:
    assert in_english(PLAIN, by_hand("a crimson cat", "赤い猫")).prompt == "a crimson cat"
    own = in_english(PLAIN, translator(str.upper))
    assert own.translated.by == "callable"
    for wrong in (lambda text: 1 / 0, lambda text: None):
        with pytest.raises(KakusanError, match="the translating function"):
            in_english(PLAIN, translator(wrong))
    with pytest.raises(KakusanError, match="translate is 'deepl'"):
        translator("deepl")


def test_who_is_translated_for(pipe: Pipeline) -> None:
    """The embedded model knows Japanese; one that was shown none of its words does not."""
    assert speaks_japanese(pipe.model)
    assert pipe.translator is OFF
    english = Pipeline(replace(pipe.model, settings={"words": ["cat"]}))
    assert english.translator is LEXICON
    bilingual = Pipeline(replace(pipe.model, settings={"languages": ["en", "ja"]}))
    assert bilingual.translator is OFF


def test_a_call(pipe: Pipeline) -> None:
    said = pipe("赤いりんご", steps=1, seed=1, width=32, height=32)
    assert said.recipes[0].prompt == "赤いりんご"
    told = pipe("赤いりんご", negative="青", steps=1, seed=1, width=32, height=32, translate="lexicon")
    assert (told.recipes[0].prompt, told.recipes[0].negative) == ("red apple", "blue")
    assert told.notes[:2] == ["in English: red apple", "negative prompt in English: blue"]
    asked = pipe("red apple", negative="blue", steps=1, seed=1, width=32, height=32)
    assert told.images[0].tobytes() == asked.images[0].tobytes()
    own = pipe("赤いりんご", steps=1, seed=1, width=32, height=32, translate=lambda text: "a banana")
    assert own.recipes[0].prompt == "a banana"
    english = kakusan.load(translate="lexicon")
    assert english.recipes("赤いりんご")[0].prompt == "red apple"
