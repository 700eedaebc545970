"""Captions say what is in the picture, in both languages, in many ways."""

import re
from collections import defaultdict

import pytest

from data.sprites import synthetic_pack
from kakusan.data.pictures import COLOURS, CONCEPT, CONCEPTS, WORLDS, Chance, Pictures, attributes, caption
from kakusan.data.pictures import english_words as en
from kakusan.data.pictures import japanese_words as ja
from kakusan.data.pictures.english import article, plural
from kakusan.data.pictures.places import PATTERNS, PLACES, STYLES
from kakusan.data.pictures.scene import Scene

FULL = Pictures(synthetic_pack(), WORLDS["full"], seed=11)
SCENES = [FULL.spec(index) for index in range(2000)]
COLOUR = {colour.name: colour for colour in COLOURS}


def said(scene: Scene, language: str, templates: str = "train") -> list[tuple[str, bool]]:
    return [tuple(one) for one in FULL.say(scene, language, 2, templates)]


@pytest.mark.parametrize("templates", ["train", "held_out"])
@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_thing_and_its_paint_is_named(language: str, templates: str) -> None:
    for scene in SCENES:
        for text, _ in said(scene, language, templates):
            for thing in scene.things:
                nouns = CONCEPT[thing.concept].en if language == "en" else CONCEPT[thing.concept].ja
                plurals = [plural(noun) for noun in nouns] if language == "en" else []
                assert any(noun in text for noun in (*nouns, *plurals)), (text, scene)
                if thing.colour:
                    colour = COLOUR[thing.colour]
                    assert any(word in text for word in (colour.en if language == "en" else colour.ja)), (text, scene)


@pytest.mark.parametrize("templates", ["train", "held_out"])
@pytest.mark.parametrize("language", ["en", "ja"])
def test_backgrounds_and_styles_are_named(language: str, templates: str) -> None:
    words = en if language == "en" else ja
    for scene in SCENES:
        kind, name = scene.background.kind, scene.background.name
        for text, named in said(scene, language, templates):
            if kind in ("solid", "gradient"):
                options = COLOUR[name].en if language == "en" else COLOUR[name].ja + COLOUR[name].ja_noun
            elif kind != "hidden":
                options = words.PATTERNS[name] if kind == "pattern" else sum(words.PLACES[name], ())
            assert kind != "hidden" or not named
            if named:
                assert any(option in text for option in options), (text, scene)
            if scene.style:
                forms = [form.replace("{}", "") for form in sum(words.STYLES[scene.style], ())]
                assert any(form in text for form in forms), (text, scene)


def test_counts_and_relations_are_named() -> None:
    for scene in SCENES:
        for text, _ in said(scene, "en"):
            if scene.layout == "count":
                assert any(re.search(rf"\b{number}\b", text) for number in en.NUMBERS[len(scene.things)]), (text, scene)
            if scene.layout == "pair":
                pattern = {
                    "left": "left|right",
                    "right": "left|right",
                    "above": "above|below|over|under|top",
                    "below": "above|below|over|under|top",
                }
                assert re.search(pattern.get(scene.relation, "front|behind|next|beside|and|with"), text), (text, scene)


def test_the_other_side_of_a_relation_names_the_things_the_other_way_round() -> None:
    scene = next(scene for scene in SCENES if scene.layout == "pair" and scene.relation == "left")
    first, second = (CONCEPT[thing.concept].en for thing in scene.things)
    for text in FULL.captions(scene, "en", 200):
        before = min(text.find(noun) for noun in first if noun in text) < min(text.find(noun) for noun in second if noun in text)
        assert before == ("left" in re.search("left|right", text)[0]), text  # whichever is named first in "a left of b", "b right of a"


def test_wordings_of_training_and_judging_are_apart() -> None:
    for words in (en, ja):
        for field in ("frames", "joined", "listed", "on_colour", "in_place", "listed_in_place", "alone"):
            assert not set(getattr(words.TRAIN, field)) & set(getattr(words.HELD_OUT, field))
    scenes = [scene for scene in SCENES if scene.layout == "single"][:300]
    for language in ("en", "ja"):
        trained = {text for scene in scenes for text in FULL.captions(scene, language, 40)}
        asked = {text for scene in scenes for text in FULL.captions(scene, language, 10, "held_out")}
        assert len(trained) > 5000
        assert not trained & asked


def test_one_scene_has_many_captions_and_always_the_same() -> None:
    small = Pictures(synthetic_pack(), WORLDS["small"])
    for language, fewest in (("en", 60), ("ja", 50)):
        texts = small.captions(small.spec(5), language, 200)
        assert texts == small.captions(small.spec(5), language, 200)
        assert texts[:7] == small.captions(small.spec(5), language, 7)
        assert len(set(texts)) > fewest
        assert not any("{" in text or "  " in text for text in texts)


def test_nouns_are_complete_and_belong_to_one_concept() -> None:
    owners = defaultdict(set)
    for concept in CONCEPTS:
        assert concept.en
        assert concept.ja
        assert concept.counter
        for noun in concept.en + concept.ja:
            owners[noun].add(concept.name)
    assert len(CONCEPTS) == 80
    assert {noun: names for noun, names in owners.items() if len(names) > 1} == {}
    assert len({concept.points for concept in CONCEPTS}) == 80


def test_every_word_list_covers_what_can_occur() -> None:
    for words in (en, ja):
        assert set(words.STYLES) == set(STYLES)
        assert set(words.PLACES) == set(PLACES)
        assert set(words.PATTERNS) == set(PATTERNS)


def test_grammar() -> None:
    assert [article(noun) for noun in ("apple", "cat", "unicorn", "umbrella", "sushi", "cup of coffee")] == [
        "an apple",
        "a cat",
        "a unicorn",
        "an umbrella",
        "sushi",
        "a cup of coffee",
    ]
    assert [plural(noun) for noun in ("cat", "cherry", "fox", "bus", "fish", "cactus", "monkey")] == [
        "cats",
        "cherries",
        "foxes",
        "buses",
        "fish",
        "cacti",
        "monkeys",
    ]


def test_attributes_and_bad_names() -> None:
    counted = next(scene for scene in SCENES if scene.layout == "count" and scene.background.kind == "solid" and not scene.style)
    told = attributes(counted)
    assert (told.concepts, told.count) == ((counted.things[0].concept,), len(counted.things))
    assert told.background == counted.background.name
    assert told.without_background().background is None
    with pytest.raises(ValueError, match="klingon"):
        caption(counted, "klingon", Chance(0, 0))
