"""Pieces of text to chunks of token ids, each as long as a text encoder takes: prompts of any length, none of it cut away.

A chunk has its own start and end, and as many tokens between as there is room for (75 in Stable Diffusion). What stands in one chunk
is read together; the states of all chunks follow one another. As in AUTOMATIC1111's web UI, whose rules these are, but for "words",
which is ComfyUI's.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from ..errors import KakusanError
from .prompt import Break, Piece

if TYPE_CHECKING:
    from torch import Tensor

    from .tokenizer import Tokenizer

Wrap = Literal["comma", "words"]
"""Where a chunk ends: behind a comma that is near enough, or between words."""
BACKTRACK = 20
"""Tokens behind the last comma that are moved to the next chunk rather than be torn off what follows them."""
LONG_WORD = 8
"""Tokens from which on a word may be cut by the end of a chunk; ComfyUI's number."""
NOWHERE = -1


class Embedding(Protocol):
    """A word with token embeddings of its own, learnt by textual inversion. vectors: (n d), one for each token it stands for."""

    @property
    def name(self) -> str:
        """What it is called in prompts."""

    @property
    def vectors(self) -> "Tensor":
        """Its token embeddings."""


class Token(NamedTuple):
    """id: in the vocabulary, 0 for a vector of an embedding. piece: the number of the piece it stands in, `NOWHERE` for none."""

    id: int
    weight: float = 1.0
    piece: int = NOWHERE


class Placed(NamedTuple):
    """An embedding, and the place in its chunk of the first of its vectors."""

    at: int
    embedding: Embedding


@dataclass(frozen=True)
class Chunk:
    """One row for the text encoder: tokens (l) with start, end and padding.

    words: how many of them are the prompt's; first: the place of the first of these.
    """

    tokens: tuple[Token, ...]
    words: int
    placed: tuple[Placed, ...] = ()
    first: int = 1

    @property
    def ids(self) -> tuple[int, ...]:
        """The token ids (l)."""
        return tuple(token.id for token in self.tokens)

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight (l) of each token; start, end and padding have 1."""
        return tuple(token.weight for token in self.tokens)

    @property
    def own(self) -> tuple[Token, ...]:
        """The prompt's tokens alone."""
        return self.tokens[self.first : self.first + self.words]


def chunked(
    pieces: Sequence[Piece],
    tokenizer: "Tokenizer",
    embeddings: Sequence[Embedding] = (),
    wrap: Wrap = "comma",
    backtrack: int = BACKTRACK,
) -> tuple[Chunk, ...]:
    """The chunks of a text, at least one. An embedding is found by its name, capitals aside, wherever that stands as whole words.

    backtrack: 0 ends a chunk wherever it is full. Raises KakusanError on an embedding of more vectors than there is room for.
    """
    filling = _Filling(tokenizer)
    known = _by_tokens(embeddings, tokenizer)
    for number, piece in enumerate(pieces):
        if isinstance(piece, Break):
            filling.end()
        elif wrap == "words":
            for word in piece.text.split():
                filling.add_word(_found(tokenizer.encode(word), known, piece.weight, number))
        else:
            filling.add(_found(tokenizer.encode(piece.text), known, piece.weight, number), backtrack)
    return filling.finished()


def of_ids(ids: Sequence[int]) -> tuple[Chunk, ...]:
    """The one chunk that is just these ids (l), start, end and padding among them; nothing in it is weighted."""
    return (Chunk(tuple(Token(id) for id in ids), 0),)


def counted(chunks: Sequence[Chunk], room: int) -> int:
    """How many tokens a prompt takes, as AUTOMATIC1111's counter says it: all chunks but the last are full."""
    return room * (len(chunks) - 1) + chunks[-1].words


def fragments(chunk: Chunk) -> list[tuple[int, list[Token]]]:
    """The prompt's tokens in a chunk, those of one piece together, with the number of the piece."""
    return [(piece, list(tokens)) for piece, tokens in groupby(chunk.own, key=lambda token: token.piece)]


class _Span(NamedTuple):
    """Tokens that stay together: a token, or the vectors of an embedding."""

    tokens: list[Token]
    embedding: Embedding | None = None


class _Filling:
    """Chunks in the making."""

    def __init__(self, tokenizer: "Tokenizer"):
        self.tokenizer, self.room = tokenizer, tokenizer.room
        self.comma = tokenizer.vocab.get(",</w>", tokenizer.vocab.get(",", NOWHERE))  # the second where ends of words are not marked
        self.done: list[Chunk] = []
        self.tokens: list[Token] = []
        self.placed: list[Placed] = []
        self.last_comma = NOWHERE

    def add(self, spans: Iterator[_Span], backtrack: int) -> None:
        """Fill, and where it is full, take what stands behind a comma near the end over to the next chunk."""
        for span in spans:
            size = len(self.tokens)
            if span.tokens[0].id == self.comma and span.embedding is None:
                self.last_comma = size
            elif backtrack and size == self.room and self.last_comma != NOWHERE and size - self.last_comma <= backtrack:
                self._end_after(self.last_comma + 1)
            self._append(span)

    def add_word(self, spans: Iterator[_Span]) -> None:
        """Fill, and begin a new chunk rather than cut a word, unless it is a long one."""
        word = list(spans)
        size = sum(len(span.tokens) for span in word)
        if size < LONG_WORD and len(self.tokens) + size > self.room:
            self.end()
        for span in word:
            self._append(span)

    def end(self) -> None:
        """Close the chunk, however much there is in it."""
        tokenizer, left = self.tokenizer, self.room - len(self.tokens)
        row = [*[Token(tokenizer.start)] * tokenizer.before, *self.tokens, Token(tokenizer.end), *[Token(tokenizer.pad)] * left]
        self.done.append(Chunk(tuple(row), len(self.tokens), tuple(self.placed), tokenizer.before))
        self.tokens, self.placed, self.last_comma = [], [], NOWHERE

    def finished(self) -> tuple[Chunk, ...]:
        """All chunks, the last of them closed."""
        if self.tokens or not self.done:
            self.end()
        return tuple(self.done)

    def _append(self, span: _Span) -> None:
        size = len(span.tokens)
        if len(self.tokens) + size > self.room:
            self.end()
        if span.embedding is not None:
            if size > self.room:
                name = span.embedding.name
                raise KakusanError(
                    f"embedding {name!r} has {size} vectors, but this text encoder reads {self.room} at a time; use another",
                    f"埋め込み {name!r} のベクトルは {size} 個ですが、このテキストエンコーダーが一度に読めるのは {self.room} 個です",
                )
            self.placed.append(Placed(self.tokenizer.before + len(self.tokens), span.embedding))
        self.tokens += span.tokens

    def _end_after(self, size: int) -> None:
        """Close the chunk after so many tokens; the others begin the next one."""
        end = size + self.tokenizer.before
        over, moved = self.tokens[size:], [place for place in self.placed if place.at >= end]
        self.tokens, self.placed = self.tokens[:size], [place for place in self.placed if place.at < end]
        self.end()
        self.tokens, self.placed = over, [place._replace(at=place.at - size) for place in moved]


def _by_tokens(embeddings: Sequence[Embedding], tokenizer: "Tokenizer") -> Mapping[int, list[tuple[list[int], Embedding]]]:
    """Embeddings with the ids of their names, longest name first, by the first of these ids."""
    known: dict[int, list[tuple[list[int], Embedding]]] = {}
    for embedding in embeddings:
        if ids := tokenizer.encode(embedding.name):
            known.setdefault(ids[0], []).append((ids, embedding))
    return {first: sorted(found, key=lambda pair: len(pair[0]), reverse=True) for first, found in known.items()}


def _found(ids: Sequence[int], known: Mapping[int, list[tuple[list[int], Embedding]]], weight: float, piece: int) -> Iterator[_Span]:
    """The tokens of a text, the names of embeddings among them replaced."""
    at = 0
    while at < len(ids):
        for name, embedding in known.get(ids[at], ()):
            if list(ids[at : at + len(name)]) == name:
                yield _Span([Token(0, weight, piece)] * len(embedding.vectors), embedding)
                at += len(name)
                break
        else:
            yield _Span([Token(ids[at], weight, piece)])
            at += 1
