"""A whole model of random weights, small enough for any test."""

import torch
from torch import nn

from kakusan.formats.model import Model
from kakusan.models.autoencoder import Autoencoder, AutoencoderConfig
from kakusan.models.clip_image import ClipImage, ClipImageConfig
from kakusan.models.clip_text import ClipText, ClipTextConfig
from kakusan.models.unet import UNet, UNetConfig
from kakusan.prompts.tokenizer import Tokenizer, byte_tokens
from kakusan.schedules import NoiseSchedule


def tiny_model(*, towers: bool = True, context: int = 24, channels_in: int = 4, vocab: int = 514) -> Model:
    """towers: with an image tower, and a projection of the text tower into its space."""
    torch.manual_seed(0)
    tokens = [*byte_tokens(), *(f"{token}</w>" for token in byte_tokens()), "<|startoftext|>", "<|endoftext|>"]
    unet = UNetConfig(channels_in, 4, (32, 64), 1, (True, False), context, heads=(2, 4), norm_groups=16, sample_size=8)
    text = ClipTextConfig(vocab, 24, 2, 3, feedforward=48, projection=12 if towers else None, end_token=vocab - 1)
    image = ClipImageConfig(size=16, patch=8, width=32, layers=1, heads=2, feedforward=64, projection=12)
    model = Model(
        unet=UNet(unet),
        autoencoder=Autoencoder(AutoencoderConfig(channels=(16, 32), blocks=1, norm_groups=8, sample_size=16, scale=0.5)),
        text=ClipText(text),
        tokenizer=Tokenizer({token: i for i, token in enumerate(tokens)}, [], pad=513),
        schedule=NoiseSchedule(prediction="v_prediction"),
        image=ClipImage(image) if towers else None,
        card="# tiny\n\n小さなモデル\n",
        name="tiny",
        settings={"defaults": {"steps": 3, "scale": 2.5}, "words": ["apple", "りんご"]},
    )
    for network in (model.unet, model.autoencoder, model.text, model.image):
        if network is not None:
            randomise(network)
    return model


def randomise(network: nn.Module) -> None:
    """Other biases than 0 and other norms than 1."""
    with torch.no_grad():
        for p in network.parameters():
            if p.dim() == 1:
                p.add_(torch.randn_like(p) * 0.2)
