"""The page about Japanese prompts: its commands and its code run, and its figures are the benchmark's."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kakusan.cli import main
from pages import blocks

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs/japanese.md", ROOT / "docs/japanese.ja.md"]


@pytest.mark.parametrize("page", PAGES, ids=["en", "ja"])
def test_the_pages_commands(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = blocks(page, "sh")
    shown, json_, *draws = [shlex.split(line)[1:] for line in block.splitlines()]
    assert main(shown) == 0
    for line in capsys.readouterr().out.splitlines():
        assert f"`{line}`" in page.read_text(encoding="utf-8")
    assert main(json_) == 0
    assert '"portrait of zendeiya"' in capsys.readouterr().out
    for words, english in zip(draws, ("red apple on white background", "red apple, white background"), strict=True):
        assert main([*words, "--steps", "1"]) == 0
        assert english in capsys.readouterr().err


@pytest.mark.parametrize("page", PAGES, ids=["en", "ja"])
def test_the_pages_code(page: Path) -> None:
    (block,) = blocks(page, "python")
    names: dict[str, object] = {}
    exec(compile(block.replace("steps=4", "steps=1"), page.name, "exec"), names)
    assert names["told"].english == "photo of astronaut riding horse"
    assert names["result"].recipes[0].prompt == "red apple"
    assert names["own"].recipes[0].prompt == "a very red apple"


@pytest.mark.parametrize("page", PAGES, ids=["en", "ja"])
def test_the_pages_figures(page: Path) -> None:
    told = subprocess.run(
        [sys.executable, "benchmarks/japanese.py", "--quiet"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if re.search(r"\| \d\.\d{3} \|", line)]
    for line, row in zip(told.splitlines(), rows, strict=False):
        nouns, relations = re.findall(r"= (\d\.\d{3})", line)
        assert f"| {nouns} | {relations} |" in row
    assert len(rows) == 3
