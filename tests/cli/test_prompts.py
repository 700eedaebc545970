"""`kakusan draw` with many prompts at once."""

import io
import json
import sys
from pathlib import Path

import pytest

from kakusan.cli import main

Captured = pytest.CaptureFixture[str]
QUICK = ("--steps", "1", "--sampler", "euler", "--json")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def drawn(capsys: Captured, *words: str) -> list[tuple[str, str, int]]:
    """Prompt, negative prompt and seed of each picture that a command draws."""
    from kakusan.tasks.recipe import Recipe

    assert main(["draw", *words, *QUICK]) == 0
    report = json.loads(capsys.readouterr().out)
    assert all(Path(file).exists() for file in report["files"])
    recipes = [Recipe.parse(text) for text in report["parameters"]]
    return [(recipe.prompt, recipe.negative, recipe.seed) for recipe in recipes]


def test_a_file_is_a_prompt_a_line(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("p.txt").write_text("a red apple\na blue car --seed 7 --negative snow\n", encoding="utf-8")
    expected = [("a red apple", "fog", 3), ("a red apple", "fog", 4), ("a blue car", "snow", 7), ("a blue car", "snow", 8)]
    assert drawn(capsys, "--prompts", "p.txt", "--seed", "3", "--negative", "fog", "--count", "2") == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("a house\n家\n".encode())))
    assert drawn(capsys, "--prompts", "-", "--seed", "1") == [("a house", "", 1), ("家", "", 1)]


def test_a_line_is_the_same_picture_as_a_command(capsys: Captured) -> None:
    Path("p.txt").write_text("a red apple --seed 5 --scale 2\na blue car --width 96\n", encoding="utf-8")
    assert main(["draw", "--prompts", "p.txt", "--outdir", "a", "--seed", "6", *QUICK]) == 0
    together = json.loads(capsys.readouterr().out)["files"]
    alone = []
    for words in (["a red apple", "--seed", "5", "--scale", "2"], ["a blue car", "--seed", "6", "--width", "96"]):
        assert main(["draw", *words, "--outdir", "b", *QUICK]) == 0
        alone += json.loads(capsys.readouterr().out)["files"]
    from PIL import Image, ImageChops

    for one, other in zip(together, alone, strict=True):
        difference = ImageChops.difference(Image.open(one), Image.open(other))
        assert max(high for _, high in difference.getextrema()) <= 1


def test_matrix_styles_and_chance(capsys: Captured) -> None:
    Path("styles.csv").write_text("name,prompt,negative_prompt\nink,ink {prompt},photo\n")
    Path("words").mkdir()
    Path("words/colour.txt").write_text("red\nblue\n")
    several = drawn(capsys, "a cat|a hat", "--matrix", "--style", "ink", "--styles", "styles.csv", "--seed", "2")
    assert several == [("ink a cat", "photo", 2), ("ink a cat, a hat", "photo", 2)]
    words = ("a __colour__ {cat|dog|car}", "--wildcards", "words")
    chosen = drawn(capsys, *words, "--seed", "2", "--count", "6")
    assert len({prompt for prompt, _, _ in chosen}) > 2
    assert drawn(capsys, *words, "--seed", "5") == chosen[3:4]
    assert drawn(capsys, "a {cat|dog}", "--dialect", "plain", "--seed", "2") == [("a {cat|dog}", "", 2)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "--prompts", "p.txt"], "are both given"),
        (["--prompts", "none.txt"], "none.txt: cannot be read"),
        (["a", "--style", "ink"], "give one with --styles"),
        (["a", "--wildcards", "none"], "none: no such folder"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(capsys: Captured, words: list[str], message: str) -> None:
    Path("p.txt").write_text("a\n")
    assert main(["draw", *words, *QUICK]) in (2, 3)
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
