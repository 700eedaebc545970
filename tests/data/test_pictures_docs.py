"""The page about training pictures says what the code does: its example runs."""

import re
from pathlib import Path

import pytest

from data.sprites import synthetic_pack
from kakusan.data.pictures import CONCEPTS, WORLDS, save_pack
from kakusan.data.pictures.pack import FOLDER
from kakusan.data.pictures.sources import SOURCES

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "training-pictures.md", DOCS / "training-pictures.ja.md"]


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    examples = [re.findall(r"sprites\.npz -->\n```python\n(.*?)```", page.read_text(), re.S)[0] for page in PAGES]
    assert len({re.sub(r" *#.*", "", example) for example in examples}) == 1
    monkeypatch.chdir(tmp_path)
    save_pack(synthetic_pack(("3d", "glossy")), FOLDER / "sprites.npz")
    names: dict[str, object] = {}
    exec(examples[0], names)
    assert names["image"].shape == (64, 3, 64, 64)
    assert names["masks"].shape == (64, 4, 64, 64)
    assert names["depth"].shape == (64, 64, 64)
    assert capsys.readouterr().out.count("Attributes(") == 1


@pytest.mark.parametrize("page", PAGES, ids=["en", "ja"])
def test_worlds_sources_and_numbers_are_as_told(page: Path) -> None:
    text = page.read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.M)) == set(WORLDS)
    for source in SOURCES:
        assert f"| {source.rendering} | `{source.package}` {source.version} |" in text
        assert source.licence in text
    assert str(sum(concept.paintable for concept in CONCEPTS)) in text
    for image in re.findall(r"\]\((images/[^)]+)\)", text):
        assert (DOCS / image).stat().st_size < 700_000
