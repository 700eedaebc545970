"""A small byte-pair table in CLIP's format, learnt from captions in English and Japanese.

Sennrich et al. 2016, https://arxiv.org/abs/1508.07909, algorithm 1, with pair counts kept up to date instead of counted anew.

CLIP's word pattern takes a whole run of Japanese as one word, so plain training would join across words and through the middle of
letters. Here two things keep the pieces clean, and the ordinary tokenizer, which knows neither, gives nearly the same pieces:
a run is cut where the script changes and round particles, の above all, and merges are learnt within the cuts only;
bytes are joined into a letter from its first byte on, and only whole letters are joined further.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from functools import cache
from heapq import heapify, heappop, heappush
from itertools import pairwise

import regex

from .tokenizer import END_OF_WORD, Tokenizer, byte_letters, byte_tokens, fast_words, table_vocab, token_bytes
from .tokenizer_files import END

Pair = tuple[str, str]

_PARTICLES = "いがでとなにはも"  # right after a kanji or katakana: a particle or the い of an adjective; の and を anywhere
_SCRIPTS = regex.compile(
    rf"[のを]|(?<=[\p{{Han}}\p{{Katakana}}ー])[{_PARTICLES}]|(?:(?![のを])[\p{{Hiragana}}ー])+|[\p{{Katakana}}ー]+|\p{{Han}}+"
    r"|[^\p{Hiragana}\p{Katakana}\p{Han}ー]+"
)
_LETTERS = byte_letters()
_FEWEST = 2  # a pair that occurs once teaches nothing


def train(captions: Iterable[str], size: int, *, length: int = 77) -> Tokenizer:
    """A tokenizer of at most `size` tokens: 256 bytes, 256 bytes that end a word, merges, start, end. It pads with end.

    It has fewer tokens if the captions run out of pairs that occur twice. The same captions, in any order, give the same table.
    Raises ValueError if size is below 514.
    """
    room = size - 2 * len(byte_tokens()) - 2
    if room < 0:
        raise ValueError(f"size is {size}; the bytes, start and end alone are {size - room} tokens")
    merges = _learn(_count_pieces(captions), room)
    vocab = table_vocab(merges)
    return Tokenizer(vocab, merges, pad=vocab[END], length=length, rules="fast")


def split_scripts(word: str) -> list[str]:
    """A word of CLIP's pattern in the pieces that merges stay within: 赤いりんごの家 gives 赤, い, りんご, の, 家."""
    return [match[0] for match in _SCRIPTS.finditer(word)]


def _count_pieces(captions: Iterable[str]) -> Counter[tuple[str, ...]]:
    """How often each piece occurs, as bytes; the last piece of a word carries the end mark on its last byte."""
    words = Counter(word for caption in captions for word in fast_words(caption))
    pieces: Counter[tuple[str, ...]] = Counter()
    for word, count in words.items():
        *inner, last = (tuple(_LETTERS[byte] for byte in piece.encode()) for piece in split_scripts(word))
        for piece in inner:
            pieces[piece] += count
        pieces[(*last[:-1], last[-1] + END_OF_WORD)] += count
    return pieces


def _learn(pieces: Counter[tuple[str, ...]], room: int) -> list[Pair]:
    """The merges, most frequent first, that make `room` new tokens; of equal counts the pair that sorts first."""
    rows = [list(piece) for piece in sorted(pieces)]
    counts = [pieces[tuple(row)] for row in rows]
    allowed = _allowed()
    total: Counter[Pair] = Counter()
    where: defaultdict[Pair, set[int]] = defaultdict(set)
    for index, row in enumerate(rows):
        for pair in pairwise(row):
            total[pair] += counts[index]
            where[pair].add(index)
    heap = [(-count, pair) for pair, count in total.items() if allowed(*pair)]
    heapify(heap)
    merges: list[Pair] = []
    made: set[str] = set()
    while heap and len(made) < room:
        count, pair = heappop(heap)
        if -count != total[pair]:
            continue  # changed since, and entered again with its new count
        if -count < _FEWEST:
            break
        merges.append(pair)
        made.add("".join(pair))
        changed: Counter[Pair] = Counter()
        for index in where.pop(pair):
            _join(rows[index], pair, counts[index], index, changed, where)
        for other, change in changed.items():
            total[other] += change
            if change and total[other] and allowed(*other):
                heappush(heap, (-total[other], other))
    return merges


def _join(row: list[str], pair: Pair, count: int, index: int, changed: Counter[Pair], where: defaultdict[Pair, set[int]]) -> None:
    """Join a pair wherever it stands in a row, from the left, and note which pairs the row has lost and gained."""
    changed.subtract({other: count * times for other, times in Counter(pairwise(row)).items()})
    joined: list[str] = []
    at = 0
    while at < len(row):
        here = tuple(row[at : at + 2]) == pair
        joined.append("".join(pair) if here else row[at])
        at += 2 if here else 1
    row[:] = joined
    for other in pairwise(row):
        changed[other] += count
        where[other].add(index)


def _allowed() -> Callable[[str, str], bool]:
    """Whether two tokens may be joined: both are whole letters, or the left is the beginning of a letter and the right its next byte."""

    @cache
    def whole(token: str) -> bool:
        try:
            token_bytes(token).decode("utf-8")
        except UnicodeDecodeError:
            return False
        return True

    def allowed(left: str, right: str) -> bool:
        if whole(left):
            return whole(right)
        return token_bytes(left)[0] >= 0xC0 and len(token_bytes(right)) == 1  # 0xC0 and above begin a letter

    return allowed
