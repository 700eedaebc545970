"""Four hundred prompts with their right answers: trained and unseen wordings, both languages, painted things, held-out pairs."""

from dataclasses import dataclass, replace

from ..data.pictures import PAINTS, Background, Chance, Pictures, Scene, World, caption, held_out_pairs
from .judge import truth

FIRST = 1_000_000  # scenes for judging start here: no pool is so long


@dataclass(frozen=True)
class Prompt:
    """What is asked, under which heading, and what the picture should show (question -> answer).

    Only what the text names is asked about.
    """

    group: str
    text: str
    language: str
    answers: dict[str, str]


def judging_prompts(pictures: Pictures, world: World) -> list[Prompt]:
    """400 prompts over a world, the same at every call: 240 in English and 160 in Japanese."""
    prompts = []
    prompts += _asked("trained wording", pictures, 80, "en", "train", painted=False)
    prompts += _asked("trained wording", pictures, 60, "ja", "train", painted=False)
    prompts += _asked("painted thing", pictures, 40, "en", "train", painted=True)
    prompts += _asked("painted thing", pictures, 20, "ja", "train", painted=True)
    prompts += _asked("unseen wording", pictures, 60, "en", "held_out", painted=None)
    prompts += _asked("unseen wording", pictures, 40, "ja", "held_out", painted=None)
    prompts += _held_out(pictures, world, 60, "en")
    prompts += _held_out(pictures, world, 40, "ja")
    return prompts


def _asked(group: str, pictures: Pictures, count: int, language: str, templates: str, painted: bool | None) -> list[Prompt]:
    """Prompts about fresh scenes, one concept after the other so that every one is asked about equally often."""
    concepts = [c for c in pictures.world.concepts if not painted or _paintable(pictures, c)]
    prompts: list[Prompt] = []
    index = FIRST + 100_000 * (len(group) + (templates == "held_out"))
    while len(prompts) < count:
        scene = pictures.spec(index)
        thing = scene.things[0]
        wanted = painted is None or painted == (thing.colour is not None)
        if wanted and thing.concept == concepts[len(prompts) * 7 % len(concepts)]:
            prompts.append(_prompt(group, scene, language, templates))
        index += 1
    return prompts


def _paintable(pictures: Pictures, concept: str) -> bool:
    return any(pictures.cast.sprites[concept, rendering].paintable for rendering in pictures.cast.renderings[concept])


def _held_out(pictures: Pictures, world: World, count: int, language: str) -> list[Prompt]:
    """Prompts for combinations that no training picture shows."""
    pairs = [(c, a) for c, a in held_out_pairs() if c in world.concepts and _possible(pictures, world, c, a)]
    chance = Chance(len(language), 17)
    prompts = []
    for k in range(count):
        concept, attribute = pairs[(k * 37 + (language == "ja") * 11) % len(pairs)]
        kind, _, name = attribute.partition(":")
        scene = pictures.spec(FIRST + k)
        thing = replace(scene.things[0], concept=concept, colour=name if kind == "thing" else None)
        behind = name if kind == "background" else chance.pick([c for c in world.colours if c != name])
        scene = replace(scene, things=(thing,), background=Background("solid", behind))
        prompts.append(_prompt(f"held-out {'colour' if kind == 'thing' else 'background'}", scene, language, "train", named=True))
    return prompts


def _possible(pictures: Pictures, world: World, concept: str, attribute: str) -> bool:
    kind, _, name = attribute.partition(":")
    return name in world.colours if kind == "background" else name in PAINTS and _paintable(pictures, concept)


def _prompt(group: str, scene: Scene, language: str, templates: str, named: bool = False) -> Prompt:
    """A prompt about a scene; named: one that names the background."""
    chance = Chance(5, scene.index)
    said = caption(scene, language, chance, templates)
    while named and not said.background:
        said = caption(scene, language, chance, templates)
    answers = {question: found[0] for question, found in truth([scene]).items()}
    if not said.background:
        del answers["background"]
    return Prompt(group, said.text, language, answers)
