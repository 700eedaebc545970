"""Networks that overflow half precision are run again in float32 before anything is lost; what stays broken is named."""

import copy

import pytest
import torch
from torch import nn

from formats.tiny import tiny_model
from kakusan.errors import KakusanError
from kakusan.formats.model import Model
from kakusan.images import to_tensor
from kakusan.pipeline import Pipeline

PROMPT = {"prompt": "an apple", "seed": 3, "steps": 3, "scale": 2.0, "sampler": "ddim", "schedule": "leading"}


def overflowing(part: str) -> Model:
    """A model whose `part` has features beyond 65504, the largest number in half precision, before a norm makes them small again."""
    model = tiny_model()
    network: nn.Module = model.unet if part == "unet" else model.autoencoder.decoder
    with torch.no_grad():
        convolution = network.mid.res[0].conv1  # its output goes into a norm
        convolution.weight.mul_(1e6)
        convolution.bias.mul_(1e6)
        for weights in (convolution.weight, convolution.bias):
            weights.clamp_(-6e4, 6e4)
    return model


def half(model: Model) -> Model:
    model = copy.deepcopy(model)
    for network in (model.unet, model.autoencoder, model.text):
        network.half()
    return model


@pytest.mark.parametrize("part", ["unet", "decoder"])
def test_what_overflows_half_precision_is_run_again_in_full(part: str) -> None:
    model = overflowing(part)
    wanted, found = (to_tensor(Pipeline(m)(**PROMPT).images[0]) for m in (model, half(model)))
    assert wanted.std() > 0.02
    assert (found - wanted).abs().max() < 0.1
    pipe = Pipeline(half(model))
    pipe(**PROMPT)
    kept = {name: next(network.parameters()).dtype for name, network in (("unet", pipe.model.unet), ("decoder", pipe.model.autoencoder))}
    assert kept == {name: torch.float32 if name == part else torch.float16 for name in kept}, "only what overflowed is widened, for good"


@pytest.mark.parametrize(("part", "stage"), [("unet", "unet"), ("autoencoder", "decode")])
def test_what_is_broken_in_full_precision_too_is_named_and_nothing_is_drawn(part: str, stage: str) -> None:
    model = half(tiny_model())
    with torch.no_grad():
        next(m for m in getattr(model, part).modules() if isinstance(m, nn.Conv2d)).weight.fill_(torch.nan)
        model.autoencoder.decoder.conv_in.weight.fill_(torch.nan if part == "autoencoder" else 0)
    with pytest.raises(KakusanError, match=f"network '{stage}' gave NaN or infinity"):
        Pipeline(model)(**PROMPT)
