"""The same network twice, ours and the one of diffusers or transformers, with the same random weights."""

import math
from typing import TypeVar

import diffusers
import torch
import transformers
from torch import Tensor, nn

from kakusan.formats import configs, keys_autoencoder, keys_clip, keys_unet
from kakusan.formats.keys import FOLDER, Row, renamed
from kakusan.models.autoencoder import Autoencoder, AutoencoderConfig
from kakusan.models.clip_image import ClipImage, ClipImageConfig
from kakusan.models.clip_text import ClipText, ClipTextConfig
from kakusan.models.unet import UNet, UNetConfig

N = TypeVar("N", bound=nn.Module)

UNETS = {
    "sd1": UNetConfig(channels=(32, 64, 96, 96), context_width=24, heads=4, sample_size=16),
    "sd2": UNetConfig(channels=(32, 64, 96, 96), context_width=40, heads=(2, 4, 6, 6), linear_projection=True, sample_size=16),
    "x4": UNetConfig(
        in_channels=7,
        channels=(32, 64, 64, 96),
        attention=(False, True, True, True),
        context_width=24,
        linear_projection=True,
        class_labels=10,
        only_cross_attention=(True, True, True, False),
    ),
    "embedded": UNetConfig(channels=(32, 48, 80), blocks=1, attention=(False, True, True), context_width=24, heads=2, norm_groups=16),
    "one level": UNetConfig(in_channels=9, channels=(32,), blocks=3, attention=(True,), context_width=8, heads=1, norm_groups=8),
}
AUTOENCODERS = {
    "sd": AutoencoderConfig(channels=(32, 64, 96, 96), sample_size=32),
    "x4": AutoencoderConfig(channels=(32, 64, 64), scale=0.08333, sample_size=32),
    "embedded": AutoencoderConfig(channels=(16, 24), blocks=1, norm_groups=8, latent_channels=6, sample_size=32),
}
TEXTS = {
    "sd1": ClipTextConfig(vocab=99, width=32, layers=3, heads=4, positions=12, feedforward=80, projection=20, end_token=98),
    "sd2": ClipTextConfig(
        vocab=99, width=48, layers=2, heads=3, positions=12, feedforward=96, activation="gelu", projection=8, end_token=98
    ),
}
IMAGES = {
    "quick_gelu": ClipImageConfig(size=28, patch=7, width=32, layers=2, heads=4, feedforward=80, projection=20),
    "gelu": ClipImageConfig(size=32, patch=16, width=48, layers=1, heads=3, feedforward=96, activation="gelu", projection=8),
}


def unets(config: UNetConfig) -> tuple[UNet, nn.Module]:
    theirs = diffusers.UNet2DConditionModel.from_config(configs.write_unet(config))
    return same(UNet(config), theirs, keys_unet.rows(config)), theirs


def autoencoders(config: AutoencoderConfig) -> tuple[Autoencoder, nn.Module]:
    theirs = diffusers.AutoencoderKL.from_config(configs.write_autoencoder(config))
    return same(Autoencoder(config), theirs, keys_autoencoder.rows(config)), theirs


def texts(config: ClipTextConfig) -> tuple[ClipText, nn.Module]:
    theirs = transformers.CLIPTextModelWithProjection(transformers.CLIPTextConfig(**configs.write_text(config))).eval()
    return same(ClipText(config), theirs, keys_clip.text_rows(config)), theirs


def images(config: ClipImageConfig) -> tuple[ClipImage, nn.Module]:
    theirs = transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(**configs.write_image(config))).eval()
    return same(ClipImage(config), theirs, keys_clip.image_rows(config)), theirs


def same(ours: N, theirs: nn.Module, rows: list[Row]) -> N:
    """Random numbers for every one of their tensors, biases and norms too; then ours are given the same."""
    generator = torch.Generator().manual_seed(0)
    for name, p in theirs.named_parameters():
        deviation = 1 / math.sqrt(p[0].numel()) if p.dim() > 1 else 0.2
        p.data = torch.randn(p.shape, generator=generator) * deviation + float("norm" in name and name.endswith("weight"))
    state = {key: value for key, value in theirs.state_dict().items() if not key.endswith("position_ids")}
    names = renamed(ours.state_dict(), rows, FOLDER)
    assert sorted(names.values()) == sorted(state)
    ours.load_state_dict({name: state[names[name]] for name in names})
    return ours.eval().requires_grad_(False)


def assert_equal(ours: Tensor, theirs: Tensor, relative: float = 1e-5) -> None:
    """Largest difference, relative to their standard deviation."""
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    assert ours.isfinite().all()
    error = ((ours - theirs).abs().max() / theirs.std()).item()
    assert error < relative, f"differs by {error:.2e} of the standard deviation"
