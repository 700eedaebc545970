"""Which words of a prompt a small model knows: it lists the words it was shown, and anything else is said to the user."""

import re
from collections.abc import Collection

RUN = re.compile(r"[a-z0-9][a-z0-9'-]*|[ァ-ヴー]+|[ぁ-ん]+|[一-龯々〆]+", re.IGNORECASE)

PARTICLES = frozenset("のにをはがとでもやへい")  # and the ending of adjectives: 赤い


class Words:
    """A vocabulary: English words, and runs of one Japanese script (katakana, hiragana, kanji)."""

    def __init__(self, known: Collection[str]):
        self.known = frozenset(known)

    def unknown(self, text: str) -> list[str]:
        """The words of `text` that are not in the vocabulary, in order, each once; none if the vocabulary is empty."""
        if not self.known:
            return []
        return [word for word in dict.fromkeys(words(text)) if not self.has(word)]

    def has(self, word: str) -> bool:
        """Whether a word is known, or a Japanese run is made of known runs end to end."""
        if word in self.known:
            return True
        if word.isascii():
            return word.isdigit() or word.removesuffix("s") in self.known
        reach = [True] + [False] * len(word)
        for end in range(1, len(word) + 1):
            reach[end] = any(reach[start] and self._piece(word[start:end]) for start in range(end))
        return reach[-1]

    def _piece(self, run: str) -> bool:
        return run in self.known or run in PARTICLES


def words(text: str) -> list[str]:
    """The words of a text: English ones in lower case, Japanese runs of one script."""
    return [match.group().lower() for match in RUN.finditer(text)]
