"""The page about other programs' ways: its commands and its code run, and its options are the program's."""

import json
import re
import shlex
from pathlib import Path

import pytest

from kakusan.cli import main, options_like
from kakusan.cli.parser import Parser
from kakusan.tasks.profiles import PROFILES
from pages import blocks
from peers import same

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs/profiles.md", ROOT / "docs/profiles.ja.md"]


@pytest.mark.parametrize("page", PAGES[:1], ids=["en"])
def test_the_pages_commands(page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With fewer steps than told."""
    (block,) = blocks(page, "sh")
    first, *drawn = [shlex.split(line)[1:] for line in block.splitlines()]
    assert main(first) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in PROFILES)
    for words in drawn:
        assert main([*words, "--steps", "2", "--outdir", str(tmp_path), "--json", "-q"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert all(f"Like: {words[words.index('--like') + 1]}" in text for text in told["parameters"])
    assert "RNG: CPU, ENSD: 31337" in told["parameters"][0]


@pytest.mark.parametrize("page", PAGES, ids=["en", "ja"])
def test_the_pages_code(page: Path) -> None:
    (block,) = blocks(page, "python")
    names: dict[str, object] = {}
    exec(compile(block, page.name, "exec"), names)
    assert same(names["alone"].images[0], names["result"].images[1])[0] <= 1


@pytest.mark.parametrize("page", PAGES, ids=["en", "ja"])
def test_the_page_names_every_option_and_program(page: Path) -> None:
    parser = Parser("kakusan draw")
    options_like.add_arguments(parser)
    text = page.read_text(encoding="utf-8")
    options = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
    told = re.search(r"\n((?:\| .*\n)+)", text[text.index("| `--like NAME`") - 1 :])
    assert told
    assert options - set(re.findall(r"--[\w-]+", told[1])) <= {"--help", "--lang", "--version"}
    assert all(f"| {name} |" in text or f" {name} |" in text for name in options_like.NAMES)
    assert tuple(name for name in PROFILES if name) == options_like.NAMES
