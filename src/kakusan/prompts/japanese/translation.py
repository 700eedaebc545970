"""Japanese prompts in English, without a network: `translate("白い背景に赤いリンゴ").english`."""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from .layout import Group, Japanese, Kept, Part, parts
from .lexicon import Word
from .phrases import PLAIN
from .segmentation import SLOT, Token, segmented
from .sentences import MOST_TOKENS, english, unfinished

LONGEST_UNKNOWN = 40
"""Characters of one unknown word; what is longer is told in pieces."""


class Piece(NamedTuple):
    """A word as it was written and in English; kind: word, unknown, or kept."""

    text: str
    english: str
    kind: str


@dataclass(frozen=True)
class Translation:
    """english: the prompt to draw. pieces: word for word.

    unknown: words that no table has; those in kana are in `english` in Latin letters, the rest is left out.
    """

    english: str
    unknown: tuple[str, ...] = ()
    pieces: tuple[Piece, ...] = ()


def translate(text: str) -> Translation:
    """A prompt in Japanese, or in both languages, as English; what is English already, weights, brackets and tags stay as they are.

    Never an exception; time and memory grow with the length of the text.
    """
    writer = _Writer()
    return Translation(writer.written(parts(text)), tuple(dict.fromkeys(writer.unknown)), tuple(writer.pieces))


@dataclass
class _Writer:
    unknown: list[str] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)

    def written(self, content: list[Part]) -> str:
        """Parts as English, one behind the other."""
        out: list[str] = []
        waiting: list[Token] = []
        for at, part in enumerate(content):
            if isinstance(part, Japanese):
                tokens = [*waiting, *self._tokens(part)]
                follower = _at(content, at + 1)
                if (
                    isinstance(follower, Kept)
                    and follower.soft
                    and isinstance(_at(content, at + 2), Japanese)
                    and len(tokens) < MOST_TOKENS
                    and unfinished(tokens)
                ):
                    waiting = tokens
                    continue
                waiting = []
                self._put(out, english(tokens))
            elif not waiting:
                self._keep(out, part)
        return "".join(out)

    def _keep(self, out: list[str], part: Kept) -> None:
        """Text that stays; a comma only where there is something to part."""
        if not part.soft or (out and out[-1] and not out[-1].endswith(", ")):
            out.append(part.english)
        if part.text.strip():
            self.pieces.append(Piece(part.text, part.english, "kept"))

    def _put(self, out: list[str], told: str) -> None:
        """English behind what stands before it, with a space between words."""
        if told and out and out[-1] and (out[-1][-1].isalnum() or out[-1][-1] in ")]}>"):
            out.append(" ")
        out.append(told)

    def _tokens(self, part: Japanese) -> list[Token]:
        """The words of a run, with its groups and English words in their places."""
        tokens = segmented(part.text)
        slots = iter(part.slots)
        out: list[Token] = []
        for token in tokens:
            if token.text == SLOT:
                token = self._filled(next(slots))
            elif token.kind == "unknown":
                self._strange(token, out)
            if token.kind in ("noun", "verb", "i", "na", "attr", "adv") and token.word is not None:
                self.pieces.append(Piece(token.text, token.word.english, "word"))
            out.append(token)
        return out

    def _strange(self, token: Token, before: list[Token]) -> None:
        """Unknown characters side by side are one word."""
        if before and before[-1].kind == "unknown" and self.unknown and len(self.unknown[-1]) < LONGEST_UNKNOWN:
            self.unknown[-1] += token.text
            last = self.pieces.pop()
            self.pieces.append(Piece(last.text + token.text, last.english + token.english, "unknown"))
        else:
            self.unknown.append(token.text)
            self.pieces.append(Piece(token.text, token.english, "unknown"))

    def _filled(self, slot: str | Group) -> Token:
        """A piece of English, or a group in brackets, as a word of the phrase."""
        if isinstance(slot, str):
            self.pieces.append(Piece(slot, slot, "kept"))
            return Token(SLOT, "slot", english=slot, word=replace(PLAIN, sense="name"))
        return Token(SLOT, "slot", english=slot.opening + self.written(slot.content) + slot.closing, word=_meant(slot))


def _meant(group: Group) -> Word:
    """What is known of a group's last noun, without forms of its own: those would lose the brackets."""
    last = next((part for part in reversed(group.content) if isinstance(part, Japanese)), None)
    word = segmented(last.text)[-1].word if last is not None else None
    if word is None or word.kind != "noun":
        return PLAIN
    return replace(PLAIN, sense=word.sense, extras={name: value for name, value in word.extras.items() if not value and name != "prep"})


def _at(content: list[Part], at: int) -> Part | None:
    return content[at] if at < len(content) else None
