"""The autoencoder against diffusers', with random weights."""

import pytest
import torch

from kakusan.models.autoencoder import Autoencoder, AutoencoderConfig
from models.peers import AUTOENCODERS, assert_equal, autoencoders


@pytest.mark.parametrize("name", AUTOENCODERS)
@torch.inference_mode()
def test_equals_diffusers(name: str) -> None:
    config = AUTOENCODERS[name]
    ours, theirs = autoencoders(config)
    image = torch.rand(2, 3, 32, 24) * 2 - 1
    mean, logvar = ours.encode(image)
    wanted = theirs.encode(image).latent_dist
    assert_equal(mean, wanted.mean)
    assert_equal(logvar, wanted.logvar)
    assert mean.shape == (2, config.latent_channels, 32 // ours.factor, 24 // ours.factor)
    latent = torch.randn_like(mean)
    assert_equal(ours.decode(latent), theirs.decode(latent).sample)
    last = ours.to(memory_format=torch.channels_last).decode(latent.contiguous(memory_format=torch.channels_last))
    assert_equal(last, theirs.decode(latent).sample)


@torch.inference_mode()
def test_there_and_back_equals_diffusers_in_float64() -> None:
    ours, theirs = (model.double() for model in autoencoders(AUTOENCODERS["x4"]))
    image = torch.rand(1, 3, 16, 16).double() * 2 - 1
    assert_equal(ours(image), theirs(image).sample, relative=1e-12)


@torch.inference_mode()
def test_log_variance_is_kept_within_bounds() -> None:
    model = Autoencoder(AUTOENCODERS["embedded"])
    model.moments.bias[:] = torch.tensor([0.0] * 6 + [1e3, -1e3] * 3)
    _, logvar = model.encode(torch.zeros(1, 3, 8, 8))
    assert (logvar.amax().item(), logvar.amin().item()) == (20, -30)


def test_gradients_reach_every_weight() -> None:
    model = Autoencoder(AUTOENCODERS["embedded"])
    mean, logvar = model.encode(torch.randn(1, 3, 8, 8))
    (model.decode(mean).square().mean() + logvar.mean()).backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    without = {name for name, g in grads.items() if g is None or not g.any()}
    assert without <= {"encoder.mid.attn.to_k.bias", "decoder.mid.attn.to_k.bias"}  # shifts every score alike


def test_impossible_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="norm_groups 32"):
        AutoencoderConfig(channels=(16, 32))
