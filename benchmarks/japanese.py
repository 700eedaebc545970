"""How well Japanese prompts are told in English: 120 prompts with hand-written English, key nouns and relations.

    python benchmarks/japanese.py [--set held-out] [--quiet] [--marian FOLDER]

A key noun is recalled if it, or a synonym listed with it, stands in the English, in the singular or the plural. A relation, "cat on sofa",
is in order if its words, or synonyms, stand in that order in one phrase between commas, with at most 6 words between two of them; several
orders may be listed. Of the 120 prompts, 40 (`held-out`) were written first and never looked at while rules and words were made;
20 (`published`) come from a published test of machine glosses; 60 (`tuned`) were used to mend rules.
"""

import argparse
import re
from pathlib import Path
from typing import NamedTuple

from kakusan.prompts.japanese import translate

PROMPTS = Path(__file__).with_name("japanese_prompts.tsv")
FURTHEST = 6
WORD = re.compile(r"[a-z0-9'’-]+")


class Prompt(NamedTuple):
    """nouns: synonyms of each; relations: the orders of each, an order being synonyms of each of its words."""

    group: str
    japanese: str
    english: str
    nouns: list[list[str]]
    relations: list[list[list[list[str]]]]


class Score(NamedTuple):
    nouns: int
    recalled: int
    relations: int
    ordered: int


def prompts(path: Path = PROMPTS) -> list[Prompt]:
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        group, japanese, english, nouns, relations = [*line.split("\t"), ""][:5]
        synonyms = [[word.strip().lower() for word in noun.split("/")] for noun in nouns.split(";")]
        orders = [
            [[_words(item) for item in order.split()] for order in relation.split("|")]
            for relation in relations.split(";")
            if relation.strip()
        ]
        found.append(Prompt(group, japanese, english, synonyms, orders))
    return found


def judged(prompt: Prompt, english: str) -> tuple[list[str], list[str]]:
    """The key nouns and the relations that are missing, as they are listed."""
    phrases = [_singulars(WORD.findall(phrase.replace("'s", ""))) for phrase in english.lower().split(",")]
    lost = ["/".join(noun) for noun in prompt.nouns if not any(_at(phrase, word) for word in noun for phrase in phrases)]
    broken = [
        " ".join("/".join(item) for item in relation[0])
        for relation in prompt.relations
        if not any(_in_order(phrase, order) for order in relation for phrase in phrases)
    ]
    return lost, broken


def scored(prompt: Prompt, english: str) -> Score:
    lost, broken = judged(prompt, english)
    return Score(len(prompt.nouns), len(prompt.nouns) - len(lost), len(prompt.relations), len(prompt.relations) - len(broken))


def _words(item: str) -> list[str]:
    return [word.replace("_", " ").lower() for word in item.split("/")]


def _singulars(words: list[str]) -> list[str]:
    return [_singular(word) for word in words]


def _singular(word: str) -> str:
    irregular = {
        "leaves": "leaf",
        "children": "child",
        "women": "woman",
        "men": "man",
        "people": "person",
        "wolves": "wolf",
        "mice": "mouse",
    }
    if word in irregular:
        return irregular[word]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("shes", "ches", "xes", "sses")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us")) else word


def _at(phrase: list[str], word: str) -> list[tuple[int, int]]:
    """Where the words of a listed word stand side by side in a phrase."""
    wanted = _singulars(WORD.findall(word))
    return [(i, i + len(wanted)) for i in range(len(phrase) - len(wanted) + 1) if phrase[i : i + len(wanted)] == wanted]


def _in_order(phrase: list[str], order: list[list[str]]) -> bool:
    ends = {end for word in order[0] for _, end in _at(phrase, word)}
    for item in order[1:]:
        places = [place for word in item for place in _at(phrase, word)]
        ends = {end for start, end in places if any(0 <= start - before <= FURTHEST for before in ends)}
    return bool(ends)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=("held-out", "published", "tuned"))
    parser.add_argument("--quiet", action="store_true", help="only the figures")
    parser.add_argument("--marian", help="translate by a Marian model instead: its folder")
    args = parser.parse_args()
    translator = _translator(args.marian)
    scores: dict[str, list[Score]] = {}
    for prompt in prompts():
        if args.set not in (None, prompt.group):
            continue
        english = translator(prompt.japanese)
        scores.setdefault(prompt.group, []).append(scored(prompt, english))
        if not args.quiet:
            lost, broken = judged(prompt, english)
            print(f"{prompt.japanese}\n  {english}\n  by hand: {prompt.english}")
            print("".join(f"  lost: {noun}\n" for noun in lost) + "".join(f"  order: {relation}\n" for relation in broken), end="")
    for name, some in [*scores.items(), ("all", [score for group in scores.values() for score in group])]:
        nouns, recalled, relations, ordered = map(sum, zip(*some, strict=True))
        recall, order = f"{recalled}/{nouns} = {recalled / nouns:.3f}", f"{ordered}/{relations} = {ordered / relations:.3f}"
        print(f"{name:10} {len(some):4} prompts  nouns {recall}  relations {order}")


def _translator(folder: str | None):
    if folder is None:
        return lambda text: translate(text).english
    from kakusan.prompts.japanese.marian import marian

    return marian(folder)


if __name__ == "__main__":
    main()
