"""The published single files at their true sizes, by names and shapes alone: what they are told to be, and what is written."""

from math import prod
from pathlib import Path

import pytest
import torch

from formats.originals import FAMILIES, Family, true_shapes
from formats.stored import Names
from kakusan.formats.detect import detect
from kakusan.formats.export import Exported
from kakusan.formats.fill import empty
from kakusan.formats.model import Model
from kakusan.formats.source import Stored
from kakusan.models.autoencoder import Autoencoder, AutoencoderConfig
from kakusan.models.clip_text import ClipText, ClipTextConfig
from kakusan.models.unet import UNet, UNetConfig
from kakusan.prompts.tokenizer import Tokenizer

SD2_TEXT = ClipTextConfig(width=1024, layers=23, heads=16, feedforward=4096, activation="gelu")
SD2 = UNetConfig(context_width=1024, heads=(5, 10, 20, 20), linear_projection=True)
X4 = UNetConfig(
    in_channels=7,
    channels=(256, 512, 512, 1024),
    attention=(False, True, True, True),
    context_width=1024,
    linear_projection=True,
    sample_size=128,
    class_labels=1000,
    only_cross_attention=(True, True, True, False),
)
X4_AUTOENCODER = AutoencoderConfig(channels=(128, 256, 512), sample_size=256, scale=0.08333)
PARAMETERS = {
    "sd1": (859_520_964, 83_653_863, 123_060_480),
    "sd1 inpainting": (859_535_364, 83_653_863, 123_060_480),
    "sd2 base": (865_910_724, 83_653_863, 340_387_840),
    "sd2 768": (865_910_724, 83_653_863, 340_387_840),
    "sd2 inpainting": (865_925_124, 83_653_863, 340_387_840),
    "sd2 depth": (865_913_604, 83_653_863, 340_387_840),
    "x4": (473_398_020, 55_325_927, 340_387_840),
}
WORDS = {
    "sd1": ("sd1", "", "epsilon"),
    "sd1 inpainting": ("sd1", "inpainting", "epsilon"),
    "sd2 base": ("sd2", "", None),
    "sd2 768": ("sd2", "", None),
    "sd2 inpainting": ("sd2", "inpainting", "epsilon"),
    "sd2 depth": ("sd2", "depth", "epsilon"),
    "x4": ("sd_x4", "upscaling", "v_prediction"),
}


def stored(family: Family) -> dict[str, Stored]:
    return {name: Stored(shape, _dtype(name)) for name, shape in true_shapes(family).items()}


def _dtype(name: str) -> torch.dtype:
    return torch.int64 if name.endswith("position_ids") else torch.int32 if name.endswith("num_updates") else torch.float32


@pytest.mark.parametrize("name", FAMILIES)
def test_a_published_file_is_known_by_its_names_and_shapes(name: str) -> None:
    found = detect(Names(stored(FAMILIES[name])))
    channels = FAMILIES[name].channels
    unet = X4 if name == "x4" else SD2 if "sd2" in name else UNetConfig()
    assert found.unet == UNetConfig(**{**vars(unet), "in_channels": channels})
    assert found.autoencoder == (X4_AUTOENCODER if name == "x4" else AutoencoderConfig())
    assert found.text == (ClipTextConfig() if "sd1" in name else SD2_TEXT)
    assert (found.family, found.variant, found.prediction) == WORDS[name]
    assert found.ema == "leftovers"
    low = None if found.low_noise is None else (found.low_noise.beta_start, found.low_noise.beta_end)
    assert low == ((1e-4, 2e-2) if name == "x4" else None)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_of_true_size_is_written_under_exactly_the_published_names(name: str) -> None:
    found = detect(Names(stored(FAMILIES[name])))
    assert found.unet is not None
    assert found.autoencoder is not None
    assert found.text is not None
    model = Model(
        unet=empty(UNet, found.unet, Path("m")),
        autoencoder=empty(Autoencoder, found.autoencoder, Path("m")),
        text=empty(ClipText, found.text, Path("m")),
        tokenizer=Tokenizer.clip(),
        schedule=found.schedule,
        low_noise=found.low_noise,
    )
    counts = [sum(prod(p.shape) for p in network.parameters()) for network in (model.unet, model.autoencoder, model.text)]
    assert tuple(counts) == PARAMETERS[name]
    assert Exported(model, Path("m")).tensors == stored(FAMILIES[name])
    half = Exported(model, Path("m"), torch.float16).tensors
    assert {t.dtype for key, t in half.items() if "_model." in key and t.shape and "low_scale" not in key} <= {torch.float16, torch.int64}
    with pytest.raises(ValueError, match="has a shape and no weights"):
        Exported(model, Path("m")).read("model.diffusion_model.out.2.bias")


def test_a_bare_unet_and_a_bare_autoencoder_are_known() -> None:
    shapes = stored(FAMILIES["sd1"])
    bare = {name.removeprefix("model.diffusion_model."): s for name, s in shapes.items() if name.startswith("model.diff")}
    found = detect(Names(bare))
    assert (found.unet, found.autoencoder, found.text) == (UNetConfig(), None, None)
    bare = {name.removeprefix("first_stage_model."): s for name, s in shapes.items() if name.startswith("first")}
    found = detect(Names(bare))
    assert (found.unet, found.autoencoder, found.text) == (None, AutoencoderConfig(), None)
