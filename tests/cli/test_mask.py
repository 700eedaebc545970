"""kakusan mask, with a real pipeline over a tiny model of random weights."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kakusan.cli import main
from kakusan.cli.options_mask_text import add_arguments, given, mask
from kakusan.cli.parser import Parser
from kakusan.pipeline import load

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
    pipe = load(folder, device="cpu")
    assert mask(pipe, Path(picture), parser.parse([])) is None
    args = parser.parse(["--mask-text", "apple", "--mask-grow", "1", "--outdir", "outputs"])
    assert given(args) == {"words": "apple", "threshold": 0.5, "grow": 1}
    found = mask(pipe, Path(picture), args)
    assert main(["mask", picture, "apple", "--grow", "1", "--model", str(folder), "-q"]) == 0
    saved = [Image.open(f"outputs/0000{i}-mask.png") for i in range(2)]
    assert found is not None
    assert all(np.array_equal(found, other) for other in saved)
