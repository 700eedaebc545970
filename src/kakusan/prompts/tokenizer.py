"""CLIP's byte-level byte-pair tokenizer: text to token ids.

Radford et al. 2021, https://arxiv.org/abs/2103.00020; byte-pair encoding: Sennrich et al. 2016, https://arxiv.org/abs/1508.07909.
A text is cleaned, split into words (letters, single digits, runs of symbols), and each word, as UTF-8 bytes whose last one is marked
as the end of the word, is joined up by the table's merges, best rank first.

Two published programs clean differently, and a model wants the one it was used with:
"openai"  the tokenizer of CLIP itself (ftfy, HTML entities, white space, lower case): for single files, which carry no tokenizer;
"fast"    that of transformers (Unicode NFC, white space, lower case; tokens with names of their own are taken out first): for folders.
"""

import gzip
import html
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property, lru_cache, partial
from heapq import heapify, heappop, heappush
from importlib.resources import files
from itertools import groupby, islice, pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import regex

from .tokenizer_files import END, START, Specials, Table, read_table, write_table

Rules = Literal["openai", "fast"]

END_OF_WORD = "</w>"
_CACHED_WORDS = 1 << 15
_CACHED_LETTERS = 64  # longer words are rare and are not kept

_SPLIT = r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
_NAMES = r"""<\|startoftext\|>|<\|endoftext\|>|"""
_WORDS_OPENAI = regex.compile(_NAMES + _SPLIT, regex.IGNORECASE)
_WORDS_FAST = regex.compile(_NAMES + _SPLIT)
_WORDS_PLAIN = regex.compile(_SPLIT)
_SPACE = regex.compile(r"\s+")
_LONG_NUMBER = regex.compile(r"(&#)0*([0-9]{8})[0-9]*")  # an entity far beyond Unicode: cut, since int() refuses very many digits
_MANY_MARKS = regex.compile(r"\P{ccc=0}{32,}")
_SURROGATE = regex.compile(r"[\ud800-\udfff]")


class Word(NamedTuple):
    """One token of a text: its id, what it spells, and where it lies in `Tokenizer.clean(text)`.

    piece: the token's own text; U+FFFD stands for bytes that are only a part of a character.
    start, end: the characters the token touches, so two tokens that share a character overlap.
    """

    id: int
    piece: str
    start: int
    end: int


class Tokenizer:
    """Text to token ids by one table.

    vocab: token (in CLIP's byte alphabet, ends of words marked "</w>") to id; merges: pairs of tokens, best first.
    pad: the id that fills up `padded`; length: of `padded`, with start and end; specials: see there.
    Raises ValueError if a name in `specials`, `pad` or a part of a merge is not in the vocabulary, or `length` is below 2.
    """

    before = 1
    """Tokens in front of a text: the start."""

    def __init__(
        self,
        vocab: Mapping[str, int],
        merges: Sequence[tuple[str, str]],
        *,
        pad: int,
        length: int = 77,
        rules: Rules = "fast",
        specials: Specials | None = None,
    ):
        if rules not in ("openai", "fast"):
            raise ValueError(f"rules is {rules!r}; give 'openai' or 'fast'")
        table = Table(dict(vocab), list(merges), pad, length, specials or Specials())
        table.check()
        self.vocab, self.merges, self.specials = table.vocab, table.merges, table.specials
        self.pad, self.length, self.rules = pad, length, rules
        self.start, self.end = self.vocab[self.specials.start], self.vocab[self.specials.end]
        self._unknown = self.vocab[self.specials.unknown]
        self._ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self._known_pieces = lru_cache(_CACHED_WORDS)(partial(_pieces, self._ranks))
        self._early = _any_of(self.specials.early)
        self._late = {_normalised(name) if rules == "fast" else name: name for name in self.specials.late}
        self._late_names = _any_of(self._late)

    @classmethod
    def clip(cls, pad: int | None = None, length: int = 77) -> Self:
        """OpenAI's table: 49408 tokens, start 49406, end 49407, which also pads unless `pad` is given (OpenCLIP's models pad with 0)."""
        vocab, merges = _clip_table()
        names = Specials(early=frozenset(), late=frozenset({START, END}))
        return cls(vocab, merges, pad=vocab[END] if pad is None else pad, length=length, rules="openai", specials=names)

    @classmethod
    def from_folder(cls, path: str | Path) -> Self:
        """The tokenizer of a model folder: vocab.json and merges.txt, or tokenizer.json, read as transformers' CLIPTokenizer reads them.

        Raises FileError naming the file and what is wrong in it.
        """
        table = read_table(Path(path))
        return cls(table.vocab, table.merges, pad=table.pad, length=table.length, rules="fast", specials=table.specials)

    def save(self, path: str | Path) -> None:
        """Write vocab.json, merges.txt, tokenizer_config.json and special_tokens_map.json, as transformers' CLIPTokenizer reads them.

        A folder always has the "fast" rules, and there every "!" becomes the padding if "!" pads.
        """
        write_table(Table(self.vocab, self.merges, self.pad, self.length, self.specials), Path(path))

    @property
    def room(self) -> int:
        """How many tokens of a text `length` has places for, beside the end and the start, if there is one."""
        return self.length - 1 - self.before

    def encode(self, text: str) -> list[int]:
        """The token ids of a text, without start, end and padding."""
        return [id for word in self._split(text) for id in self._ids(word)]

    def padded(self, text: str) -> list[int]:
        """`length` ids: start, the text (cut if it is too long), end, padding."""
        ids = (id for word in self._split(text) for id in self._ids(word))
        row = [self.start, *islice(ids, self.room), self.end]
        return row + [self.pad] * (self.length - len(row))

    def words(self, text: str) -> list[Word]:
        """The tokens of a text with the places they come from, as positions in `clean(text)`."""
        found = []
        for word in self._split(text):
            if word.name is not None:
                found.append(Word(self.vocab[word.name], word.text, word.start, word.start + len(word.text)))
            else:
                found += self._placed(word)
        return found

    def clean(self, text: str) -> str:
        """The text as it is split into words: repaired, lower-case, spaces made one."""
        return "".join(part for part, _ in self._cleaned(text))

    def decode(self, ids: Sequence[int]) -> str:
        """The text that token ids spell, a space after every word; bytes that make no character become U+FFFD."""
        spelt = b"".join(token_bytes(self._tokens[id], b" ") for id in ids)
        return spelt.decode("utf-8", "replace").removesuffix(" ")

    def __len__(self) -> int:
        return len(self.vocab)

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        """Pickled without the cache."""
        rebuild = partial(type(self), self.vocab, self.merges, pad=self.pad, length=self.length, rules=self.rules, specials=self.specials)
        return rebuild, ()

    @cached_property
    def _tokens(self) -> dict[int, str]:
        return {id: token for token, id in self.vocab.items()}

    def _split(self, text: str) -> Iterator["_Part"]:
        """The words of a text, and the tokens spelt out in it."""
        start = 0
        for part, name in self._cleaned(text):
            if name is not None:
                yield _Part(part, start, name)
            elif self.rules == "openai":
                for match in _WORDS_OPENAI.finditer(part):
                    yield _Part(match[0], match.start(), self._late.get(match[0]))
            else:
                yield from (_Part(word, start + offset, None) for offset, word in _words_fast(part))
            start += len(part)

    def _cleaned(self, text: str) -> Iterator[tuple[str, str | None]]:
        """Runs of cleaned text, each with the name of the token it spells out, if it is one."""
        if self.rules == "openai":
            yield _repaired(text), None
            return
        for raw, early in _cut(self._early, _whole(text)):
            if early:
                yield raw, raw
            else:
                for part, late in _cut(self._late_names, _normalised(raw)):
                    yield part, self._late[part] if late else None

    def _ids(self, part: "_Part") -> list[int]:
        if part.name is not None:
            return [self.vocab[part.name]]
        return [self.vocab.get(piece, self._unknown) for piece in self._pieces(part.text)]

    def _pieces(self, word: str) -> tuple[str, ...]:
        return self._known_pieces(word) if len(word) <= _CACHED_LETTERS else _pieces(self._ranks, word)

    def _placed(self, part: "_Part") -> Iterator[Word]:
        """The tokens of one word with their places: a letter counts for every token that holds one of its bytes."""
        letters = [part.start + i for i, letter in enumerate(part.text) for _ in letter.encode()]  # one entry a byte
        first = 0
        for piece in self._pieces(part.text):
            spelt = token_bytes(piece)
            last = first + len(spelt) - 1
            yield Word(self.vocab.get(piece, self._unknown), spelt.decode("utf-8", "replace"), letters[first], letters[last] + 1)
            first = last + 1


class _Part(NamedTuple):
    """A word, or a token spelt out (`name`), at `start` in the cleaned text."""

    text: str
    start: int
    name: str | None


def byte_letters() -> tuple[str, ...]:
    """The letter that stands for each byte 0..255 in a table: itself if it can be seen in Latin-1, else one from U+0100 on."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    unseen = (byte for byte in range(256) if byte not in seen)
    letters = {byte: chr(byte) for byte in seen} | {byte: chr(0x100 + i) for i, byte in enumerate(unseen)}
    return tuple(letters[byte] for byte in range(256))


def byte_tokens() -> tuple[str, ...]:
    """The first 256 tokens of a table, in CLIP's order: the bytes that can be seen, then the others."""
    return tuple(sorted(byte_letters()))


def token_bytes(token: str, end_of_word: bytes = b"") -> bytes:
    """What a token spells; a mark for the end of a word becomes `end_of_word`.

    A token with letters outside the byte alphabet has a name of its own, which is kept.
    """
    stem = token.removesuffix(END_OF_WORD)
    if not stem or any(letter not in _BYTES for letter in stem):
        return token.encode()
    return bytes(_BYTES[letter] for letter in stem) + (end_of_word if len(stem) < len(token) else b"")


def fast_words(text: str) -> list[str]:
    """The words of a text by the "fast" rules, names taken as any other text."""
    return [match[0] for match in _WORDS_PLAIN.finditer(_normalised(_whole(text)))]


_LETTERS = byte_letters()
_BYTES = {letter: byte for byte, letter in enumerate(_LETTERS)}


@cache
def _clip_table() -> tuple[dict[str, int], list[tuple[str, str]]]:
    packed = files("kakusan.prompts").joinpath("tables/bpe_simple_vocab_16e6.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode("utf-8").split("\n")
    merges = []
    for line in lines[1 : 1 + 49408 - 2 * 256 - 2]:  # CLIP was trained with the first 48894 of the file's merges
        left, right = line.split(" ")
        merges.append((left, right))
    return table_vocab(merges), merges


def table_vocab(merges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Ids in CLIP's order: the bytes, the bytes at the end of a word, the merges, start, end."""
    letters = byte_tokens()
    ends = [letter + END_OF_WORD for letter in letters]
    made = (left + right for left, right in merges)
    return {token: id for id, token in enumerate(dict.fromkeys([*letters, *ends, *made, START, END]))}  # two merges may make one token


def _repaired(text: str) -> str:
    """CLIP's own cleaning."""
    import ftfy  # here, because it takes long to import and folders do not need it

    while (normal := _nfc(text := ftfy.fix_text(text, normalization=None))) != text:  # ftfy's own loop, with a linear normalisation
        text = normal
    for _ in range(2):
        text = html.unescape(_LONG_NUMBER.sub(r"\1\2", text))
    return str(_SPACE.sub(" ", text.strip()).strip().lower())


def _normalised(text: str) -> str:
    """The cleaning of transformers: NFC, every run of white space one space, each letter lower-case by itself."""
    text = _SPACE.sub(" ", _nfc(text))
    return text.replace("\u03a3", "\u03c3").lower()  # str.lower alone makes a final sigma of it, which depends on the neighbours


def _nfc(text: str) -> str:
    """Unicode NFC. Long runs of combining marks are put in order beforehand: Python's own normalisation takes quadratic time for them."""
    return unicodedata.normalize("NFC", _MANY_MARKS.sub(_sorted_marks, text))


def _sorted_marks(run: "regex.Match[str]") -> str:
    marks = "".join(unicodedata.normalize("NFD", mark) for mark in run[0])
    # in groups, since the two modules' versions of Unicode may not agree on what is a mark
    return "".join(
        "".join(sorted(group, key=unicodedata.combining)) for _, group in groupby(marks, lambda mark: unicodedata.combining(mark) > 0)
    )


def _whole(text: str) -> str:
    """Halves of surrogate pairs joined; those without a partner cannot be written as UTF-8 and become U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _SURROGATE.search(text) else text


def _words_fast(text: str) -> Iterator[tuple[int, str]]:
    """Words with their places. A name that is only found after cleaning is cut, then cut again without names, as transformers does."""
    for match in _WORDS_FAST.finditer(text):
        if match[0] in (START, END):
            yield from ((match.start() + inner.start(), inner[0]) for inner in _WORDS_PLAIN.finditer(match[0]))
        else:
            yield match.start(), match[0]


def _any_of(names: Iterable[str]) -> "regex.Pattern[str] | None":
    """A pattern that finds the longest of the names at the first place there is one; None for no names."""
    longest_first = sorted(names, key=len, reverse=True)
    return regex.compile("|".join(map(regex.escape, longest_first))) if longest_first else None


def _cut(pattern: "regex.Pattern[str] | None", text: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces, each with whether the pattern matched it; none is empty."""
    done = 0
    for match in pattern.finditer(text) if pattern else ():
        if done < match.start():
            yield text[done : match.start()], False
        yield match[0], True
        done = match.end()
    if done < len(text):
        yield text[done:], False


def _pieces(ranks: Mapping[tuple[str, str], int], word: str) -> tuple[str, ...]:
    """A word joined up by the merges: always the pair of lowest rank, the leftmost of equals. n log n, for any length of word.

    The pieces form a doubly linked list; the heap holds every pair that may be joined and drops those that have changed since.
    """
    pieces = [_LETTERS[byte] for byte in word.encode()]
    pieces[-1] += END_OF_WORD
    left = list(range(-1, len(pieces) - 1))
    right = list(range(1, len(pieces) + 1))
    heap = [(ranks[pair], i) for i, pair in enumerate(pairwise(pieces)) if pair in ranks]
    heapify(heap)
    while heap:
        rank, i = heappop(heap)
        j = right[i]
        if not pieces[i] or j == len(pieces) or ranks.get((pieces[i], pieces[j])) != rank:
            continue
        pieces[i] += pieces[j]
        pieces[j] = ""
        right[i] = right[j]
        if right[i] < len(pieces):
            left[right[i]] = i
        for a, b in ((left[i], i), (i, right[i])):
            if a >= 0 and b < len(pieces) and (found := ranks.get((pieces[a], pieces[b]))) is not None:
                heappush(heap, (found, a))
    return tuple(piece for piece in pieces if piece)
