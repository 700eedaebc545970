"""What is kept comes back as it was, with every sampler; what is not is painted as if nothing were kept elsewhere."""

import pytest
import torch
from torch import Tensor

from kakusan.masking import left, masked
from kakusan.noise import SeededNoise
from kakusan.samplers import SAMPLERS, sample
from kakusan.types import Prediction, Sampler

SIGMAS = (10.0, 5.0, 2.0, 0.7, 0.0)
SHAPE = (2, 3, 4, 6)
KNOWN = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
CHANGE = (torch.arange(6) >= 3).float().expand(2, 1, 4, 6)  # the right half is repainted


def denoised(x: Tensor, sigma: float) -> Tensor:
    """The exact answer of one pixel's normal distribution around 2, pixel by pixel: it never looks at neighbours."""
    return (x + sigma**2 * 2) / (1 + sigma**2)


def driven(sampler: Sampler, seen: list[tuple[Tensor, float]] | None = None) -> Tensor:
    try:
        x, sigma = next(sampler)
        while True:
            if seen is not None:
                seen.append((x, sigma))
            x, sigma = sampler.send(Prediction(denoised(x, sigma), denoised(x, sigma)))
    except StopIteration as stop:
        return stop.value


def start(name: str) -> tuple[Tensor, Sampler]:
    x = KNOWN + SIGMAS[0] * SeededNoise(3).randn(SHAPE)
    return x, sample(name, x, SIGMAS, SeededNoise(4))


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_what_is_kept_comes_back_and_the_rest_is_painted_as_ever(name: str) -> None:
    free = driven(start(name)[1])
    x = driven(masked(start(name)[1], KNOWN, CHANGE, SIGMAS))
    torch.testing.assert_close(x[..., :3], KNOWN[..., :3], atol=1e-4, rtol=0)
    if name != "dpm_adaptive":  # whose steps depend on the whole picture
        torch.testing.assert_close(x[..., 3:], free[..., 3:])
    assert (x[..., 3:] - KNOWN[..., 3:]).abs().mean() > 0.1


def test_on_the_way_what_is_kept_carries_its_first_noise_as_in_the_published_blending() -> None:
    """Lugmayr et al. 2022, equation 8: the known part of x at every level is `known` plus sigma times noise."""
    seen: list[tuple[Tensor, float]] = []
    x, sampler = start("dpmpp_2m")
    driven(masked(sampler, KNOWN, CHANGE, SIGMAS), seen)
    noise = (x - KNOWN) / SIGMAS[0]
    assert len(seen) == 4
    for x, sigma in seen:
        torch.testing.assert_close(x[..., :3], (KNOWN + sigma * noise)[..., :3])


@pytest.mark.parametrize(("strength", "steps"), [(0.0, 0), (0.25, 1), (0.5, 2), (0.6, 2), (1.0, 4)])
def test_strength_is_the_share_of_steps_a_place_is_free(strength: float, steps: int) -> None:
    free = sum(not strength < left(sigma, SIGMAS) for sigma in SIGMAS[:-1])
    assert free == steps
    x = driven(masked(start("euler")[1], KNOWN, torch.full((2, 1, 4, 6), strength), SIGMAS))
    assert torch.allclose(x, KNOWN, atol=1e-4) == (steps == 0)


def test_levels_between_belong_to_the_step_that_asks_for_them() -> None:
    assert [left(sigma, SIGMAS) for sigma in (11.0, 10.0, 7.0, 5.0, 3.0, 2.0, 0.7, 0.3)] == [1, 1, 1, 0.75, 0.75, 0.5, 0.25, 0.25]
