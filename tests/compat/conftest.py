"""Small models for the tests of the reference scripts, and what they draw."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from formats import originals
from formats.tiny import tiny_model
from kakusan.compat.compvis import pictures
from kakusan.formats.folder import write_folder
from kakusan.formats.model import Model
from kakusan.loading import load
from kakusan.schedules import NoiseSchedule

PREDICTIONS = ("epsilon", "v_prediction")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same random networks, as models that predict noise and v."""
    paths = {}
    for prediction in PREDICTIONS:
        model = tiny_model(towers=False)
        model.schedule = NoiseSchedule(prediction=prediction)
        paths[prediction] = tmp_path_factory.mktemp("models") / prediction
        write_folder(model, paths[prediction], torch.float32)
    return paths


@pytest.fixture(scope="session")
def models(folders: dict[str, Path]) -> dict[str, Model]:
    return {prediction: load(path, device="cpu").model for prediction, path in folders.items()}


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small files of the published ones' structure, with their .yaml beside them."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name in ("sd1", "sd2 768"):
        family = originals.FAMILIES[name]
        torch.save({"state_dict": originals.tensors(family), "global_step": 470000}, folder / f"{name}.ckpt")
        originals.write_config(originals.config(family), folder / f"{name}.yaml")
    return {path.stem: path for path in folder.glob("*.ckpt")}


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Every picture (3 H W, 0 to 1) before it becomes whole numbers."""
    taken: list[Tensor] = []

    def truncated(image: Tensor) -> Image.Image:
        taken.append((image + 1) / 2)
        return pictures.truncated(image)

    monkeypatch.setattr("kakusan.compat.compvis.batches.truncated", truncated)
    return taken
