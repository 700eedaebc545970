"""A model folder small enough to draw in a moment, and an environment that speaks English."""

import json
from pathlib import Path

import pytest
import torch

from kakusan.formats.folder import write_folder
from kakusan.formats.model import Model
from kakusan.models.autoencoder import Autoencoder, AutoencoderConfig
from kakusan.models.clip_text import ClipText, ClipTextConfig
from kakusan.models.unet import UNet, UNetConfig
from kakusan.prompts.tokenizer import Tokenizer
from kakusan.schedules import NoiseSchedule


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, 64 x 64 pictures, and a list of known words."""
    torch.manual_seed(0)
    tokenizer = Tokenizer.clip()
    model = Model(
        unet=UNet(UNetConfig(channels=(8, 16), blocks=1, attention=(True, False), context_width=16, heads=2, norm_groups=4, sample_size=8)),
        autoencoder=Autoencoder(AutoencoderConfig(channels=(4, 4, 8, 8), blocks=1, norm_groups=4, sample_size=64)),
        text=ClipText(ClipTextConfig(vocab=len(tokenizer), width=16, layers=1, heads=2, feedforward=32)),
        tokenizer=tokenizer,
        schedule=NoiseSchedule(),
        card="---\nlicense: apache-2.0\n---\n\n# Tiny\n\nRandom weights.\n",
        settings={"defaults": {"steps": 2}, "words": ["a", "red", "apple", "赤", "い", "りんご"]},
    )
    path = tmp_path_factory.mktemp("models") / "tiny"
    write_folder(model, path)
    return path


@pytest.fixture
def damaged(folder: Path, tmp_path: Path) -> Path:
    """The same, with one tensor's worth of bytes cut off its U-Net."""
    copy = tmp_path / "damaged"
    for file in folder.rglob("*"):
        if file.is_file():
            (copy / file.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (copy / file.relative_to(folder)).write_bytes(file.read_bytes())
    weights = next((copy / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-100])
    assert json.loads((copy / "unet" / "config.json").read_text())
    return copy


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "KAKUSAN_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("COLUMNS", "100")
