"""The page about what pictures remember: its commands and its code run, and its pictures come out the same."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kakusan.cli import main
from pages import blocks

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("page", ["metadata.md", "metadata.ja.md"])
def test_the_pages_commands_and_code(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With fewer steps than told."""
    monkeypatch.chdir(tmp_path)
    commands, fuzzing = blocks(DOCS / page, "sh")
    for line in commands.splitlines():
        words = ["2" if word == "8" else word for word in shlex.split(line)[1:]]
        assert main(words) == 0, capsys.readouterr().err
    told = capsys.readouterr().out
    assert '"dtype": "float32"' in told
    assert len(list(Path("second").glob("*.png"))) == 5
    first, second = (
        np.asarray(Image.open(next(Path(folder).glob(name)))) for folder, name in (("first", "00001-*"), ("second", "00000-*"))
    )
    np.testing.assert_array_equal(first, second)
    names: dict[str, object] = {}
    (code,) = blocks(DOCS / page, "python")
    exec(compile(code, page, "exec"), names)
    np.testing.assert_array_equal(np.asarray(names["image"]), first)
    assert fuzzing.split()[1] == "benchmarks/fuzz_metadata.py"


def test_what_the_page_says_of_the_fuzzer_is_what_it_prints() -> None:
    pattern = r"\d+ files in \d+ s: \d+ without, \d+ with a recipe, \d+ refused; memory gained \d+ MB"
    lines = [re.findall(pattern, (DOCS / page).read_text(encoding="utf-8")) for page in ("metadata.md", "metadata.ja.md")]
    assert lines[0] == lines[1]
    assert len(lines[0]) == 1
