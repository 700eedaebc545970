"""The page about prompts: its commands and its code run."""

import io
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from kakusan.cli import main
from kakusan.tasks.recipe import Recipe
from pages import blocks

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs/prompts.md", ROOT / "docs/prompts.ja.md"]


@pytest.mark.parametrize("page", PAGES, ids=["en", "ja"])
def test_the_pages_commands(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With fewer steps than the model's own."""
    monkeypatch.chdir(tmp_path)
    for line in "".join(blocks(page, "sh")).splitlines():
        before, pipe, command = line.rpartition("| kakusan ") if line.startswith("printf") else ("", "", line.removeprefix("kakusan "))
        if line.startswith(("mkdir", "printf")) and not pipe:
            subprocess.run(["/bin/sh", "-ec", line], check=True)
            continue
        if pipe:
            told = subprocess.run(["/bin/sh", "-ec", before], check=True, stdout=subprocess.PIPE).stdout
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(told)))
        words = shlex.split(command)
        steps = [] if words[0] == "tokens" else ["--sampler", "euler", "-q", *([] if "--steps" in words else ["--steps", "2"])]
        assert main([*words, *steps]) == 0
    files = [name for name in capsys.readouterr().out.splitlines() if name.startswith("outputs") and "grid" not in name]
    recipes = [Recipe.parse(Image.open(file).info["parameters"]) for file in files]
    assert [recipe.wording.dialect for recipe in recipes[:4]] == ["a1111", "a1111", "a1111", "comfyui"]
    chance = recipes[4:8]
    assert all("__" not in recipe.prompt and "{" not in recipe.prompt for recipe in chance)
    assert len({recipe.prompt for recipe in chance}) > 1
    assert recipes[8].prompt.endswith(", night sky")
    assert recipes[8].negative == "sunny"
    assert len({(recipe.prompt, recipe.seed) for recipe in recipes[9:13]}) == 4
    assert [recipe.seed for recipe in recipes[13:19]] == [7, 8, 9, 10, 7, 8]
    assert recipes[15].steps == 8
    assert recipes[17].negative == "snow, sunny"
    assert recipes[19].prompt == "a yellow star"
    assert len(recipes) == 22
    assert [(recipe.wording.clip_skip, recipe.wording.emphasis) for recipe in recipes[20:]] == [(1, ""), (2, "no_norm")]


@pytest.mark.parametrize("page", PAGES, ids=["en", "ja"])
def test_the_pages_code(page: Path) -> None:
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), {})
