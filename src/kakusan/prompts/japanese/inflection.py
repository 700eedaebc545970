"""Endings of verbs and adjectives, and what they say: the rules that lead from 走っている back to 走る."""

from functools import cache
from typing import NamedTuple

from .tables import rows


class Form(NamedTuple):
    """What an ending says.

    kind: plain, past, going (〜ている), te, stem (連用形), while (〜ながら), want, request, if; adverb, noun, bare for adjectives.
    voice: active, passive, causative, able. result: 〜てある, a state that somebody brought about.
    """

    kind: str
    negative: bool = False
    voice: str = "active"
    result: bool = False


BASES = {  # class: the sounds before the endings a, i, e, o, て, た; the dictionary's ending
    "う": ("わ", "い", "え", "お", "って", "った", "う"),
    "く": ("か", "き", "け", "こ", "いて", "いた", "く"),
    "iku": ("か", "き", "け", "こ", "って", "った", "く"),
    "ぐ": ("が", "ぎ", "げ", "ご", "いで", "いだ", "ぐ"),
    "す": ("さ", "し", "せ", "そ", "して", "した", "す"),
    "つ": ("た", "ち", "て", "と", "って", "った", "つ"),
    "ぬ": ("な", "に", "ね", "の", "んで", "んだ", "ぬ"),
    "ぶ": ("ば", "び", "べ", "ぼ", "んで", "んだ", "ぶ"),
    "む": ("ま", "み", "め", "も", "んで", "んだ", "む"),
    "る": ("ら", "り", "れ", "ろ", "って", "った", "る"),
    "ichidan": ("", "", "れ", "よ", "て", "た", "る"),
    "kuru": ("", "", "れ", "よ", "て", "た", "る"),
    "suru": ("し", "し", "すれ", "しよ", "して", "した", "する"),
    "aru": ("ら", "り", "れ", "ろ", "って", "った", "る"),
}
ORDER = ("a", "i", "e", "o", "te", "ta", "plain")
TO_A, TO_E, TO_TE = 0, 2, 4

PASSIVES = {"ichidan": "られ", "kuru": "られ", "suru": "され"}
CAUSATIVES = {"ichidan": "させ", "kuru": "させ", "suru": "させ"}

RULES = [(ORDER.index(base), ending, Form(kind, denies == "not")) for base, ending, kind, denies in rows("inflection", 4)]
"""Base, what is put behind it, and what that says."""

RESULTS = ("ある", "あった", "あります", "あり")

I_ADJECTIVE = {ending: Form(kind, denies == "not") for ending, kind, denies in rows("adjective_inflection", 3)}


@cache
def endings(name: str) -> dict[str, Form]:
    """Everything that may follow a stem of class `name`, with what it says."""
    if name == "i":
        return I_ADJECTIVE
    base = BASES[name]
    found = _conjugated(base)
    passive = base[TO_A] + PASSIVES.get(name, "れ") if name != "suru" else PASSIVES[name]
    causative = base[TO_A] + CAUSATIVES.get(name, "せ") if name != "suru" else CAUSATIVES[name]
    able = base[TO_E] if name not in ("ichidan", "kuru", "suru", "aru") else None
    for voice, stem in (("able", able), ("causative", causative), ("passive", passive), ("passive", causative + "られ")):
        if stem is not None and name != "aru":
            for ending, form in _conjugated(BASES["ichidan"]).items():
                if form.kind != "stem" or voice == "passive":
                    found.setdefault(stem + ending, form._replace(voice=voice))
    if name == "suru":
        found |= {"せず": Form("te", True), "せずに": Form("te", True)}
    return found


def _conjugated(base: tuple[str, ...]) -> dict[str, Form]:
    found = {base[at] + ending: form for at, ending, form in RULES}
    return found | {base[TO_TE] + ending: Form("past", result=True) for ending in RESULTS}
