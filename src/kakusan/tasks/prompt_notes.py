"""What a user should know about the words of a recipe: that they fill more than one chunk, and which of them a small model never met."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

from ..messages import tr
from ..prompts.chunks import Chunk
from ..prompts.prompt import Break
from ..words import Words, words
from .conditions import Vocabulary, read_in, words_of
from .recipe import Recipe

SHOWN = 24
"""Characters on each side of a chunk's end."""


def prompt_notes(recipe: Recipe, vocabulary: Vocabulary, known: Words) -> list[str]:
    """A line for each prompt that is read in several chunks, with where they end, and one for unknown words."""
    said = words_of(replace(recipe, wording=replace(recipe.wording, cut=False)), vocabulary)
    longest = (max((stretch.chunks for stretch in line.stretches), key=len) for line in (*said.prompt, *said.negative))
    notes = [_long(chunks, recipe.wording.cut, vocabulary) for chunks in longest if len(chunks) > 1]
    if never := [word for word in known.unknown(text_of(recipe)) if word not in _names(vocabulary)]:
        notes.append(unknown(never))
    return notes


def unknown(words: Iterable[str]) -> str:
    """The line about words that a model never met."""
    listed = ", ".join(words)
    return tr(f"this model does not know: {listed}", f"このモデルが知らない言葉: {listed}")


def _long(chunks: tuple[Chunk, ...], cut: bool, vocabulary: Vocabulary) -> str:
    count, several, ends = sum(chunk.words for chunk in chunks), len(chunks), list(borders(chunks, vocabulary))
    if cut:
        en = f"of {count} tokens only the first {chunks[0].words} are read, up to: {ends[0]}"
        return tr(en, f"{count} トークンのうち最初の {chunks[0].words} だけを読みます。切れ目: {ends[0]}")
    en = f"{count} tokens are read in {several} chunks, with the ends at: {'; '.join(ends)}"
    return tr(en, f"{count} トークンを {several} つに分けて読みます。切れ目: {'; '.join(ends)}")


def borders(chunks: tuple[Chunk, ...], vocabulary: Vocabulary) -> Iterator[str]:
    """What stands on both sides of the end of each chunk but the last."""
    texts = [vocabulary.tokenizer.decode([token.id for token in chunk.own]) for chunk in chunks]
    for before, after in pairwise(texts):
        yield f"{'…' * (len(before) > SHOWN)}{before[-SHOWN:].lstrip()} | {after[:SHOWN].rstrip()}{'…' * (len(after) > SHOWN)}"


def text_of(recipe: Recipe) -> str:
    """All words of a recipe's prompt, without what only says how they are meant."""
    stages = (stage for part in read_in(recipe, recipe.prompt) for stage in part.stages)
    texts = dict.fromkeys(" ".join(piece.text for piece in stage.pieces if not isinstance(piece, Break)) for stage in stages)
    return "\n".join(texts)


def _names(vocabulary: Vocabulary) -> set[str]:
    return {word for embedding in vocabulary.embeddings for word in words(embedding.name)}
