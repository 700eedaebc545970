"""The pages: their code runs, their commands and tables are the program's, both languages say the same, no link is dead."""

import argparse
import re
import shlex
import tomllib
from itertools import zip_longest
from pathlib import Path

import pytest

from data.sprites import synthetic_pack
from kakusan.cli import main, train
from kakusan.cli.parser import Parser
from kakusan.data.pictures import save_pack
from kakusan.data.pictures.pack import FOLDER
from kakusan.training.settings import read_recipe
from pages import blocks, dead_links, inline, same_code

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
ENGLISH = [page for page in PAGES if not page.name.endswith(".ja.md")]
PYTHON = [DOCS / "python.md", DOCS / "python.ja.md"]
TRAINING = [DOCS / "training.md", DOCS / "training.ja.md"]
LEVEL = re.compile(r"^\| \d+ \| (.*) \|$", re.M)

QUICK = """
world = "tiny"
pictures = 1100
shares = [0.3, 0.3, 0.3, 0.1]
[autoencoder]
channels = [8, 16, 16]
[autoencoder.optimiser]
batch = 4
[clip]
vocab = 600
layers = 1
width = 32
image_layers = 1
image_width = 32
[clip.optimiser]
batch = 8
[diffusion]
channels = [16, 32, 32]
[diffusion.optimiser]
batch = 4
log_every = 5
[decoder]
batch = 4
[inpainting]
channels = [16, 32, 16]
[inpainting.optimiser]
batch = 4
log_every = 5
"""


@pytest.mark.parametrize("page", PYTHON, ids=["en", "ja"])
def test_the_python_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), names)
    assert names["step"].done == names["step"].total
    assert len(names["pictures"]) == 3
    assert Path("ralston.png").stat().st_size > 500


def test_the_training_pages_commands_make_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As told, but with networks and pictures that a few seconds are enough for."""
    monkeypatch.chdir(tmp_path)
    save_pack(synthetic_pack(("3d", "glossy")), FOLDER / "sprites.npz")
    Path("quick.toml").write_text(QUICK)
    commands = [shlex.split(line) for block in blocks(TRAINING[0], "sh") for line in block.splitlines() if line.startswith("kakusan")]
    quick = {"embedded-cpu": "quick.toml", "120": "0.03"}
    for words in commands:
        words = [quick.get(word, word) for word in words[1:]]
        config = ["--config", "quick.toml"] if words[0] == "train" and "--config" not in words else []
        assert main([*words, *config]) == 0, words
    told = re.search(r"Kept in `(.*)`.*?\n((?:\|.*\n)+)", TRAINING[0].read_text(encoding="utf-8"))
    assert told
    names = re.findall(r"`([^`]+)` \|$|`([^`]+)`, ", told[2], re.M)
    kept = [name for pair in names for name in pair if name]
    assert len(kept) == 8
    assert all((Path(told[1]) / name).exists() for name in kept)
    assert {"checkpoint.safetensors", "checkpoint.safetensors.old", "log.csv"} <= {p.name for p in Path(told[1], "diffusion").iterdir()}
    assert Path("build/model/model_index.json").exists()
    assert {p.parent.name for p in Path("build/embedded-inpainting").glob("*/*.safetensors")} == {"unet"}
    assert len(list(Path("outputs").glob("*.png"))) == 1


@pytest.mark.parametrize("page", TRAINING, ids=["en", "ja"])
def test_the_training_page_names_the_programs_options(page: Path, tmp_path: Path) -> None:
    parser = Parser("kakusan train")
    train.add_arguments(parser)
    options = {a.option_strings[-1] for a in parser._actions if a.option_strings and not isinstance(a, argparse._HelpAction)}
    assert set(re.findall(r"^\| `(--[\w-]+)` \|", page.read_text(encoding="utf-8"), re.M)) == options - {"--lang"}
    (example,) = blocks(page, "toml")
    file = tmp_path / "example.toml"
    file.write_text(example, encoding="utf-8")
    recipe, told = read_recipe(file), tomllib.loads(example)
    assert recipe.world == told["world"]
    assert sum(recipe.shares) == pytest.approx(1)
    assert recipe.diffusion.optimiser.steps == told["diffusion"]["optimiser"]["steps"]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_files_and_targets_named_in_commands_are_there(page: Path) -> None:
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()] + [c for c in inline(page) if c.startswith("make ")]
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    for words in map(shlex.split, lines):
        if words[0] == "make":
            assert words[1] in targets
        elif words[0] == "python":
            options = [word for word in words if word.startswith("--")]
            assert all(f'"{option}"' in (ROOT / words[1]).read_text() for option in options)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_no_link_is_dead(page: Path) -> None:
    assert dead_links(page) == []


@pytest.mark.parametrize("page", ENGLISH, ids=lambda page: page.stem)
def test_every_page_is_in_both_languages_and_in_the_index(page: Path) -> None:
    japanese = page.with_suffix(".ja.md")
    assert f"]({japanese.name})" in page.read_text(encoding="utf-8")
    assert f"]({page.name})" in japanese.read_text(encoding="utf-8")
    if page.stem != "index":
        assert f"]({page.name})" in (DOCS / "index.md").read_text(encoding="utf-8")
        assert f"]({japanese.name})" in (DOCS / "index.ja.md").read_text(encoding="utf-8")
    for one, other in zip_longest(blocks(page), blocks(japanese)):
        assert same_code(one, other)


def test_contributing_tells_the_import_rule_that_is_tested() -> None:
    told = [set(re.findall(r"`(\w+)`", row)) for row in LEVEL.findall((ROOT / "CONTRIBUTING.md").read_text())]
    source = (ROOT / "tests/test_layers.py").read_text()
    table = re.search(r"^LEVELS = \((.*?)^\)", source, re.M | re.S)
    assert table
    levels = [set(re.findall(r'"(\w+)"', line)) - {"__main__"} for line in table[1].strip().splitlines()]
    assert told == levels[::-1]
