"""The page about diffusers' names: its code runs, and it lists every pipeline, component and scheduler there is."""

from pathlib import Path

import pytest

from kakusan.compat import diffusers
from kakusan.loading import EMBEDDED
from pages import blocks, inline

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "diffusers-names.md", DOCS / "diffusers-names.ja.md"]
KINDS = ("Pipeline", "Model", "Scheduler", "Processor", "Estimation", "Checker", "KL", "Tokenizer", "Image", "Inpainting")


@pytest.mark.parametrize("page", PAGES, ids=["en", "ja"])
def test_its_code_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my-model").symlink_to(EMBEDDED)
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), names)
    assert Path("apple.png").is_file()
    assert tuple(names["picture"].shape) == (1, 3, 64, 64)
    assert capsys.readouterr().out.count("model.safetensors") == 1


@pytest.mark.parametrize("page", PAGES, ids=["en", "ja"])
def test_it_lists_what_there_is(page: Path) -> None:
    there = {name for name in diffusers.__all__ if name.endswith(KINDS) and name not in diffusers.OTHER_NAMES}
    assert there <= set(inline(page))
