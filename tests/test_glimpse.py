"""The quick look at latents: exact where the autoencoder is linear, near the full decode on the embedded one."""

import time

import numpy as np
import torch
import torch.nn.functional as F

import kakusan
from kakusan.glimpse import Glimpse, coloured
from kakusan.images import to_tensor


def test_an_autoencoder_that_is_linear_is_undone_exactly() -> None:
    torch.manual_seed(0)
    mix, shift = torch.randn(4, 3), torch.randn(4, 1, 1)

    def encode(image: torch.Tensor) -> torch.Tensor:
        mean = torch.einsum("cd,ndhw->nchw", mix, F.avg_pool2d(image, 4)) + shift
        return torch.stack([mean, mean * 0], dim=1)

    glimpse = Glimpse(encode, 4)
    image = torch.rand(1, 3, 20, 12) * 2 - 1
    torch.testing.assert_close(glimpse.colours(encode(image)[0, 0]), F.avg_pool2d(image, 4)[0], atol=1e-4, rtol=0)
    assert glimpse(encode(image)[0, 0]).size == (12, 20)


def test_on_the_embedded_model_it_is_near_the_full_decode_and_much_faster() -> None:
    pipe = kakusan.load(device="cpu")
    latents = [step.latent for step in pipe.steps(pipe.recipes("a red apple on a blue background", 2, 1)) if step.latent is not None]
    pipe.preview(latents[-1], fast=True)
    errors, start = [], time.perf_counter()
    quick = [pipe.preview(latent, fast=True) for latent in latents[-4:]]
    middle = time.perf_counter()
    full = [pipe.preview(latent) for latent in latents[-4:]]
    end = time.perf_counter()
    for one, other in zip(quick, full, strict=True):
        assert one.size == other.size
        a, b = (F.avg_pool2d(to_tensor(picture)[None], pipe.model.autoencoder.factor) for picture in (one, other))
        errors.append((a - b).pow(2).mean().sqrt().item())
    spread = float(np.mean([F.avg_pool2d(to_tensor(p)[None], pipe.model.autoencoder.factor).std().item() for p in full]))
    assert max(errors) < 0.5 * spread, (errors, spread)
    assert middle - start < (end - middle) / 3


def test_what_it_is_fitted_on_is_always_the_same() -> None:
    assert torch.equal(coloured(16), coloured(16))
