"""ComfyUI's, Compel's and the plain dialect; and of all dialects: nothing fails, nothing is lost, time is linear."""

import random
import re
import sys
import time
from collections.abc import Callable
from types import FrameType

import pytest

from kakusan.prompts import read
from kakusan.prompts.comfyui import pieces
from kakusan.prompts.prompt import BREAK, DIALECTS, Dialect, Piece, Prompt, Tag, literal

NUMBERS = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)")


def said(text: str, dialect: Dialect) -> list[tuple[str, float]]:
    (part,) = read(text, dialect, 10).parts
    return [(piece.text, round(piece.weight, 6)) for piece in part.stages[0].pieces]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a (b) c", [("a ", 1), ("b", 1.1), (" c", 1)]),
        ("((a:1.2) b:1.5)", [("a", 1.2), (" b", 1.5)]),
        ("(a ((b)):0.5)", [("a ", 0.5), ("b", 0.605)]),
        ("[a] {b} a:1.2", [("[a] {b} a:1.2", 1)]),
        (r"\(a\) (b\):1.2)", [("(a) ", 1), ("b)", 1.2)]),
        ("(a:b)", [("a:b", 1.1)]),
        ("(:1.2)", [(":1.2", 1.1)]),
        ("(a:1e1)", [("a", 10)]),
        ("(a", [("(a", 1)]),
        ("((a)", [("(a", 1.1)]),
        ("a) (b)", [("a) (b)", 1)]),
        ("()", [("", 1)]),
    ],
)
def test_comfyui(text: str, expected: list[tuple[str, float]]) -> None:
    assert said(text, "comfyui") == expected


def by_levels(text: str, weight: float = 1.0) -> list[tuple[str, float]]:
    """ComfyUI's weights, bracket level by bracket level; "<" and ">" stand for brackets that are meant as such."""
    items, item, depth = list[str](), "", 0
    for char in text:
        if char == "(" and depth == 0:
            items, item = [*items, item], ""
        depth += (char == "(") - (char == ")")
        item += char
        if char == ")" and depth == 0:
            items, item = [*items, item], ""
    made = list[tuple[str, float]]()
    for each in filter(None, [*items, item]):
        if len(each) < 2 or each[0] + each[-1] != "()":
            made.append((each, weight))
            continue
        words, colon, number = each[1:-1].rpartition(":")
        if colon and words and NUMBERS.fullmatch(number.strip()):
            made += by_levels(words, float(number))
        else:
            made += by_levels(each[1:-1], weight * 1.1)
    return made


def test_comfyuis_weights_of_random_prompts_are_those_of_a_simple_machine() -> None:
    rng = random.Random(3)
    for _ in range(4000):
        text = "".join(rng.choice(["(", ")", ":", ":1.2)", ":.5 )", "<", ">", "a", "b ", "1"]) for _ in range(rng.randrange(24)))
        expected = [(words.replace("<", "(").replace(">", ")"), weight) for words, weight in by_levels(text)]
        got = [(piece.text, piece.weight) for piece in pieces(text.replace("<", r"\(").replace(">", r"\)"))]
        assert got == (expected or [("", 1.0)]), text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a tall thin man picking apricots", [("a tall thin man picking apricots", 1)]),
        ("a tall thin man picking apricots++", [("a tall thin man picking", 1), (" apricots", 1.21)]),
        ("a tall (thin man)-- picking", [("a tall", 1), (" thin man", 0.81), (" picking", 1)]),
        ("a (tall (thin)+ man)1.5", [("a", 1), (" tall", 1.5), (" thin", 1.65), (" man", 1.5)]),
        ('"a phrase"0.5 b', [("a phrase", 0.5), (" b", 1)]),
        ("(a).attend(1.3) b.attend(--)", [("a", 1.3), (" b", 0.81)]),
        ("a well-known c++ + d", [("a well-known", 1), (" c", 1.21), (" + d", 1)]),
        (r"a \(b\)", [("a (b)", 1)]),
        ("a (b) c", [("a b c", 1)]),
        ("foo(bar)+", [("foo(bar)+", 1)]),
        ("(a = b)+", [("(a = b)+", 1)]),
        ("(a (b)+", [("(a", 1), (" b", 1.1)]),
        ("a (cat).swap(dog)", [("a (cat).swap(dog)", 1)]),
        ('("a", "b").and(1)', [("a , b .and(1)", 1)]),
        ("", [("", 1)]),
    ],
)
def test_compel(text: str, expected: list[tuple[str, float]]) -> None:
    assert said(text, "compel") == expected


def test_compels_lists() -> None:
    row = read('("a cat", "a (dog)+", mouse).and(1, 0.5, 1)', "compel", 10).parts[0].stages[0].pieces
    assert row == (Piece("a cat"), BREAK, Piece("a", 0.5), Piece(" dog", 0.55), BREAK, Piece("mouse"))
    blend = read('("a cat", "a dog").blend(3, 1)', "compel", 10).parts
    assert [(part.stages[0].text, part.weight) for part in blend] == [("a cat", 0.75), ("a dog", 0.25)]
    whole = read('("a cat", "a dog").blend(3, -1, no_normalize)', "compel", 10).parts
    assert [part.weight for part in whole] == [3, -1]
    assert len(read('("a", "b").blend(1, -1)', "compel", 10).parts) == 1
    assert read("a withLora(ink, 0.7) b", "compel", 10).loras == (Tag("lora", "ink", 0.7, 0.7),)


def test_plain_means_every_character() -> None:
    text = "a (b:1.2) [c:3] AND <lora:x> # d\n"
    assert read(text, "plain", 10) == literal(text)


PARTS = (
    "a cat", " ", ", ", "(", ")", "[", "]", "{", "}", "|", ":", ":1.2)", ":.5]", ":10]", "\\", '"', "++", "--", "1.3", ".and(", ".blend(",
    ".swap(", ".attend(", "AND", " BREAK ", "<lora:", "x:1>", ">", "#", "\n", "猫", "\0", "\ud83d\ude00", "e\u0301", "withLora(", "=",
    "[a:b:3]", "\t", "\u3000", "__x__", ":1e999]", "-", "nan", ":inf)",
)  # fmt: skip


def texts(prompt: Prompt) -> list[str]:
    return [stage.text for part in prompt.parts for stage in part.stages]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_any_text_is_a_prompt(dialect: Dialect) -> None:
    rng = random.Random(4)
    for _ in range(3000):
        text = "".join(rng.choice(PARTS) for _ in range(rng.randrange(25)))
        if rng.random() < 0.3:
            place = rng.randrange(len(text) + 1)
            text = text[:place] + chr(rng.randrange(0x250)) + text[place + rng.randrange(3) :]
        prompt = read(text, dialect, 10, hires_steps=rng.choice([None, 5]), negative=rng.random() < 0.3)
        weights = [piece.weight for part in prompt.parts for stage in part.stages for piece in stage.pieces]
        assert weights
        assert all(abs(weight) <= 1e6 for weight in weights)
        assert all(part.stages[-1].until is None for part in prompt.parts)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_is_lost(dialect: Dialect) -> None:
    """Text without syntax comes out as it went in, and brackets of any kind take no letter with them."""
    rng = random.Random(5)
    plain = ["cat", "dog", " ", ",", "猫", "é", "!", "?", "'", "the 3 mice", "/", "&", "%", "~", "\n", ";"]
    for _ in range(500):
        text = "".join(rng.choice(plain) for _ in range(rng.randrange(20)))
        (got,) = texts(read(text, dialect, 10))
        if dialect == "compel":  # it puts spaces behind commas, and one for many
            assert got == " ".join(got.split())
            got, text = ("".join(each.split()) for each in (got, text))
        assert got == (text.rstrip() if dialect == "a1111" else text)
        text = "".join(rng.choice([*plain, *'()[]{}"']) for _ in range(rng.randrange(30)))
        (got,) = texts(read(text, dialect, 10))
        assert "".join(filter(str.isalnum, got)) == "".join(filter(str.isalnum, text))


HOSTILE: dict[str, Callable[[int], str]] = {
    "opened": lambda n: "(" * n,
    "square": lambda n: "[" * n,
    "nested": lambda n: "(" * (n // 2) + "a" + ")" * (n // 2),
    "timelines": lambda n: "[a:" * (n // 8) + "b" + ":c:3]" * (n // 8),
    "numbers": lambda n: "(" * (n // 3) + ":" + "1" * (n // 3) + ")" * (n // 3),
    "tags": lambda n: "<a:" * (n // 3),
    "spaces": lambda n: "a" + " " * n + "BREAK",
    "quotes": lambda n: '("' * (n // 2),
    "words": lambda n: "a (cat:1.2), [x|y] [b:3] c++ " * (n // 29),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_twice_the_text_takes_twice_the_work(kind: str, dialect: Dialect) -> None:
    """Lines of Python that run, which a busy machine does not change."""
    short, long = (_lines(HOSTILE[kind](length), dialect) for length in (3000, 6000))
    assert long <= 2.2 * short


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_long_texts_take_no_longer_by_the_character(kind: str, dialect: Dialect) -> None:
    """With what regular expressions do: 16 times the text takes 16 times the time, on a busy machine some times that; not 256 times."""
    short, long = (min(_seconds(HOSTILE[kind](length), dialect) for _ in range(tries)) for length, tries in ((4000, 5), (64_000, 2)))
    assert long <= 8 * 16 * max(short, 0.0005)


def _lines(text: str, dialect: Dialect) -> int:
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., object]:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        read(text, dialect, 10)
    finally:
        sys.settrace(before)
    return count


def _seconds(text: str, dialect: Dialect) -> float:
    start = time.process_time()
    read(text, dialect, 10)
    return time.process_time() - start


@pytest.mark.parametrize("dialect", DIALECTS)
def test_brackets_may_be_nested_without_end(dialect: Dialect) -> None:
    depth = 100_000
    assert depth > sys.getrecursionlimit()
    for opened, closed in (("(", ")"), ("[", "]"), ("[", ":3]"), ("(", "")):
        prompt = read(opened * depth + "a" + closed * depth, dialect, 10)
        assert any("a" in text for text in texts(prompt)) or closed == ":3]"
