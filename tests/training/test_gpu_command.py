"""The command for a GPU machine, in miniature on this one: stopped, lost, gone on from its pieces, complete."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import kakusan
from data.sprites import synthetic_pack
from kakusan.data.pictures import save_pack
from kakusan.training.settings import read_recipe

COMMAND = Path(__file__).parents[2] / "benchmarks" / "gpu" / "train.py"
STAGE = "steps = {}\nbatch = 4\nwarmup = 1\nsave_every = 2\nlog_every = 1\nsheet_every = 2\n"
MINIATURE = f"""
name = "mini"
world = "full"
size = 32
pictures = 700
captions = 3
[autoencoder]
channels = [8, 8, 8, 16]
norm_groups = 4
[autoencoder.optimiser]
{STAGE.format(2)}
[clip]
vocab = 560
width = 32
layers = 1
heads = 2
image_width = 32
image_layers = 1
projection = 16
[clip.optimiser]
{STAGE.format(2)}
[diffusion]
channels = [16, 32]
attention = [true, true]
heads = 2
norm_groups = 4
[diffusion.optimiser]
{STAGE.format(2)}
compile = true
[decoder]
{STAGE.format(2)}
"""


def test_stopped_lost_and_gone_on_it_is_complete(tmp_path: Path) -> None:
    (tmp_path / "mini.toml").write_text(MINIATURE)
    save_pack(synthetic_pack(), tmp_path / "sprites.npz")

    def call(folder: str, stop_after: float) -> str:
        words = f"--config mini.toml --pack sprites.npz --device cpu --workers 1 --carried out --out out --folder {folder}"
        options = [*words.split(), "--minutes", "1000", "--stop-after", str(stop_after)]
        if stop_after:
            options[options.index("--minutes") + 1] = "0.0001"  # ends soon after the tenth step
        done = subprocess.run([sys.executable, COMMAND, *options], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "not complete" in call("first", 0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["log.csv", "state.tar.0"]
    assert "complete {'autoencoder'" in call("second", 10), "another folder: the first is lost"
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == [
        "log.csv",
        "model.tar.0",
        *(f"sheet-{name}.png" for name in ("autoencoder", "clip", "decoder", "diffusion") if name != "clip"),
    ]
    assert len(files) <= 8
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "out" / "model.tar.0").read_bytes())) as tar:
        tar.extractall(tmp_path / "whole")  # our own, made just now
    pipe = kakusan.load(tmp_path / "whole" / "model", device="cpu")
    assert pipe("a cat", steps=1, seed=0).images[0].size == (32, 32)


def test_the_settings_fit_what_may_ship() -> None:
    recipe = read_recipe("embedded-gpu")
    assert sum(recipe.shares) == pytest.approx(1)
    assert recipe.captions > 0
    assert recipe.size // 2 ** (len(recipe.autoencoder.channels) - 1) == 16, "the latents' side"
    for channels in recipe.diffusion.channels:
        assert channels % (8 * recipe.diffusion.heads) == 0, "fast attention wants heads of a multiple of 8"
