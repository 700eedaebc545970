"""What pictures show: the same for everybody, and never a held-out combination."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from data.sprites import few_pictures, synthetic_pack
from kakusan.data.pictures import CONCEPT, CONCEPTS, PAINTS, WORLDS, Pack, Pictures, World, attributes, held_out, held_out_pairs
from kakusan.data.pictures.places import PLACES, STYLES

FULL = Pictures(synthetic_pack(), WORLDS["full"], seed=7)
SCENES = [FULL.spec(index) for index in range(5000)]


def test_a_scene_depends_on_nothing_but_seed_and_index() -> None:
    one, again, other = few_pictures(), few_pictures(), few_pictures(seed=8)
    assert [again.spec(index) for index in (4999, 3, 1234, 3)] == [one.spec(index) for index in (4999, 3, 1234, 3)]
    assert other.spec(3) != one.spec(3)


def test_another_process_makes_the_same_scenes_and_captions() -> None:
    program = (
        "from data.sprites import few_pictures\n"
        "few = few_pictures()\n"
        "print([(few.spec(i), few.captions(few.spec(i), 'ja', 3)) for i in (2, 99)])"
    )
    path = {"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "5", "PYTHONIOENCODING": "utf-8"}
    told = subprocess.run([sys.executable, "-c", program], env=path, capture_output=True, text=True, encoding="utf-8", check=True).stdout
    few = few_pictures()
    assert told.strip() == str([(few.spec(i), few.captions(few.spec(i), "ja", 3)) for i in (2, 99)])


@pytest.mark.parametrize("world", WORLDS)
def test_held_out_combinations_never_occur(world: str) -> None:
    pictures = Pictures(synthetic_pack(), WORLDS[world], seed=3)
    scenes = [pictures.spec(index) for index in range(5000)]
    seen = {(thing.concept, f"thing:{thing.colour}") for scene in scenes for thing in scene.things if thing.colour}
    backgrounds = [scene for scene in scenes if scene.background.kind != "hidden"]
    seen |= {(thing.concept, f"background:{scene.background.name}") for scene in backgrounds for thing in scene.things}
    assert len(seen) > 200
    assert not seen & set(held_out_pairs())


def test_held_out_pairs_are_one_in_ten_and_spread() -> None:
    paintable = [concept for concept in CONCEPTS if concept.paintable]
    painted = [(concept, attribute) for concept, attribute in held_out_pairs() if attribute.startswith("thing:")]
    behind = [(concept, attribute) for concept, attribute in held_out_pairs() if attribute.startswith("background:")]
    assert len(painted) == pytest.approx(len(paintable) * len(PAINTS) / 10, rel=0.2)
    for pairs, most in ((painted, 2), (behind, 4)):
        assert max(Counter(concept for concept, _ in pairs).values()) <= most
        assert max(Counter(attribute for _, attribute in pairs).values()) <= 9
    assert all(CONCEPT[concept].colour != attribute.removeprefix("thing:") for concept, attribute in painted)
    with pytest.raises(KeyError):
        held_out("apple", "background:nowhere")


def test_the_whole_world_occurs() -> None:
    assert {thing.concept for scene in SCENES for thing in scene.things} == {concept.name for concept in CONCEPTS}
    assert {scene.layout for scene in SCENES} == {"single", "place", "count", "pair", "triple"}
    assert {scene.style for scene in SCENES} == {None, *STYLES}
    assert {scene.background.name for scene in SCENES if scene.background.kind == "landscape"} == set(PLACES)
    assert {thing.colour for scene in SCENES for thing in scene.things} == {None, *PAINTS}
    assert {attributes(scene).count for scene in SCENES} == {1, 2, 3, 4}


def test_the_small_world_is_one_thing_on_a_plain_colour() -> None:
    small = Pictures(synthetic_pack(), WORLDS["small"])
    scenes = [small.spec(index) for index in range(1000)]
    assert {scene.background.kind for scene in scenes} == {"solid"}
    assert {len(scene.things) for scene in scenes} == {1}
    assert {scene.things[0].rendering for scene in scenes} == {"3d", "glossy"}
    assert all(0.62 <= scene.things[0].size <= 0.80 for scene in scenes)
    paintable = [scene for scene in scenes if CONCEPT[scene.things[0].concept].paintable]
    assert sum(scene.things[0].colour is not None for scene in paintable) / len(paintable) == pytest.approx(0.3, abs=0.06)


def test_pairs_stand_as_their_relation_says() -> None:
    pairs = [scene for scene in SCENES if scene.layout == "pair"]
    sides = {"left": (-1, 0), "right": (1, 0), "above": (0, -1), "below": (0, 1)}
    checked = 0
    for scene in pairs:
        first, second = scene.things
        if scene.relation in sides:
            x, y = sides[scene.relation]
            middles = first.y - first.size / 2, second.y - second.size / 2
            assert (first.x - second.x) * x + (middles[0] - middles[1]) * y > 0.15, scene
            checked += 1
        elif scene.relation == "front":
            assert first.y > second.y, scene  # drawn last, because it stands lower
    assert checked > 300


def test_things_stay_in_the_picture() -> None:
    for scene in SCENES:
        for thing in scene.things:
            assert abs(thing.x - 0.5) + thing.size / 2 < 0.53, scene
            assert thing.y < 1.03, scene
            assert thing.y - thing.size * FULL.cast.sprites[thing.concept, thing.rendering].height > -0.06, scene


def test_unknown_names_and_empty_worlds_are_refused() -> None:
    with pytest.raises(ValueError, match="zebra"):
        World(concepts=("zebra",))
    with pytest.raises(ValueError, match="at least one"):
        replace(WORLDS["small"], colours=())
    with pytest.raises(ValueError, match="no drawing of"):
        Pictures(Pack({}), WORLDS["small"])
    hidden = next(concept for concept, attribute in held_out_pairs() if attribute == "background:white")
    alone = Pictures(synthetic_pack(), replace(WORLDS["small"], concepts=(hidden,), colours=("white",)))
    with pytest.raises(ValueError, match="more colours"):
        alone.spec(0)
