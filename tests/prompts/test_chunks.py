"""Chunks: where they end, what stands in them, and that nothing is lost. AUTOMATIC1111's rules, written out once more below."""

import gc
import random
import string
import time
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from kakusan.errors import KakusanError
from kakusan.prompts.chunks import BACKTRACK, Chunk, chunked, counted, fragments
from kakusan.prompts.prompt import BREAK, Piece
from kakusan.prompts.tokenizer import Tokenizer, byte_tokens

CLIP = Tokenizer.clip()
SD2 = Tokenizer.clip(pad=0)
ROOM, START, END, COMMA = 75, 49406, 49407, 267


@dataclass(frozen=True)
class Learnt:
    name: str
    vectors: Tensor


def own(chunk: Chunk) -> list[int]:
    return [token.id for token in chunk.own]


def words(count: int, word: str = "cat") -> str:
    return " ".join([word] * count)


def by_the_rules(ids: list[int], backtrack: int) -> list[list[int]]:
    """The chunks' tokens, by hand: fill up; when a token does not fit any more, look back for a comma."""
    chunks: list[list[int]] = [[]]
    for id in ids:
        if len(chunks[-1]) == ROOM:
            full, cut = chunks[-1], ROOM
            commas = [i for i, other in enumerate(full) if other == COMMA]
            if id != COMMA and commas and ROOM - commas[-1] <= backtrack:
                cut = commas[-1] + 1
            chunks[-1] = full[:cut]
            chunks.append(full[cut:])
        chunks[-1].append(id)
    return chunks


def random_text(seed: int) -> str:
    rng = random.Random(seed)
    return "".join(
        rng.choice(["a ", "red ", "cat", ", ", ",", "観 ", "!", "soft light, ", "x" * 9 + " "]) for _ in range(rng.randrange(400))
    )


def test_a_short_prompt_is_the_row_it_always_was() -> None:
    for tokenizer in (CLIP, SD2):
        for text in ("", "a red apple", "赤いりんご!", words(75)):
            (chunk,) = chunked([Piece(text)], tokenizer)
            assert list(chunk.ids) == tokenizer.padded(text)
            assert set(chunk.weights) == {1.0}


def test_each_chunk_has_its_own_start_end_and_padding() -> None:
    first, second = chunked([Piece(words(80))], SD2)
    assert (first.ids[0], first.ids[76], first.words) == (START, END, 75)
    assert second.ids[:7] == (START, *SD2.encode(words(5)), END)
    assert set(second.ids[7:]) == {0}
    assert set(chunked([Piece(words(80))], CLIP)[1].ids[6:]) == {END}
    assert counted((first, second), ROOM) == 80


@pytest.mark.parametrize(("comma", "ends"), [(54, 75), (55, 56), (74, 75), (73, 74)])
def test_a_comma_among_the_last_twenty_ends_a_chunk(comma: int, ends: int) -> None:
    text = f"{words(comma)}, {words(60)}"
    first, second = chunked([Piece(text)], CLIP)
    assert first.words == ends
    assert own(first) + own(second) == CLIP.encode(text)
    assert chunked([Piece(text)], CLIP, backtrack=0)[0].words == 75


def test_a_comma_that_does_not_fit_begins_the_next_chunk() -> None:
    text = f"{words(60)}, {words(14)}, {words(3)}"
    first, second = chunked([Piece(text)], CLIP)
    assert (first.words, own(second)[0]) == (75, COMMA)


@pytest.mark.parametrize("backtrack", [0, 5, BACKTRACK, 74])
def test_chunks_are_those_of_the_rules_and_nothing_is_lost(backtrack: int) -> None:
    for seed in range(40):
        text = random_text(seed)
        chunks = chunked([Piece(text)], CLIP, backtrack=backtrack)
        assert [own(chunk) for chunk in chunks] == by_the_rules(CLIP.encode(text), backtrack), seed
        assert all(len(chunk.tokens) == 77 for chunk in chunks)


def test_a_break_closes_a_chunk_whatever_is_in_it() -> None:
    chunks = chunked([Piece("a cat"), BREAK, BREAK, Piece("a dog", 1.2), BREAK], CLIP)
    assert [own(chunk) for chunk in chunks] == [CLIP.encode("a cat"), [], CLIP.encode("a dog")]
    assert list(chunks[1].ids) == CLIP.padded("")
    assert counted(chunks, ROOM) == 75 + 75 + 2


def test_weights_stay_with_their_tokens_over_the_end_of_a_chunk() -> None:
    chunks = chunked([Piece(words(60)), Piece(", " + words(20), 1.3), Piece(" dog", 0.5)], CLIP)
    assert [chunk.words for chunk in chunks] == [61, 21]
    assert chunks[0].weights == (1.0,) * 61 + (1.3,) + (1.0,) * 15
    assert chunks[1].weights == (1.0,) + (1.3,) * 20 + (0.5,) + (1.0,) * 55
    assert [(piece, len(tokens)) for piece, tokens in fragments(chunks[1])] == [(1, 20), (2, 1)]


LEARNT = [Learnt("my-cat", torch.ones(3, 8)), Learnt("my", torch.ones(1, 8)), Learnt("Sofa", torch.ones(2, 8))]


def test_an_embedding_is_found_by_its_name_whatever_the_capitals() -> None:
    (chunk,) = chunked([Piece("a MY-Cat on "), Piece("sofa", 1.3), Piece(" my sofas")], CLIP, LEARNT)
    assert [(place.at, place.embedding.name) for place in chunk.placed] == [(2, "my-cat"), (6, "Sofa"), (8, "my")]
    assert own(chunk) == [*CLIP.encode("a"), 0, 0, 0, *CLIP.encode("on"), 0, 0, 0, *CLIP.encode("sofas")]
    assert chunk.weights[6:8] == (1.3, 1.3)


def test_vectors_of_an_embedding_stay_together() -> None:
    first, second = chunked([Piece(f"{words(73)} my-cat")], CLIP, LEARNT)
    assert (first.words, second.placed[0].at) == (73, 1)
    moved, rest = chunked([Piece(f"{words(60)}, my-cat {words(30)}")], CLIP, LEARNT)
    assert (moved.words, moved.placed, rest.placed[0].at) == (61, (), 1)
    kept, rest = chunked([Piece(f"my-cat {words(60)}, {words(30)}")], CLIP, LEARNT)
    assert (kept.placed[0].at, rest.placed) == (1, ())


def test_an_embedding_too_large_for_a_chunk_is_refused_in_one_line() -> None:
    with pytest.raises(KakusanError, match="'big' has 76 vectors"):
        chunked([Piece("a big cat")], CLIP, [Learnt("big", torch.ones(76, 8))])


def test_comfyuis_chunks_end_between_words() -> None:
    word = "abcdefgh "  # some tokens
    size = len(CLIP.encode(word))
    assert 1 < size < 8
    first, second = chunked([Piece(words(74) + " " + word)], CLIP, wrap="words")
    assert (first.words, second.words) == (74, size)
    long = "".join(random.Random(1).choice(string.ascii_lowercase) for _ in range(40))
    first, second = chunked([Piece(words(70) + " " + long)], CLIP, wrap="words")
    assert (first.words, second.words) == (75, len(CLIP.encode(long)) - 5), "a long word may be cut"


def test_short_text_encoders_have_short_chunks() -> None:
    tokens = [*byte_tokens(), *(f"{token}</w>" for token in byte_tokens()), "<|startoftext|>", "<|endoftext|>"]
    short = Tokenizer({token: i for i, token in enumerate(tokens)}, [], pad=513, length=12)
    chunks = chunked([Piece("abcdefghijklmno")], short)
    assert [chunk.words for chunk in chunks] == [10, 5]


def test_time_is_linear_in_the_length() -> None:
    def seconds(size: int) -> float:
        text, best = "a soft light, " * (size // 14), 9.0
        for _ in range(3):
            start = time.process_time()
            chunked([Piece(text)], CLIP)
            best = min(best, time.process_time() - start)
        return best

    gc.disable()  # it looks at all there is in this process, not only at what is made here
    try:
        seconds(1000)
        assert seconds(200_000) < 8 * seconds(50_000)  # 4 if linear, 16 if quadratic
    finally:
        gc.enable()
