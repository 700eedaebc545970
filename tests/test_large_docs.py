"""The page about large pictures: its commands and its code run."""

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from kakusan.cli import main
from pages import blocks

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs/large-pictures.md", ROOT / "docs/large-pictures.ja.md"]
SIZES = [(192, 64), (128, 128), (64, 64), (256, 256)]


@pytest.mark.parametrize("page", PAGES, ids=["en", "ja"])
def test_the_pages_commands(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With fewer steps than told."""
    monkeypatch.chdir(ROOT)
    (block,) = blocks(page, "sh")
    commands = [shlex.split(line)[1:] for line in block.splitlines()]
    for words, size in zip(commands, SIZES, strict=False):
        assert main([*words, "--steps", "2", "--outdir", str(tmp_path), "-q"]) == 0
        assert Image.open(capsys.readouterr().out.strip()).size == size
    assert main([*commands[-1], "--outdir", str(tmp_path)]) == 0
    small, large = Image.open(ROOT / commands[-1][1]), Image.open(capsys.readouterr().out.strip())
    assert large.size == (2 * small.width, 2 * small.height)


@pytest.mark.parametrize("page", PAGES, ids=["en", "ja"])
def test_the_pages_code(page: Path) -> None:
    (block,) = blocks(page, "python")
    names: dict[str, object] = {}
    exec(compile(re.sub(r"seed=2", "seed=2, steps=2", block), page.name, "exec"), names)
    assert [names[name].images[0].size for name in ("wide", "large", "endless", "larger")] == [(192, 64), (128, 128), (64, 64), (128, 128)]
