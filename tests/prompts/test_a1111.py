"""AUTOMATIC1111's grammar: what its source and its documentation publish, and agreement with simple machines on random prompts."""

import random
import re

import pytest

from kakusan.prompts import read
from kakusan.prompts.attention import pieces
from kakusan.prompts.prompt import BREAK, Piece, Tag
from kakusan.prompts.timelines import Steps, stages


def weighed(text: str) -> list[tuple[str, float]]:
    return [(piece.text, piece.weight) for piece in pieces(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("normal text", [("normal text", 1.0)]),
        ("an (important) word", [("an ", 1.0), ("important", 1.1), (" word", 1.0)]),
        ("(unbalanced", [("unbalanced", 1.1)]),
        (r"\(literal\]", [("(literal]", 1.0)]),
        ("(unnecessary)(parens)", [("unnecessaryparens", 1.1)]),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            [
                ("a ", 1.0),
                ("house", 1.5730000000000004),
                (" ", 1.1),
                ("on", 1.0),
                (" a ", 1.1),
                ("hill", 0.55),
                (", sun, ", 1.1),
                ("sky", 1.4641000000000006),
                (".", 1.1),
            ],
        ),
    ],
)
def test_published_weights(text: str, expected: list[tuple[str, float]]) -> None:
    assert weighed(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("", 1.0)]),
        ("[a]", [("a", 1 / 1.1)]),
        ("(a: 1.5 )", [("a", 1.5)]),
        ("(a:-.5)", [("a", -0.5)]),
        ("a:1.5)", [("a:1.5)", 1.0)]),
        ("(a:1.2.3)", [("a:1.2.3", 1.1)]),
        ("[a:1.5]", [("a:1.5", 1 / 1.1)]),
        (r"a\\(b)\c", [("a\\", 1.0), ("b", 1.1), ("c", 1.0)]),
        ("(a [b) c]", [("a ", 1.1), ("b", 1.1 * (1 / 1.1)), (" c", 1 / 1.1)]),
        ("a) ]b", [("a) ]b", 1.0)]),
        ("(x:9999999999)", [("x", 1e6)]),
    ],
)
def test_weights(text: str, expected: list[tuple[str, float]]) -> None:
    assert weighed(text) == expected


def test_break_ends_a_chunk_unless_it_weighs() -> None:
    assert pieces("a  BREAK\n(b) BREAK") == (Piece("a"), BREAK, Piece(""), Piece("b", 1.1), Piece(""), BREAK, Piece(""))
    assert [piece.text for piece in pieces("BREAKFAST breaks")] == ["BREAKFAST breaks"]
    assert pieces("(a BREAK b)") == (Piece("a", 1.1), Piece("BREAK", -1.1), Piece("b", 1.1))
    assert BREAK not in pieces("(BREAK:-1)")


def turns(*texts: str) -> list[tuple[int, str]]:
    return [(step, texts[(step - 1) % len(texts)]) for step in range(1, 11)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("test", [(10, "test")]),
        ("a [b:3]", [(3, "a "), (10, "a b")]),
        ("a [b: 3]", [(3, "a "), (10, "a b")]),
        ("a [[[b]]:2]", [(2, "a "), (10, "a [[b]]")]),
        ("[(a:2):3]", [(3, ""), (10, "(a:2)")]),
        ("a [b : c : 1] d", [(1, "a b  d"), (10, "a  c  d")]),
        ("a[b:[c:d:2]:1]e", [(1, "abe"), (2, "ace"), (10, "ade")]),
        ("a [unbalanced", [(10, "a [unbalanced")]),
        ("a [b:.5] c", [(5, "a  c"), (10, "a b c")]),
        ("((a][:b:c [d:3]", [(3, "((a][:b:c "), (10, "((a][:b:c d")]),
        ("[a|(b:1.1)]", turns("a", "(b:1.1)")),
        ("[fe|]male", turns("female", "male")),
        ("[fe|||]male", turns("female", "male", "male", "male")),
    ],
)
def test_published_timelines(text: str, expected: list[tuple[int, str]]) -> None:
    assert stages(text, Steps(10)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a [b::3] c", [(3, "a b c"), (10, "a  c")]),
        ("a [b:c:0]", [(10, "a c")]),
        ("a [b:c:-2]", [(10, "a c")]),
        ("a [b:c:99]", [(10, "a b")]),
        ("a [b:c:1e999]", [(10, "a b")]),
        ("[a:1e1]", [(10, "")]),
        ("[a:b:c:3]", [(10, "[a:b:c:3]")]),
        ("[a:3 4]", [(10, "[a:3 4]")]),
        (r"\[a:3\]", [(10, r"\[a:3\]")]),
        (r"[a\:b:3]", [(3, ""), (10, r"a\:b")]),
        ("(a [b:3]", [(3, "(a "), (10, "(a b")]),
        ("[([a:3]:4]", [(3, "[(:4]"), (10, "[(a:4]")]),
        ("[a:b:3][c|d]", [(1, "ac"), (2, "ad"), (3, "ac"), *((i, "bd" if i % 2 == 0 else "bc") for i in range(4, 11))]),
        # one bar or backslash out of place: the whole prompt is text, there as here
        ("a [{b|d{:.5] c", [(10, "a [{b|d{:.5] c")]),
        ("a|b [c:3]", [(10, "a|b [c:3]")]),
        ("[(a|b):3]", [(10, "[(a|b):3]")]),
        ("[a|b:3]", [(10, "[a|b:3]")]),
        ("[a:3] \\", [(10, "[a:3] \\")]),
    ],
)
def test_timelines(text: str, expected: list[tuple[int, str]]) -> None:
    assert stages(text, Steps(10)) == expected


def test_both_rules_of_timelines() -> None:
    """Since 1.6 a number with a point is a share of the first pass, above 1 of the second; before, numbers below 1 are shares of both."""

    def told(text: str, **options: object) -> list[tuple[int | None, str]]:
        (part,) = read(text, "a1111", 10, **options).parts  # type: ignore[arg-type]
        return [(stage.until, stage.text) for stage in part.stages]

    assert told("a [b:.5] c") == [(5, "a  c"), (None, "a b c")]
    assert told("a [b:1.5] c") == [(None, "a  c")]
    assert told("a [b:.5] c", hires_steps=10) == [(None, "a b c")]
    assert told("a [b:1.5] c", hires_steps=10) == [(5, "a  c"), (None, "a b c")]
    assert told("a [b:14] c", hires_steps=6) == [(4, "a  c"), (None, "a b c")]
    assert told("a [b:3] c", hires_steps=6) == [(None, "a b c")]
    assert told("a [b:.5] c", hires_steps=20, old_timelines=True) == [(5, "a  c"), (None, "a b c")]
    assert told("a [b:1.5] c", old_timelines=True) == [(1, "a  c"), (None, "a b c")]
    assert told("a [b:1.0] c", old_timelines=True) == [(1, "a  c"), (None, "a b c")]
    assert told("a [b:1.0] c") == [(None, "a  c")]


def test_and_composes() -> None:
    parts = read("a cat :1.2 AND a dog:-.5 AND (a bird:1.5) AND SANDY ANDROID", "a1111", 10).parts
    assert [(part.stages[0].text, part.weight) for part in parts] == [
        ("a cat", 1.2),
        (" a dog", -0.5),
        (" a bird", 1.0),
        (" SANDY ANDROID", 1.0),
    ]
    (alone,) = read("16:9", "a1111", 10).parts
    assert (alone.stages[0].text, alone.weight) == ("16", 9.0)
    (negative,) = read("a AND b:2 <lora:x>", "a1111", 10, negative=True).parts
    assert (negative.stages[0].text, negative.weight) == ("a AND b:2 <lora:x>", 1.0)


def test_tags_are_taken_out() -> None:
    prompt = read("a <lora:one:.5>cat <lora:two:0.6:0.7:16><lora:three:unet=.2:te=.3> <lyco:four> <hypernet:five:-1>", "a1111", 10)
    assert prompt.parts[0].stages[0].text == "a cat"
    assert prompt.loras == (
        Tag("lora", "one", 0.5, 0.5),
        Tag("lora", "two", 0.6, 0.7, {"dyn": "16"}),
        Tag("lora", "three", 0.3, 0.2),
        Tag("lyco", "four"),
        Tag("hypernet", "five", -1.0, -1.0),
    )
    for text in ("a <lora:x:y> b", "a <lora:x:nan>", "a < lora:x>", "a <lora:x", "a <3 b", "<lora:>"):
        assert read(text, "a1111", 10).parts[0].stages[0].text == text
    assert read("<other:x:y>", "a1111", 10).loras == (Tag("other", "x", given={"1": "y"}),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a # b\nc", "a \nc"), ("# all\na", "\na"), ("a\n# b\nc", "a\nc"), ("a#b", "a"), ("a\n#b\n#c\nd", "a\n\nd")],
)
def test_comments(text: str, expected: str) -> None:
    assert read(text + "!", "a1111", 10).parts[0].stages[0].text.rstrip("!") == expected.rstrip()


def machine(text: str) -> list[tuple[str, float]]:
    """Every character with its weight, by multiplying all characters in a bracket whenever one closes."""
    shown: list[tuple[str, float]] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}

    def close(kind: str, weight: float) -> None:
        start = opened[kind].pop()
        shown[start:] = [(char, old * weight) for char, old in shown[start:]]

    place = 0
    while place < len(text):
        char, number = text[place], re.compile(r":\s*([+-]?(\d+\.?\d*|\.\d+))\s*\)").match(text, place)
        if char == "\\":
            place += 1
            if text[place : place + 1] in tuple("()[]\\"):
                shown.append((text[place], 1.0))
                place += 1
            continue
        if char in opened:
            opened[char].append(len(shown))
        elif number and opened["("]:
            close("(", float(number[1]))
            place = number.end() - 1
        elif char == ")" and opened["("]:
            close("(", 1.1)
        elif char == "]" and opened["["]:
            close("[", 1 / 1.1)
        else:
            shown.append((char, 1.0))
        place += 1
    for kind, weight in (("(", 1.1), ("[", 1 / 1.1)):
        while opened[kind]:
            close(kind, weight)
    return shown


def test_weights_of_random_prompts_are_those_of_a_simple_machine() -> None:
    rng = random.Random(1)
    tokens = ["(", ")", "[", "]", ":", ":1.2)", ":.5 )", "\\", "a", "b c", " ", "1.3", ",", "\n", ": ", "猫"]
    for _ in range(4000):
        text = "".join(rng.choice(tokens) for _ in range(rng.randrange(30)))
        got = [(char, piece.weight) for piece in pieces(text) for char in piece.text]
        assert got == machine(text), text


def test_deep_brackets_weigh_as_much_in_any_order() -> None:
    text = "(" * 60 + "[" * 40 + "a" + "]" * 40 + ")" * 60
    ((_, weight),) = weighed(text)
    assert weight == pytest.approx(1.1**20)


class Tree:
    """A random prompt whose meaning is known: its text, the changes in it, and what it says at a step."""

    def __init__(self, rng: random.Random, depth: int):
        self.parts: list[str | tuple[str, list[Tree], str]] = []
        for _ in range(rng.randrange(4)):
            kind = rng.choice(["words", "words", "when", "turns", "round", "square"] if depth else ["words"])
            if kind == "words":
                self.parts.append(rng.choice(["a", "b c", " ", r"\[", r"\:", r"\|", "猫", "1", ".5"]))
                continue
            count = {"when": rng.choice([1, 2]), "turns": rng.randrange(2, 4), "round": rng.choice([1, 2]), "square": 1}[kind]
            number = rng.choice(["3", " 5", "7 ", "0", ".5", "0.25", "-1", "12"])
            self.parts.append((kind, [Tree(rng, depth - 1) for _ in range(count)], number))

    def text(self) -> str:
        return "".join(part if isinstance(part, str) else self._written(*part) for part in self.parts)

    def _written(self, kind: str, inner: list["Tree"], number: str) -> str:
        texts = [tree.text() for tree in inner]
        return {
            "when": f"[{':'.join(texts)}:{number}]",
            "turns": f"[{'|'.join(texts)}]",
            "round": f"({':'.join(texts)})",
            "square": f"[{texts[0]}]",
        }[kind]

    def at(self, step: int) -> str:
        return "".join(part if isinstance(part, str) else self._said(step, *part) for part in self.parts)

    def _said(self, step: int, kind: str, inner: list["Tree"], number: str) -> str:
        if kind == "turns":
            return inner[(step - 1) % len(inner)].at(step)
        if kind == "when":
            before, after = inner if len(inner) == 2 else (None, inner[0])
            when = float(number) * (10 if "." in number else 1)
            return after.at(step) if step > when else before.at(step) if before else ""
        return f"({':'.join(tree.at(step) for tree in inner)})" if kind == "round" else f"[{inner[0].at(step)}]"


def test_random_prompts_say_at_each_step_what_they_were_made_to_say() -> None:
    rng, changing = random.Random(2), 0
    for _ in range(1500):
        tree = Tree(rng, 3)
        found = stages(tree.text(), Steps(10))
        changing += len(found) > 1
        for step in range(1, 11):
            said = next(text for end, text in found if step <= end)
            assert said == tree.at(step), tree.text()
    assert changing > 400


def test_turns_and_changes_together() -> None:
    """Texts are put together once for each state, so states must tell apart all that differ."""
    assert stages("[a|b|c][|x][y:5]", Steps(9)) == [
        (step, "abc"[(step - 1) % 3] + ("" if step % 2 else "x") + ("y" if step > 5 else "")) for step in range(1, 10)
    ]
    assert [len(part.stages) for part in read("[a|b] AND [c:0] AND d", "a1111", 0).parts] == [1, 1, 1]
