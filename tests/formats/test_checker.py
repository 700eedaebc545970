"""Safety checkers of model folders: whoever wrote them, they are read whole, and say what diffusers' module says."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessor

from compat.guarded import guarded_folder
from kakusan.errors import FileError
from kakusan.formats.checker import checker_of, read_checker
from kakusan.formats.configs_safety import read_safety
from kakusan.formats.fill import empty
from kakusan.formats.folder import read_folder, write_folder
from kakusan.formats.keys import FOLDER, renamed
from kakusan.formats.keys_clip import safety_rows
from kakusan.models.safety_checker import SafetyChecker
from kakusan.safety.checker import Checker, prepared

NAME = "safety_checker/model.safetensors"
TWICE = "vision_model.vision_model."
PUBLISHED = {
    "architectures": ["StableDiffusionSafetyChecker"],
    "initializer_factor": 1.0,
    "logit_scale_init_value": 2.6592,
    "model_type": "clip",
    "projection_dim": 768,
    "text_config_dict": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12},
    "vision_config_dict": {
        **{"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14}
    },
    "vision_config": {
        **{"hidden_act": "quick_gelu", "hidden_size": 1024, "image_size": 224, "intermediate_size": 4096, "layer_norm_eps": 1e-05},
        **{"num_attention_heads": 16, "num_channels": 3, "num_hidden_layers": 24, "patch_size": 14},
    },
}
"""CompVis/stable-diffusion-safety-checker's config.json, without what transformers writes into every one."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each concept is there in every twentieth picture."""
    path = guarded_folder(tmp_path_factory.mktemp("checker") / "guarded")
    theirs = StableDiffusionSafetyChecker.from_pretrained(path / "safety_checker").eval()
    with torch.no_grad():
        feature = F.normalize(theirs.visual_projection(theirs.vision_model(torch.cat([prepared(p, 32) for p in pictures()]))[1]))
        theirs.concept_embeds_weights.copy_((feature @ F.normalize(theirs.concept_embeds).T).quantile(0.95, dim=0))
        theirs.special_care_embeds_weights.copy_((feature @ F.normalize(theirs.special_care_embeds).T).quantile(0.95, dim=0))
    theirs.save_pretrained(path / "safety_checker")
    return path


@pytest.fixture
def copy(guarded: Path, tmp_path: Path) -> Path:
    return shutil.copytree(guarded, tmp_path / "model")


def pictures(count: int = 60) -> list[Image.Image]:
    """Noise of many colours and sizes."""
    rng = np.random.default_rng(0)
    sizes = [(40, 40), (48, 40), (33, 70), (20, 20), (64, 36)]
    return [
        Image.fromarray((rng.random((h, w, 3)) ** rng.uniform(0.2, 3, 3) * 255).astype(np.uint8))
        for w, h in (sizes[i % len(sizes)] for i in range(count))
    ]


def test_the_published_checker_has_its_size_and_names(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(PUBLISHED))
    checker = empty(SafetyChecker, read_safety(file), file)
    assert sum(tensor.numel() for tensor in checker.state_dict().values()) == 303_981_588
    names = renamed(checker.state_dict(), safety_rows(checker.config), FOLDER).values()
    assert len(names) == 396  # of 397: not the mere count of positions
    assert "vision_model.vision_model.encoder.layers.23.mlp.fc2.weight" in names


def test_pictures_are_made_ready_as_transformers_does() -> None:
    theirs = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    for picture in pictures(10):
        (wanted,) = theirs(picture, return_tensors="pt").pixel_values
        torch.testing.assert_close(prepared(picture, 32)[0], wanted, atol=2e-6, rtol=0)


@pytest.mark.parametrize("kind", ["as written", "published names", "bin", "half"])
def test_flags_are_those_of_diffusers(copy: Path, kind: str) -> None:
    theirs = StableDiffusionSafetyChecker.from_pretrained(copy / "safety_checker").eval()
    state = load_file(copy / NAME)
    if kind == "published names":
        whole = {name.replace("vision_model.", TWICE) if not name.startswith(TWICE) else name: state[name] for name in state}
        save_file({**whole, f"{TWICE}embeddings.position_ids": torch.arange(17)[None]}, copy / NAME)
    elif kind != "as written":
        (copy / NAME).unlink()
    if kind == "bin":
        torch.save(state, copy / "safety_checker/pytorch_model.bin")
    if kind == "half":
        save_file(state, copy / "safety_checker/model.fp16.safetensors")
    seen = pictures()
    pixels = torch.cat([prepared(picture, 32) for picture in seen])
    _, flags = theirs(clip_input=pixels, images=[np.ones((2, 2, 3)) for _ in seen])
    assert 5 < sum(flags) < 55
    assert checker_of(copy) == copy / "safety_checker"
    for place in (copy, copy / "safety_checker"):
        assert Checker(lambda place=place: read_checker(place))(seen) == flags


def test_a_checker_is_written_with_the_model_it_came_with(copy: Path, tmp_path: Path) -> None:
    write_folder(read_folder(copy), tmp_path / "again", torch.float32, max_shard_bytes=20_000)
    index = json.loads((tmp_path / "again/model_index.json").read_text())
    assert index["safety_checker"] == ["stable_diffusion", "StableDiffusionSafetyChecker"]
    assert index["requires_safety_checker"] is True
    assert (tmp_path / "again/safety_checker/model.safetensors.index.json").exists()
    ours = (Checker(lambda place=place: read_checker(place))(pictures()) for place in (copy, tmp_path / "again"))
    assert len(set(map(tuple, ours))) == 1
    theirs = StableDiffusionSafetyChecker.from_pretrained(tmp_path / "again/safety_checker")
    assert torch.equal(theirs.concept_embeds, load_file(copy / NAME)["concept_embeds"])
    extractor = CLIPImageProcessor.from_pretrained(tmp_path / "again/feature_extractor")
    assert extractor.crop_size["height"] == 32


def test_what_does_not_fit_is_refused(copy: Path, tmp_path: Path) -> None:
    assert checker_of(None) is None
    assert checker_of(tmp_path) is None
    with pytest.raises(FileError, match="no such folder of a safety checker"):
        read_checker(tmp_path / "nowhere")
    settings = copy / "feature_extractor/preprocessor_config.json"
    values = json.loads(settings.read_text())
    settings.write_text(json.dumps(values | {"image_mean": [0.5, 0.5, 0.5]}))
    with pytest.raises(FileError, match=r'preprocessor_config.json: "image_mean" is \[0.5'):
        read_checker(copy)
    settings.write_text(json.dumps({"image_processor_type": "DPTImageProcessor"}))
    read_checker(copy)
    state = load_file(copy / NAME)
    save_file({name: tensor for name, tensor in state.items() if name != "concept_embeds"}, copy / NAME)
    with pytest.raises(FileError, match="concept_embeds"):
        read_checker(copy)
    (copy / NAME).unlink()
    assert checker_of(copy) is None, "an old folder may name a checker that it does not hold"
