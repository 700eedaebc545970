"""Everything a user reads is there in English and in Japanese, says the same names and numbers, and is not the English twice."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pages import blocks

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src/kakusan").rglob("*.py"))
PAGES = sorted(page for page in (*(ROOT / "docs").glob("*.md"), ROOT / "README.md") if not page.name.endswith(".ja.md"))
BILINGUAL = {"tr", "KakusanError", "FileError"}
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
ENGLISH = {"error", "got", "gives", "takes", "wrong", "where"}
"""Names that hold English words, for which the Japanese text has words of its own."""
WORDS = re.compile(r"[A-Za-z]{2,} [A-Za-z]{2,}")


def calls() -> Iterator[tuple[Path, ast.Call, str]]:
    """Every call in the package, with the name of what is called."""
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                function = node.func
                yield file, node, function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def said(node: ast.expr) -> str | None:
    """The words of a literal text, None for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(said(part) or "" for part in node.values)
    return None


def named(node: ast.expr) -> set[str]:
    """What a formatted text fills in, without the words that differ by language ("kind_en", "kind_ja", "kind[0]")."""
    filled = {ast.unparse(part.value) for part in ast.walk(node) if isinstance(part, ast.FormattedValue)}
    return {text for text in filled if not re.search(r"(en|ja|english|japanese)\b|_(en|ja)|\[\d\]|words|'", text)}


def test_every_message_is_in_both_languages() -> None:
    found = 0
    for file, node, name in calls():
        if name not in BILINGUAL or not node.args or isinstance(node.args[0], ast.Starred):
            continue
        where = f"{file.name}:{node.lineno}"
        assert len(node.args) == 2, f"{where}: {name} takes English and Japanese"
        english, japanese = (said(each) for each in node.args)
        if english is None or japanese is None:
            continue  # made elsewhere, of two texts
        found += 1
        assert not JAPANESE.search(english.split("(e.g.")[0]) or "「" in english or "赤" in english, f"{where}: English first"
        if WORDS.search(english):
            assert JAPANESE.search(japanese), f"{where}: no Japanese for {english!r}"
    assert found > 500


def test_both_languages_tell_the_same_names_and_numbers() -> None:
    different = []
    for source, node, name in calls():
        if name in BILINGUAL and len(node.args) == 2:
            english, japanese = (named(each) for each in node.args)
            simple = {text for text in english ^ japanese if re.fullmatch(r"[\w.]+", text)} - ENGLISH
            if simple and said(node.args[0]) is not None and said(node.args[1]) is not None:
                different.append(f"{source.name}:{node.lineno}: {sorted(simple)}")
    assert different == []


def test_nothing_is_printed_in_one_language() -> None:
    for file, node, name in calls():
        if name in ("print", "warn") and node.args:
            text = said(node.args[0])
            assert text is None or not WORDS.search(text), f"{file.name}:{node.lineno}: {text!r} is not in both languages"


def test_every_command_is_introduced_in_both_languages() -> None:
    from importlib import import_module

    from kakusan.cli import COMMANDS

    for name in COMMANDS:
        english, japanese = import_module(name).HELP
        assert JAPANESE.search(japanese), name
        assert not JAPANESE.search(english), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_has_a_twin(page: Path) -> None:
    twin = page.with_name(f"{page.stem}.ja.md")
    assert twin.exists()
    english, japanese = (each.read_text(encoding="utf-8") for each in (page, twin))
    assert len(re.findall(r"^#+ ", outside(english), re.M)) == len(re.findall(r"^#+ ", outside(japanese), re.M)), "headings"
    assert len(JAPANESE.findall(japanese)) > 0.1 * len(japanese)
    for language in ("sh", "python"):
        assert len(blocks(page, language)) == len(blocks(twin, language)), language
    pictures = [re.findall(r"!\[[^]]*\]\(([^)]*)\)", text) for text in (english, japanese)]
    assert pictures[0] == pictures[1]


def outside(text: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
