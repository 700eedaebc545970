"""Tiny models of random weights of every family: what stands beside the latent, and the x4 upscaler's own parts."""

from dataclasses import replace

from formats.tiny import randomise, tiny_model
from kakusan.formats.model import Model
from kakusan.models.autoencoder import Autoencoder, AutoencoderConfig
from kakusan.models.unet import UNet, UNetConfig
from kakusan.schedules import NoiseSchedule

VARIANTS = ("", "inpainting", "depth", "upscaling")


def tiny_variant(variant: str) -> Model:
    """A model without an image tower."""
    model = tiny_model(towers=False, channels_in={"": 4, "inpainting": 9, "depth": 5, "upscaling": 7}[variant])
    if variant != "upscaling":
        return replace(model, schedule=NoiseSchedule(), settings={})
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
