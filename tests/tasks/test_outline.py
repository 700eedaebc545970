"""Outlines against formulas written out, and against pictures whose outlines are known."""

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from kakusan.tasks.outline import box, guided_filter, outlined, parting


def test_box_is_the_mean_of_a_window_that_the_border_cuts_off() -> None:
    x = torch.randn(2, 9, 14, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ones = np.ones((9, 14))
    share = uniform_filter(ones, 5, mode="constant")
    expected = np.stack([uniform_filter(part, 5, mode="constant") / share for part in x.numpy()])
    assert np.allclose(box(x, 2).numpy(), expected)


def test_the_guided_filter_is_a_regression_in_every_window() -> None:
    """Each window's weights by least squares of its own, ridge eps, then their mean over all windows of a pixel."""
    generator = torch.Generator().manual_seed(0)
    guide, x = torch.rand(3, 8, 9, generator=generator), torch.rand(8, 9, generator=generator)
    radius, eps = 2, 0.01
    sums, counts = np.zeros((8, 9)), np.zeros((8, 9))
    for i in range(8):
        for j in range(9):
            window = np.s_[max(i - radius, 0) : i + radius + 1, max(j - radius, 0) : j + radius + 1]
            colours = np.stack([channel[window].ravel() for channel in guide.numpy()], 1).astype(float)
            values = x.numpy()[window].ravel().astype(float)
            centred = colours - colours.mean(0)
            slope = np.linalg.solve(centred.T @ centred / len(values) + eps * np.eye(3), centred.T @ (values - values.mean()) / len(values))
            fitted = (colours - colours.mean(0)) @ slope + values.mean()
            sums[window] += fitted.reshape(sums[window].shape)
            counts[window] += 1
    assert np.allclose(guided_filter(guide, x, radius, eps).numpy(), sums / counts, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_the_parting_level_leaves_the_least_variance_within_both_parts(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.cat([0.25 + 0.1 * torch.randn(900, generator=generator), 0.7 + 0.08 * torch.randn(300, generator=generator)]).clamp(0, 1)
    within = [sum(part.var(correction=0) * len(part) for part in (x[x <= level], x[x > level])) for level in torch.linspace(0.2, 0.8, 301)]
    assert parting(x) == pytest.approx(0.2 + 0.002 * int(torch.tensor(within).argmin()), abs=0.01)


def test_a_rough_blob_becomes_the_disc_it_lies_on() -> None:
    """A disc of two colours before a gradient; the rough idea is wider, blurred, and off by four pixels."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    disc = (x - 30) ** 2 + (y - 33) ** 2 < 18**2
    behind = torch.stack([0.1 + x / 400, 0.2 + y / 400, torch.full_like(x, 0.7)])
    thing = torch.where(x < 30, torch.tensor([0.9, 0.6, 0.1])[:, None, None], torch.tensor([0.8, 0.2, 0.2])[:, None, None])
    image = torch.where(disc, thing, behind) * 2 - 1
    rough = torch.exp(-((x - 34) ** 2 + (y - 31) ** 2) / (2 * 16**2))
    sure = outlined(image, rough, 3)
    assert sure.shape == (64, 64)
    assert 0 <= sure.min() <= sure.max() <= 1
    assert overlap(rough > parting(rough), disc) < 0.8
    assert overlap(sure > 0.5, disc) > 0.95


def test_a_picture_of_one_colour_keeps_the_rough_idea() -> None:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    rough = ((x - 16) ** 2 + (y - 16) ** 2 < 64).float()
    assert overlap(outlined(torch.zeros(3, 32, 32), rough, 2) > 0.5, rough > 0.5) > 0.9


def overlap(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a & b).sum() / (a | b).sum())
