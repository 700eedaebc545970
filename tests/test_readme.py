"""Both READMEs: every command in them is executed, what they count is counted, and they say the same."""

import os
import re
import shlex
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from formats.originals import FAMILIES, tensors
from kakusan import loading
from kakusan.cli import main
from kakusan.samplers.names import NAMES
from kakusan.schedules import SCHEDULES
from pages import blocks, dead_links, inline, same_code

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", ROOT / "README.ja.md"]
EACH = pytest.mark.parametrize("readme", READMES, ids=["en", "ja"])


QUICK = ["--width", "64", "--height", "64", "--steps", "2"]
QUICK_SCRIPT = ["--n_samples", "1", "--ddim_steps", "2"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder, but for models of the names that the READMEs give them, the single files tiny ones."""
    monkeypatch.chdir(tmp_path)
    Path("my-model").symlink_to(loading.EMBEDDED)
    tiny = tensors(FAMILIES["sd1"])
    save_file(tiny, "model.safetensors")
    torch.save({"state_dict": tiny, "global_step": 470000}, "old.ckpt")


@EACH
def test_every_shell_command_does_its_work(readme: Path) -> None:
    lines = [line for block in blocks(readme, "sh") for line in block.splitlines()]
    assert {line.split()[0] for line in lines} == {"make", ".", "kakusan"}
    for line in lines:
        execute(line)
    assert len(list(Path().glob("outputs/*.png"))) >= 4


@pytest.mark.parametrize("prompt", ['say "hi" $HOME `ls`', "it's; 赤い #1", "-n"])
def test_make_hands_the_prompt_on_as_it_is(prompt: str) -> None:
    """Through make and the shell, with a command that only prints what it is given in the place of Python."""
    shown = subprocess.run(
        ["make", "-s", "-o", ".venv/.run", "run", f"PROMPT={prompt.replace('$', '$$')}", "PY=printf '%s\\n'"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.splitlines() == ["-m", "kakusan", "draw", f"--prompt={prompt}"]


@EACH
def test_every_python_block_runs(readme: Path) -> None:
    names: dict[str, object] = {}
    for block in blocks(readme, "python"):
        exec(compile(block, readme.name, "exec"), names)
    assert Path("apple.png").stat().st_size > 500
    assert Path("apples.png").stat().st_size > Path("apple.png").stat().st_size


@EACH
def test_commands_named_in_the_text_exist(readme: Path) -> None:
    for command in inline(readme):
        if command.startswith("make "):
            recipe(shlex.split(command))


@EACH
def test_what_it_links_to_is_there(readme: Path) -> None:
    assert dead_links(readme) == []


@EACH
def test_numbers_are_as_told(readme: Path) -> None:
    things, colours = (re.search(rf"^- (?:\d+ )?{part}: (.*)$", card(), re.M)[1].split(", ") for part in ("things", "backgrounds"))
    text = readme.read_text(encoding="utf-8")
    assert (len(things), len(colours)) == (40, 10)
    assert re.search(r"one of 40 things|40 種類の物", text)
    assert re.search(r"one of ten colours|10 色", text)
    assert f"{len(NAMES)} samplers" in text or f"{len(NAMES)} のサンプラー" in text
    assert f"{len(SCHEDULES)} schedules" in text or f"{len(SCHEDULES)} のスケジュール" in text


def test_both_languages_show_the_same_commands_and_links() -> None:
    for english, japanese in zip_longest(*(blocks(readme) for readme in READMES)):
        assert same_code(english, japanese)
    targets = [re.findall(r"\]\(([^)#]+)", readme.read_text(encoding="utf-8")) for readme in READMES]
    assert sorted(target.replace(".ja.md", ".md") for target in targets[0]) == sorted(
        target.replace(".ja.md", ".md") for target in targets[1]
    )


def execute(line: str) -> None:
    words = shlex.split(line)
    if words[0] == "make":
        prompt = next((word.removeprefix("PROMPT=") for word in words if word.startswith("PROMPT=")), "a red apple")
        words = [word.replace("$PROMPT", prompt) for word in shlex.split(recipe(words)) if not re.match(r"\w+=", word)]
        assert words[:2] == [".venv/bin/python", "-m"], line
        if words[2] == "pytest":  # not the whole suite from within itself: the command finds it
            options = ["--collect-only", *words[3:], "tests/test_layers.py"]
            assert subprocess.run([sys.executable, "-m", "pytest", *options], cwd=ROOT, capture_output=True).returncode == 0, line
            return
        words = words[2:]
    if words[0] == ".":
        assert words == [".", variable("VENV") + "/bin/activate"]
        return
    assert words[0] == "kakusan", line
    if words[-1].endswith((".safetensors", ".ckpt")) and "--model" in words:
        words += QUICK  # of 512 x 512 pixels otherwise, as their like at true size
    if "--ckpt" in words:
        words += QUICK_SCRIPT + (["--H", "64", "--W", "64"] if words[1] == "txt2img" else [])
    assert main(words[1:]) == 0, line


def recipe(words: list[str]) -> str:
    """The last line of what `make` would run; those before it set things up."""
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PROMPT")}
    plan = subprocess.run([words[0], "-n", *words[1:]], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert plan.returncode == 0, plan.stderr
    return plan.stdout.splitlines()[-1]


def variable(name: str) -> str:
    found = re.search(rf"^{name} :?= (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert found
    return found[1]


def card() -> str:
    return (loading.EMBEDDED / "README.md").read_text(encoding="utf-8")
