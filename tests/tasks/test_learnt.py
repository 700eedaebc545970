"""LoRAs and learnt words in recipes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kakusan.errors import KakusanError
from kakusan.tasks.learnt import Learnt, Use, asked
from kakusan.tasks.recipe import Recipe

PLAIN = Recipe("a cat", "", 8, 8, 5, "euler", "karras", 7.0, 1)
NAMES = st.text(st.characters(blacklist_categories=("C", "Z"), blacklist_characters='<>:,"'), min_size=1, max_size=9)
STRENGTHS = st.floats(-100, 100)


@given(
    st.lists(st.builds(Use, NAMES, STRENGTHS, STRENGTHS), max_size=3),
    st.dictionaries(NAMES, st.text("0123456789abcdef", min_size=10, max_size=12), max_size=3),
)
def test_there_and_back(loras: list[Use], hashes: dict[str, str]) -> None:
    recipe = replace(PLAIN, learnt=Learnt(tuple(loras), tuple(hashes.items()), tuple(hashes.items())))
    assert Recipe.parse(recipe.parameters()) == recipe


def test_as_automatic1111_writes_hashes() -> None:
    learnt = Learnt((Use("ink", 0.5, 0.8),), (("ink", "0123456789ab"), ("wash", "ab0123456789")), (("toy", "0123456789"),))
    said = replace(PLAIN, learnt=learnt).parameters()
    assert 'Lora hashes: "ink: 0123456789ab, wash: ab0123456789", TI hashes: "toy: 0123456789"' in said
    assert 'Loras: "<lora:ink:0.8:0.5>"' in said


def test_strengths_that_are_asked_for() -> None:
    assert asked(None) is None
    assert asked({}) == Learnt()
    assert asked({"a": 1, "b": (0.5, 0)}) == Learnt((Use("a"), Use("b", 0.5, 0.0)))
    for wrong in ("strong", (1, 2, 3), ("a", 1), float("nan"), 1e9):
        with pytest.raises(KakusanError, match="LoRA a: its strength is"):
            asked({"a": wrong})  # type: ignore[dict-item]


def test_what_cannot_be_is_left_out() -> None:
    assert Learnt.of_settings({"Loras": "<lora:a:1e9> <lora:b> lora <lora:c:1:0.5>", "Lora hashes": ",,x"}) == Learnt((Use("c", 0.5, 1.0),))
