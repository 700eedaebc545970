"""Pixels: independent of batch and size, with masks and depth that agree with them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from data.sprites import synthetic_pack
from kakusan.data.pictures import WORLDS, Background, Pictures, Scene, Thing
from kakusan.data.pictures.colour_space import hsv, rgb
from kakusan.data.pictures.colours import COLOUR
from kakusan.data.pictures.filters import FILTERS
from kakusan.data.pictures.places import PLACES, STYLES

FULL = Pictures(synthetic_pack(), WORLDS["full"], seed=5)
SCENES = [FULL.spec(index) for index in range(96)]


def psnr(a: Tensor, b: Tensor) -> Tensor:
    return 10 * torch.log10(4 / ((a - b) ** 2).flatten(1).mean(1))


def test_shapes_and_ranges() -> None:
    image, masks, depth = FULL.render(SCENES, 32)
    assert image.shape == (96, 3, 32, 32)
    assert masks.shape == (96, 4, 32, 32)
    assert depth.shape == (96, 32, 32)
    assert image.min() >= -1
    assert image.max() <= 1
    assert image.std() > 0.3
    assert depth.min() >= 0
    assert depth.max() <= 1
    assert torch.isfinite(image).all()


def test_a_picture_does_not_depend_on_its_batch() -> None:
    together = FULL.render(SCENES, 48)
    for rows in ([11], [40, 3, 77], list(range(50, 70))):
        alone = FULL.render([SCENES[row] for row in rows], 48)
        for part, whole in zip(alone, together, strict=True):
            torch.testing.assert_close(part, whole[rows], rtol=0, atol=2e-6)


def test_a_larger_picture_shows_the_same() -> None:
    scenes = [scene for scene in (FULL.spec(index) for index in range(300)) if scene.style not in ("neon", "sketch", "blueprint")][:96]
    small, large = FULL.render(scenes, 64), FULL.render(scenes, 128)
    agreement = psnr(F.avg_pool2d(large.image, 2), small.image)
    assert agreement.median() > 27
    assert agreement.min() > 18
    assert (F.avg_pool2d(large.masks, 2) - small.masks).abs().mean() < 0.01


@pytest.mark.parametrize("style", STYLES)
def test_styles_look_alike_at_every_size(style: str) -> None:
    things = (Thing("cat", "3d", 0.5, 0.85, 0.7),)
    scene = Scene(0, "single", things, Background("solid", "blue"), style=style)
    small, large = FULL.render([scene], 64).image, FULL.render([scene], 128).image
    assert psnr(F.avg_pool2d(large, 4), F.avg_pool2d(small, 2)).item() > 17
    plain = FULL.render([Scene(0, "single", things, Background("solid", "blue"))], 64).image
    assert psnr(plain, small).item() < 35  # the style can be seen


def test_masks_share_each_pixel_and_show_what_is_in_front() -> None:
    masks = FULL.render(SCENES, 64).masks
    assert masks.min() >= 0
    assert masks.sum(1).max() <= 1 + 1e-5
    for row, scene in enumerate(SCENES):
        assert (masks[row, : len(scene.things)].flatten(1).sum(1) > 4).all(), scene
        assert masks[row, len(scene.things) :].sum() == 0
    behind, before = Thing("cat", "3d", 0.5, 0.8, 0.6), Thing("dog", "3d", 0.6, 0.95, 0.4)
    drawn = FULL.render([Scene(0, "pair", (before, behind), Background("solid", "white"))], 64)
    alone = FULL.render([Scene(0, "single", (before,), Background("solid", "white"))], 64)
    torch.testing.assert_close(drawn.masks[0, 0], alone.masks[0, 0])  # nothing hides the nearer thing
    assert (drawn.masks[0, 1] * (alone.masks[0, 0] == 1)).sum() == 0
    assert drawn.depth[0][drawn.masks[0, 0] > 0.9].mean() > drawn.depth[0][drawn.masks[0, 1] > 0.9].mean()


def test_the_background_shows_where_no_thing_is() -> None:
    image, masks, _ = FULL.render([Scene(0, "single", (Thing("star", "3d", 0.5, 0.8, 0.5),), Background("solid", "orange"))], 64)
    outside = masks[0].sum(0) == 0
    expected = torch.tensor(COLOUR["orange"].rgb) * 2 - 1
    torch.testing.assert_close(image[0][:, outside], expected.unsqueeze(1).expand(-1, int(outside.sum())), atol=1e-5, rtol=0)


def test_ground_comes_nearer_downwards() -> None:
    for name, place in PLACES.items():
        if place.horizon is not None:
            empty = FULL.render([Scene(0, "single", (Thing("star", "3d", 0.5, 0.1, 0.02),), Background("landscape", name))], 64)
            column = empty.depth[0, int(64 * place.horizon) + 4 :, 5]
            assert (column.diff() >= 0).all()
            assert column[-1] > 0.8
            assert empty.depth[0, 0, 5] < 0.35


@pytest.mark.parametrize("colour", ["green", "blue", "pink", "white", "black"])
def test_paint_changes_the_main_colour_only(colour: str) -> None:
    def drawn(paint: str | None) -> Tensor:
        thing = Thing("star", "3d", 0.5, 0.95, 0.9, colour=paint)
        return FULL.render([Scene(0, "single", (thing,), Background("solid", "gray"))], 64).image[0] / 2 + 0.5

    before, after = drawn(None), drawn(colour)
    torch.testing.assert_close(after[:, 32, 32], torch.ones(3), atol=0.02, rtol=0)  # the white dot in the middle
    hue, saturation, value = hsv(after[:, 44, 32].view(3, 1, 1))
    if COLOUR[colour].hue is None:
        assert saturation.item() < 0.25
        assert value.item() > 0.75 if colour == "white" else value.item() < 0.35
    else:
        assert abs(hue.item() * 360 - COLOUR[colour].hue) < 12
        assert saturation.item() > 0.28
    assert (before - after).abs().max() > 0.3


def test_hue_saturation_value_and_back() -> None:
    colours = torch.rand(5, 3, 6, 7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(rgb(*hsv(colours)), colours, atol=1e-5, rtol=0)
    import colorsys

    expected = colorsys.rgb_to_hsv(*colours[0, :, 0, 0].tolist())
    np.testing.assert_allclose([part[0, 0, 0].item() for part in hsv(colours)], expected, atol=1e-5)


def test_every_style_has_a_filter() -> None:
    assert set(FILTERS) == set(STYLES)
