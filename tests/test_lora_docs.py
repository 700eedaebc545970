"""The page about LoRAs and learnt words: its code and its commands run, in the order they stand in."""

import re
import shlex
from pathlib import Path

import pytest

from kakusan.cli import main
from pages import FENCE

PAGES = [Path(__file__).parents[1] / "docs" / name for name in ("lora.md", "lora.ja.md")]


@pytest.mark.parametrize("page", PAGES, ids=["en", "ja"])
def test_the_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With fewer steps than told."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANG", "C.UTF-8")
    names: dict[str, object] = {}
    for kind, block in FENCE.findall(page.read_text(encoding="utf-8")):
        if kind == "python":
            exec(compile(re.sub(r"seed=7", "seed=7, steps=2", block), page.name, "exec"), names)
        for line in block.splitlines() if kind == "sh" else ():
            words = shlex.split(line)[1:]
            assert main([*words, *(["--steps", "2", "-q"] if words[0] != "info" else [])]) == 0
    told = capsys.readouterr().out
    assert "a LoRA, to be used together with a model" in told
    assert len(list(Path("outputs").glob("*.png"))) == 3
    one, two, three = (path.read_bytes() for path in sorted(Path("outputs").glob("*.png")))
    assert len({one, two, three}) == 3
    assert names["pictures"][0].tobytes() != names["pictures"][1].tobytes()  # type: ignore[index]
