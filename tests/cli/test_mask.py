"""kakusan mask, with a real pipeline over a tiny model of random weights."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kakusan.cli import main
from kakusan.cli.mask import add_arguments as add_mask_arguments
from kakusan.cli.options_mask_text import add_arguments, given, mask
from kakusan.cli.parser import Parser
from kakusan.loading import load
from pages import blocks

PAGES = [Path(__file__).parents[2] / "docs" / name for name in ("masks.md", "masks.ja.md")]
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    levels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    Image.fromarray(levels).save("picture.png")
    return "picture.png"


def test_a_mask_and_a_preview_are_saved(picture: str, folder: Path, capsys: Captured) -> None:
    assert main(["mask", picture, "a", "red", "apple", "--model", str(folder), "--outdir", "masks"]) == 0
    out, err = capsys.readouterr()
    assert out == "masks/00000-mask.png\nmasks/00000-mask-preview.png\n"
    assert "of the picture" in err
    found = Image.open("masks/00000-mask.png")
    assert (found.mode, found.size) == ("L", (56, 40))
    assert Image.open("masks/00000-mask-preview.png").size == (56 * 4, 40 * 4)


def test_json_tells_how_much_and_which_words_are_unknown(picture: str, folder: Path, capsys: Captured) -> None:
    assert main(["mask", picture, "a samurai", "--model", str(folder), "--grow", "2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    levels = np.asarray(Image.open(report["mask"]))
    assert report["share"] == pytest.approx((levels > 127).mean(), abs=1e-4)
    assert report["unknown"] == ["samurai"]
    assert Path(report["preview"]).exists()


def test_the_same_seed_gives_the_same_mask(picture: str, folder: Path, capsys: Captured) -> None:
    for _ in range(2):
        assert main(["mask", picture, "apple", "--model", str(folder), "-q", "--seed", "4"]) == 0
    masks = [np.asarray(Image.open(f"outputs/0000{i}-mask.png")) for i in range(2)]
    assert np.array_equal(*masks)


def test_faults_are_one_line(folder: Path, picture: str, capsys: Captured) -> None:
    for words, code in ((["nowhere.png", "a cat"], 3), ([picture, "a", "--threshold", "2"], 2), ([picture], 2)):
        assert main(["mask", *words, "--model", str(folder)]) == code
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_options_for_other_commands_make_the_same_mask(picture: str, folder: Path, capsys: Captured) -> None:
    parser = Parser("draw")
    add_arguments(parser)
    parser.add_argument("--outdir", type=Path)
    parser.add_argument("--quiet", action="store_true")
    pipe = load(folder, device="cpu")
    assert mask(pipe, Path(picture), parser.parse([])) is None
    args = parser.parse(["--mask-text", "apple", "--mask-grow", "1", "--outdir", "outputs"])
    assert given(args) == {"words": "apple", "threshold": 0.5, "grow": 1}
    found = mask(pipe, Path(picture), args)
    assert capsys.readouterr().err == "mask: outputs/00000-mask.png, to look at: outputs/00000-mask-preview.png\n"
    assert main(["mask", picture, "apple", "--grow", "1", "--model", str(folder), "-q"]) == 0
    saved = [Image.open(f"outputs/0000{i}-mask.png") for i in range(2)]
    assert found is not None
    assert all(np.array_equal(found, other) for other in saved)


@pytest.mark.parametrize("page", PAGES, ids=["en", "ja"])
def test_the_page_runs(page: Path, folder: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kakusan.loading.EMBEDDED", folder)
    for name, *words in (shlex.split(line) for block in blocks(page, "sh") for line in block.splitlines()):
        assert name == "kakusan"
        assert main(words) == 0, words
        assert capsys.readouterr().out
    assert len(list(Path("outputs").glob("*-mask.png"))) == 1
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), names)
    assert isinstance(names["changed"], Image.Image)


@pytest.mark.parametrize("page", PAGES, ids=["en", "ja"])
def test_the_page_names_the_options(page: Path) -> None:
    parser, drawing = Parser("mask"), Parser("draw")
    add_mask_arguments(parser)
    add_arguments(drawing)
    options = {word for one in (parser, drawing) for action in one._actions for word in action.option_strings if word.startswith("--")}
    told = page.read_text(encoding="utf-8")
    assert all(f"`{option}" in told for option in options - {"--help", "--lang", "--quiet"})
