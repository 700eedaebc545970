"""The pages about safety and provenance: their commands and code do what they say."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from kakusan.cli import main, options_safety
from kakusan.cli.parser import Parser
from kakusan.images import read_picture
from pages import blocks

DOCS = Path(__file__).parents[2] / "docs"
EACH = pytest.mark.parametrize("language", ["", ".ja"], ids=["en", "ja"])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run_all(page: Path) -> list[str]:
    """What each command prints."""
    printed = []
    for line in (line for block in blocks(page, "sh") for line in block.splitlines()):
        name, *words = shlex.split(line)
        assert name == "kakusan"
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(words) == 0, line
        printed.append(out.getvalue())
    return printed


def execute(page: Path) -> dict[str, object]:
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), names)
    return names


@EACH
def test_the_page_about_safety(language: str) -> None:
    page = DOCS / f"safety{language}.md"
    black, apple, blurred, flagged = run_all(page)
    assert Image.open(black.strip()).getextrema() == ((0, 0),) * 3
    assert read_picture(Path(black.strip())).parameters.endswith("Safety: black")
    assert Image.open(apple.strip()).getextrema() != ((0, 0),) * 3
    assert read_picture(Path(blurred.strip())).parameters.endswith("Safety: blur")
    assert "Safety: flag" in flagged
    assert execute(page)["result"].flags == [True, False]  # type: ignore[attr-defined]


@EACH
def test_the_page_about_provenance(language: str) -> None:
    pytest.importorskip("c2pa")
    from safety.certificates import WHO, write_certificate

    write_certificate(Path("chain.pem"), Path("key.pem"))
    page = DOCS / f"provenance{language}.md"
    printed = run_all(page)
    assert f"{WHO} (Valid)" in printed[-1]
    assert "KKSN (robust), 100%" in printed[1]
    assert "trainedAlgorithmicMedia" in printed[1]
    assert '"equal": true' not in printed[3], "nobody asked to draw it again"
    names = execute(page)
    assert names["result"].recipes[0].watermark == "robust"  # type: ignore[attr-defined]
    assert names["report"].holds  # type: ignore[attr-defined]
    assert names["report"].psnr == float("inf")  # type: ignore[attr-defined]


@EACH
def test_the_pages_name_every_option(language: str) -> None:
    parser = Parser("draw")
    options_safety.add_arguments(parser)
    text = "".join((DOCS / f"{name}{language}.md").read_text(encoding="utf-8") for name in ("safety", "provenance"))
    for action in parser._actions:
        if action.choices and "--lang" not in action.option_strings:
            assert action.option_strings[-1] in text
            assert all(re.search(rf"`(?:--format )?{choice}`", text) for choice in action.choices), action.choices
