"""Particles, places beside things, counters, word endings: the small words that hold a Japanese phrase together."""

from .tables import pairs, rows

PARTICLES = (
    *("の", "に", "を", "は", "が", "と", "で", "も", "や", "へ", "な", "から", "まで", "より", "には", "では", "にも", "でも", "とは"),
    *("への", "からの", "までの", "での", "との", "とか", "または", "だけ", "だけの", "など", "などの", "か", "ね", "よ", "さえ", "って"),
)
"""Particles that the grammar knows, alone and in pairs."""

SAME_AS = {"には": "に", "では": "で", "にも": "に", "でも": "で", "とは": "と", "とか": "や", "または": "か"}
SAME_AS |= {"だけの": "の", "などの": "の", "さえ": "も", "って": "は"}
NOTHING = frozenset(["だけ", "など", "ね", "よ"])
COPULAS = ("だ", "です", "である", "でした", "だった", "であり", "になります", "であった")

PHRASES = pairs("prepositions")
"""What follows a noun and is a preposition before it, or a frame round it."""

BESIDE = pairs("beside")
"""Nouns that are places beside the noun before them."""

ENDINGS = pairs("endings")
BEGINNINGS = pairs("beginnings")
REQUESTS = tuple(row[0] for row in rows("requests", 1))
"""What is asked of whoever draws, and is no part of the picture."""

COUNTERS = {word: told for word, told, kind in rows("counters", 3) if kind == "count"}
AMOUNTS = {word: told for word, told, kind in rows("counters", 3) if kind == "own"}
"""What is counted with a number that goes somewhere else in English."""

NUMERALS = {"一": 1, "二": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}
UNITS = {"十": 10, "百": 100, "千": 1000}
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
NATIVE = {"ひとつ": 1, "ふたつ": 2, "みっつ": 3, "よっつ": 4, "いつつ": 5, "むっつ": 6, "ななつ": 7, "やっつ": 8, "ここのつ": 9}
NATIVE |= {"ひとり": 1, "ふたり": 2}
