"""The words that a translation knows: hand-written tables, one word a line, with the sense it has in the description of a picture.

A line holds, between tabs: the spellings, between spaces; the English; the class; and, between spaces, what else is known:

of nouns  on, at, ...   the preposition of a place (else "in"); `of`: an amount or group, as a bouquet of roses; `prep`: the English
                        begins with its preposition; `adj=japanese`: the form before a noun; `at=at_night`: the adverbial
of verbs  t             takes an object with を; `1`: an ichidan verb although its spelling does not say so; `5`: not one although it
                        seems so; `ni=on`, `wo=along`, `to=`: the preposition that に, を, と become; `pp`: told as a state: reflected;
                        `be`: ある and いる
"""

from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from .kana import katakana

ADJECTIVES = ("i", "na")
KINDS = {"i": "i", "na": "na", "attr": "attr", "adv": "adv", "verb": "verb"}
KANA_BOTH_WAYS = ("animal", "plant", "food")
ICHIDAN_BEFORE_RU = frozenset("いきぎしじちにひびみりえけげせぜてでねへべめれ")
IRREGULAR = {"する": "suru", "行く": "iku", "いく": "iku", "来る": "kuru", "くる": "kuru", "ある": "aru", "在る": "aru"}
FILES = 23
"""Tables there are; a broken installation is noticed."""


@dataclass(frozen=True, slots=True)
class Word:
    """One entry. kind: noun, verb, i, na, attr, adv; sense: the class of a noun (animal, place, ...)."""

    english: str
    kind: str
    sense: str
    extras: dict[str, str] = field(default_factory=dict, hash=False)

    def has(self, name: str) -> bool:
        """Whether an extra without a value is there."""
        return name in self.extras


@dataclass(frozen=True)
class Lexicon:
    """words: by whole spelling. stems: verbs and i-adjectives by the part that never changes, with the class of their endings.

    reach: how long the longest of both is, by its first character.
    """

    words: dict[str, tuple[Word, ...]]
    stems: dict[str, tuple[tuple[Word, str], ...]]
    reach: dict[str, int]

    @property
    def entries(self) -> int:
        """How many spellings there are."""
        return len(self.words) + len(self.stems)


@cache
def lexicon() -> Lexicon:
    """The tables of this package, read on first use."""
    words: dict[str, list[Word]] = {}
    stems: dict[str, list[tuple[Word, str]]] = {}
    for spellings, word in entries():
        for spelling in spellings:
            if word.kind == "verb":
                stem, ending = verb_class(spelling, word)
                stems.setdefault(stem, []).append((word, ending))
            elif word.kind == "i" and spelling.endswith("い"):
                stems.setdefault(spelling[:-1], []).append((word, "i"))
            else:
                words.setdefault(spelling, []).append(word)
                if word.sense in KANA_BOTH_WAYS and len(spelling) > 1:
                    words.setdefault(katakana(spelling), []).append(word)
    reach: dict[str, int] = {}
    for spelling in (*words, *stems):
        reach[spelling[:1]] = max(reach.get(spelling[:1], 0), len(spelling))
    return Lexicon({k: tuple(dict.fromkeys(v)) for k, v in words.items()}, {k: tuple(v) for k, v in stems.items()}, reach)


def entries() -> list[tuple[list[str], Word]]:
    """Every line of the tables: spellings and word. Raises ValueError on a line that is none."""
    found = []
    for table in sorted((f for f in (files(__package__) / "lexicon").iterdir() if f.name.endswith(".tsv")), key=lambda f: f.name):
        for number, line in enumerate(table.read_text(encoding="utf-8").splitlines(), 1):
            if line.startswith("#") or not line:
                continue
            cells = line.split("\t")
            if len(cells) not in (3, 4):
                raise ValueError(f"{table.name}:{number}: {len(cells)} columns instead of 3 or 4")
            extras = [cell.partition("=") for cell in (cells[3].split() if len(cells) == 4 else ())]
            told = {name: value.replace("_", " ") for name, _, value in extras}
            found.append((cells[0].split(), Word(cells[1], KINDS.get(cells[2], "noun"), cells[2], told)))
    return found


def verb_class(spelling: str, word: Word) -> tuple[str, str]:
    """The part of a verb that never changes, and which endings follow: 飲む -> 飲, む; 食べる -> 食べ, ichidan; 散歩する -> 散歩, suru."""
    for whole, name in IRREGULAR.items():
        if spelling == whole or (whole == "する" and spelling.endswith(whole)):
            return spelling[: -len(whole)] + ("" if name == "suru" else whole[0]), name
    if spelling.endswith("る") and not word.has("5") and (word.has("1") or spelling[-2] in ICHIDAN_BEFORE_RU):
        return spelling[:-1], "ichidan"
    return spelling[:-1], spelling[-1]
