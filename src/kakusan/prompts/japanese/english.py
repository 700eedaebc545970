"""The forms of English words that a translation needs: -ing, past participles, plurals, adverbs."""

from .tables import rows

_FORMS = rows("english_forms", 3)
PARTICIPLES = {word: form for word, form, which in _FORMS if which == "participle"}
PLURALS = {word: form for word, form, which in _FORMS if which == "plural"}
DOUBLING = frozenset(word for word, _, which in _FORMS if which == "doubled")
VOWELS = "aeiou"


def ing(verb: str) -> str:
    """The -ing form; of several words the first is inflected: "look at" -> "looking at"."""
    first, _, rest = verb.partition(" ")
    return (_ing(first) + " " + rest).rstrip()


def participle(verb: str) -> str:
    """The past participle; of several words the first is inflected."""
    first, _, rest = verb.partition(" ")
    return (PARTICIPLES.get(first) or _ed(first)) + (" " + rest if rest else "")


def plural(noun: str) -> str:
    """The plural of a noun, of its last word: "lucky cat" -> "lucky cats"."""
    before, space, last = noun.rpartition(" ")
    return before + space + _plural(last)


def adverb(adjective: str) -> str:
    """beautiful -> beautifully; what is no plain adjective stays."""
    if " " in adjective or "-" in adjective or adjective.endswith(("ly", "ing", "ed")):
        return adjective
    if adjective.endswith("le") and adjective[-3:-2] not in VOWELS:
        return adjective[:-1] + "y"
    if adjective.endswith("y"):
        return adjective[:-1] + "ily"
    return adjective + ("ally" if adjective.endswith("ic") else "ly")


def _ing(verb: str) -> str:
    if verb == "be":
        return "being"
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    return verb + (verb[-1] if verb in DOUBLING else "") + "ing"


def _ed(verb: str) -> str:
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2:-1] not in VOWELS:
        return verb[:-1] + "ied"
    return verb + (verb[-1] if verb in DOUBLING else "") + "ed"


def _plural(noun: str) -> str:
    if noun in PLURALS:
        return PLURALS[noun]
    if noun.endswith("s") and not noun.endswith(("ss", "us", "is")):
        return noun
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2:-1] not in VOWELS:
        return noun[:-1] + "ies"
    return noun + "s"
