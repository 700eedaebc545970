"""What the reference scripts do before they save: the watermark they write, read by its own means, and black where a checker objects."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from compat.guarded import guarded_folder
from kakusan.cli import main
from kakusan.compat.compvis.pictures import Samples, truncated
from kakusan.formats.model import Model
from kakusan.images import COMPOSITE, DRAWN, read_picture
from kakusan.safety import watermark
from kakusan.safety.afterwards import Afterwards
from kakusan.safety.marks import marker

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANG", "C.UTF-8")


def noise(seed: int, side: int = 256) -> Image.Image:
    coarse = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.8
    return truncated(torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")[0])


def tag(file: Path) -> str | None:
    found = watermark.named(np.asarray(Image.open(file)))
    return found and found[0]


def test_pictures_and_the_grid_are_marked_each_from_unmarked_pixels() -> None:
    first, second = noise(1), noise(2)
    samples = Samples(Path("o"), after=Afterwards(mark=marker("sd", "sd1")))
    for picture in (first, second):
        samples.take(picture)
    samples.add_grid(2)
    assert [tag(file) for file in samples.files] == ["StableDiffusionV1"] * 3
    marked = watermark.mark(np.asarray(first), watermark.TAGS["sd1"])
    assert np.array_equal(np.asarray(Image.open("o/samples/00000.png")), marked)
    clean = Samples(Path("clean"))
    for picture in (first, second):
        clean.take(picture)
    clean.add_grid(2)
    whole = watermark.mark(np.asarray(Image.open("clean/grid-0000.png")), watermark.TAGS["sd1"])
    assert np.array_equal(np.asarray(Image.open("o/grid-0000.png")), whole)


@pytest.mark.parametrize(("family", "txt2img", "img2img"), [("sd1", "StableDiffusionV1", None), ("sd2", "SDV2", "SDV2")])
def test_each_script_writes_its_own_tag(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, tmp_path: Path, family: str, txt2img: str, img2img: str | None
) -> None:
    folder = guarded_folder(tmp_path / "guarded")
    (folder / "safety_checker/model.safetensors").unlink()  # flagged by chance, a picture of noise would be black
    monkeypatch.setattr(Model, "family", family)
    common = ["--ckpt", str(folder), "--n_samples", "1", "--n_iter", "1", "--steps", "2", "--device", "cpu", "--skip_grid"]
    assert main(["txt2img", *common, "--H", "256", "--W", "256"]) == 0
    drawn = Path(capsys.readouterr().out.strip())
    assert (tag(drawn), read_picture(drawn).source) == (txt2img, DRAWN)
    noise(3).save("in.png")
    assert main(["img2img", *common, "--init-img", "in.png"]) == 0
    redrawn = Path(capsys.readouterr().out.strip())
    assert (tag(redrawn), read_picture(redrawn).source) == (img2img, COMPOSITE)


def test_what_the_checker_flags_is_black(capsys: Captured) -> None:
    words = ["txt2img", "--safety-checker", "embedded", "--n_iter", "1", "--n_samples", "2", "--steps", "12", "--device", "cpu"]
    Path("prompts.txt").write_text("a banana\na red apple\n")
    assert main([*words, "--from-file", "prompts.txt"]) == 0
    out, err = capsys.readouterr()
    banana, apple, grid = (np.asarray(Image.open(file)) for file in out.split())
    assert (banana.max(), apple.max() > 0) == (0, True)
    assert grid[2:66, 2:66].max() == 0
    assert "the safety checker flagged 1 of 2 pictures (made black)" in err
