"""Words that mean nothing leave a caption's meaning whole."""

import pytest

from data.sprites import synthetic_pack
from kakusan.data.pictures import CONCEPT, WORLDS, Chance, Pictures
from kakusan.data.pictures.colours import COLOUR
from kakusan.training.strangers import estranged, meaningful, stranger

SMALL = Pictures(synthetic_pack(), WORLDS["small"])


@pytest.mark.parametrize("language", ["en", "ja"])
def test_names_of_things_and_colours_stay_whole(language: str) -> None:
    for index in range(300):
        scene = SMALL.spec(index)
        (text,) = SMALL.captions(scene, language)
        strange = estranged(text, Chance(1, index))
        assert len(strange) > len(text)
        assert [name for name in meaningful() if name in text and name not in strange] == []


@pytest.mark.parametrize("english", [True, False])
def test_a_stranger_names_nothing(english: bool) -> None:
    said = {stranger(english, Chance(2, index)) for index in range(2000)}
    assert len(said) > 1000
    assert not any(name in word for word in said for name in meaningful())


def test_the_same_chance_makes_the_same_caption() -> None:
    assert estranged("a red cat", Chance(3, 4)) == estranged("a red cat", Chance(3, 4))
    assert len({estranged("a red cat", Chance(3, index)) for index in range(50)}) > 45


def test_what_is_meaningful() -> None:
    words = set(meaningful())
    assert {"background", "背景", *CONCEPT["apple"].en, *CONCEPT["apple"].ja, *COLOUR["blue"].ja, *COLOUR["blue"].ja_noun} <= words
