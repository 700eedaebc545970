"""Tiny models of random weights of every family: what stands beside the latent, and the x4 upscaler's own parts."""

from dataclasses import replace

import torch

from formats.tiny import randomise, tiny_model
from kakusan.formats.model import Model
from kakusan.models.autoencoder import Autoencoder, AutoencoderConfig
from kakusan.models.dpt import Dpt, DptConfig
from kakusan.models.unet import UNet, UNetConfig
from kakusan.schedules import NoiseSchedule

VARIANTS = ("", "inpainting", "depth", "upscaling")


def tiny_variant(variant: str) -> Model:
    """A model without an image tower."""
    model = tiny_model(towers=False, channels_in={"": 4, "inpainting": 9, "depth": 5, "upscaling": 7}[variant])
    if variant != "upscaling":
        return replace(model, schedule=NoiseSchedule(), settings={}, depth=tiny_depth() if variant == "depth" else None)
    unet = UNetConfig(
        in_channels=7,
        channels=(32, 64, 64),
        blocks=1,
        attention=(False, True, True),
        context_width=24,
        linear_projection=True,
        class_labels=50,
        only_cross_attention=(True, True, False),
        sample_size=16,
    )
    autoencoder = AutoencoderConfig(channels=(16, 32, 32), blocks=1, norm_groups=8, sample_size=64, scale=0.08333)
    upscaler = replace(model, unet=UNet(unet), autoencoder=Autoencoder(autoencoder), settings={"max_noise_level": 40})
    randomise(upscaler.unet)
    randomise(upscaler.autoencoder)
    noise = NoiseSchedule(beta_start=0.0001, beta_end=0.02)
    return replace(upscaler, schedule=replace(noise, prediction="v_prediction"), low_noise=noise)


def tiny_depth() -> Dpt:
    """A depth network of random weights."""
    torch.manual_seed(3)
    sizes = {"norm_groups": 4, "width": 24, "layers": 3, "heads": 3, "feedforward": 40, "taps": (1, 2), "fusion": 16}
    network = Dpt(DptConfig(size=64, stem=8, stages=(32, 64, 96), blocks=(2, 2, 1), **sizes))  # type: ignore[arg-type]
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.2)
    torch.nn.init.uniform_(network.head_out.weight)  # from 0, so that depths are, and the last ReLU lets them pass
    return network
