"""Which parts of a prompt are Japanese, and which are kept: English, weights, brackets, tags, wildcards, numbers."""

import re
import unicodedata
from dataclasses import dataclass

from .segmentation import SLOT

JAPANESE = "ぁ-ゖァ-ヶー一-鿿㐀-䶿々〆〇"
MIXED = "T(?=シャツ|レックス)|F1(?=カー)|VR(?=ゴーグル)|3D(?=レンダ)|JPEG(?=ノイズ)"
HAS_JAPANESE = re.compile(f"[{JAPANESE}ｦ-ﾟ]")
WORD = r"(?!(?:AND|BREAK)\b)[A-Za-z0-9][A-Za-z0-9'+\-]*"
LEXEME = re.compile(
    rf"""
    (?P<tag> <[^<>\n]*> | \\. )
  | (?P<wildcard> __[\w\-/*. ]+?__ )
  | (?P<japanese> (?:(?:\d*|{MIXED})(?:[{JAPANESE}]|(?<=[ァ-ヶー])・(?=[ァ-ヶー]))+)+ )
  | (?P<comma> [ \t]*[、，。・｡､][ \t、，。]* )
  | (?P<mark> [【】〈〉《》〔〕〜…★☆♪♥♡※→←↑↓●○■□◆◇▲△▼▽]+ )
  | (?P<open> [(\[{{「『“] )
  | (?P<close> [)\]}}」』”] )
  | (?P<space> [ \t]+ )
  | (?P<word> {WORD}(?:[ ]{WORD})* )
  | (?P<other> . )
    """,
    re.X | re.S,
)
FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F) if code != ord("，")} | {0x3000: " "}
HALF_WIDTH = re.compile("[ｦ-ﾟ]+|[ぁ-ヶ][\u3099\u309a]")
CLOSING = {"(": ")", "[": "]", "{": "}", "「": "」", "『": "』", "“": "”"}
QUOTES = dict.fromkeys("「」『』“”", '"')
DEEPEST = 8
"""Groups in groups that are read as words of a phrase; deeper brackets only part phrases."""


@dataclass(frozen=True)
class Kept:
    """Text that stays; soft: a comma or space of Japanese, over which a sentence may go on."""

    text: str
    english: str
    soft: bool = False


@dataclass(frozen=True)
class Group:
    """Something in brackets that is a word of a Japanese phrase: (富士山:1.3)の写真."""

    opening: str
    content: "list[Part]"
    closing: str


@dataclass(frozen=True)
class Japanese:
    """A run of Japanese; `slots` stand in it where `SLOT` does."""

    text: str
    slots: tuple[str | Group, ...] = ()


Part = Kept | Japanese


@dataclass(frozen=True, slots=True)
class _Lexeme:
    kind: str
    text: str


def parts(text: str) -> list[Part]:
    """A prompt cut into what is Japanese and what is not; a prompt without Japanese is one part and stays to the letter."""
    if not HAS_JAPANESE.search(text):
        return [Kept(text, text)] if text else []
    folded = HALF_WIDTH.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text.translate(FULL_WIDTH))
    lexemes = [_Lexeme(found.lastgroup or "other", found[0]) for found in LEXEME.finditer(folded)]
    return _Builder(lexemes, _matches(lexemes)).built(0, len(lexemes), 0)


def _matches(lexemes: list[_Lexeme]) -> dict[int, int]:
    """Where each bracket that is closed is closed."""
    found: dict[int, int] = {}
    waiting: list[int] = []
    for at, lexeme in enumerate(lexemes):
        if lexeme.kind == "open":
            waiting.append(at)
        elif lexeme.kind == "close" and waiting and CLOSING[lexemes[waiting[-1]].text] == lexeme.text:
            found[waiting.pop()] = at
    return found


@dataclass
class _Builder:
    lexemes: list[_Lexeme]
    matches: dict[int, int]

    def built(self, at: int, end: int, depth: int) -> list[Part]:
        """The parts of a stretch of lexemes."""
        out: list[Part] = []
        run: list[str] = []
        slots: list[str | Group] = []

        def close() -> None:
            if run:
                out.append(Japanese("".join(run), tuple(slots)))
                run.clear()
                slots.clear()

        while at < end:
            lexeme = self.lexemes[at]
            last = self.matches.get(at, end)
            if lexeme.kind == "japanese":
                run.append(lexeme.text)
            elif lexeme.kind in ("word", "wildcard") and (run or self._is(at + 1, end, "japanese")):
                run.append(SLOT)
                slots.append(lexeme.text)
            elif lexeme.kind == "open" and last < end and depth < DEEPEST and self._in_phrase(at, last, end, bool(run)):
                run.append(SLOT)
                opening, closing = (QUOTES.get(text, text) for text in (lexeme.text, self.lexemes[last].text))
                slots.append(Group(opening, self.built(at + 1, last, depth + 1), closing))
                at = last
            else:
                close()
                out.append(self._kept(at, end))
            at += 1
        close()
        return out

    def _is(self, at: int, end: int, kind: str) -> bool:
        return at < end and self.lexemes[at].kind == kind

    def _in_phrase(self, opening: int, closing: int, end: int, joined: bool) -> bool:
        """Whether Japanese stands right before or behind a group that has something in it."""
        return closing > opening + 1 and (joined or self._is(closing + 1, end, "japanese"))

    def _kept(self, at: int, end: int) -> Kept:
        lexeme = self.lexemes[at]
        if lexeme.kind == "comma":
            return Kept(lexeme.text, ", " if at + 1 < end else "", True)
        if lexeme.text in QUOTES:
            return Kept(lexeme.text, '"')
        if lexeme.kind == "mark":
            return Kept(lexeme.text, ", " if at + 1 < end else "", True)
        between = lexeme.kind == "space" and self._is(at - 1, end, "japanese") and at > 0 and self._is(at + 1, end, "japanese")
        return Kept(lexeme.text, ", " if between else lexeme.text, between)
