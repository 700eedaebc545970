"""Masks made ready, pictures grown, parts cut out and laid in: what is kept is kept bit for bit, and no seam is seen."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

import kakusan
from kakusan.errors import KakusanError
from kakusan.images import save_png
from kakusan.masking import inwards
from kakusan.pipeline import Pipeline
from kakusan.tasks.area import Area, Frame, cut_out, laid_in, prepared
from kakusan.tasks.recipe import Recipe

SIZE = (64, 64)


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return kakusan.load(device="cpu")


def gradient(width: int = 64, height: int = 64) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width] / (max(width, height) - 1)
    return Image.fromarray(np.stack([40 + 150 * x, 90 + 100 * y, 200 - 120 * x * y], -1).round().astype(np.uint8))


def photograph(width: int = 64, height: int = 64) -> Image.Image:
    """As a photograph: detail of every size, the finer the fainter."""
    random = np.random.default_rng(0)
    sizes = ((3, 90), (6, 60), (12, 40), (24, 20), (48, 10))
    layers = [
        amount * np.asarray(Image.fromarray(random.random((n, n)).astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC))
        for n, amount in sizes
    ]
    return Image.fromarray((0.5 * levels(gradient(width, height)) + sum(layers)[..., None]).clip(0, 255).round().astype(np.uint8))


def box(left: int, top: int, right: int, bottom: int, size: tuple[int, int] = SIZE) -> Image.Image:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle((left, top, right - 1, bottom - 1), fill=255)
    return mask


def levels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB")).astype(int)


def seam(picture: Image.Image, left: int, top: int, right: int, bottom: int) -> tuple[float, float]:
    """The mean step of colour across a box's border, in levels, and the mean step between neighbours beside it, inside and outside."""
    across, beside = [], []
    for pixels, (low, high), (first, last) in (
        (levels(picture), (left, right), (top, bottom)),
        (levels(picture).transpose(1, 0, 2), (top, bottom), (left, right)),
    ):
        steps = np.abs(np.diff(pixels[first:last], axis=1)).mean((0, 2))  # steps[i]: between columns i and i + 1
        across += [steps[low - 1], steps[high - 1]]
        beside += [*steps[low - 4 : low - 1], *steps[low : low + 3], *steps[high - 4 : high - 1], *steps[high : high + 3]]
    return float(np.mean(across)), float(np.mean(beside))


@pytest.mark.parametrize("picture", [gradient(), photograph()], ids=["gradient", "photograph"])
@pytest.mark.parametrize("strength", [0.3, 0.6])
def test_no_seam_and_nothing_changed_outside(pipe: Pipeline, picture: Image.Image, strength: float, tmp_path: Path) -> None:
    """Measured: steps of 1.1 to 4.3 levels across the border, where neighbours differ by 2.1 to 6.5; pasted in plainly, of 16 to 40."""
    sides = (20, 18, 50, 46)
    result = pipe("", image=picture, mask=box(*sides), strength=strength, seed=1, count=2)
    for i, image in enumerate(result.images):
        save_png(image, tmp_path / f"{i}.png", result.recipes[i].parameters())
        again = Image.open(tmp_path / f"{i}.png")
        outside = ~np.asarray(box(*sides)).astype(bool)
        assert np.array_equal(levels(again)[outside], levels(picture)[outside])
        across, beside = seam(again, *sides)
        assert across < 1.3 * beside + 1, f"{across:.1f} levels across the border, {beside:.1f} beside it"
        assert np.abs(levels(again) - levels(picture))[~outside].mean() > 3, "painted"


def test_what_is_painted_keeps_its_own_colour(pipe: Pipeline) -> None:
    """A green leaf in a red field is not dyed red for the sake of its border."""
    red = Image.new("RGB", SIZE, (225, 45, 55))
    green = levels(pipe("a green leaf", image=red, mask=box(16, 16, 48, 48), seed=1).images[0])[28:36, 28:36].mean((0, 1))
    assert green[1] > green[0]


def test_a_soft_mask_keeps_what_is_black_and_paints_by_degrees(pipe: Pipeline) -> None:
    """From no change on the left to all on the right: the change grows with the mask."""
    ramp = Image.fromarray(np.tile(np.clip((np.arange(64) - 8) * 5.5, 0, 255).astype(np.uint8), (64, 1)))
    picture = photograph()
    out = pipe("a yellow star", image=picture, mask=ramp, seed=2, count=3, steps=12).images
    change = np.mean([np.abs(levels(image) - levels(picture)).mean((0, 2)) for image in out], axis=0)
    assert not change[:9].any(), "exactly 0 in the mask"
    assert change[9:].any()
    assert change[16:28].mean() < change[36:].mean()


def test_blur_softens_the_edge_and_keeps_what_stays_black(pipe: Pipeline) -> None:
    picture, mask = photograph(), box(24, 24, 40, 40)
    soft = np.asarray(mask.filter(ImageFilter.GaussianBlur(3)))
    out = pipe("a red apple", image=picture, mask=mask, area=Area(blur=3), seed=1).images[0]
    changed = np.abs(levels(out) - levels(picture)).any(-1)
    assert not changed[soft == 0].any()
    assert changed[(soft > 0) & (np.asarray(mask) == 0)].any(), "beyond the mask's own edge"


def test_inverted_the_rest_is_painted(pipe: Pipeline) -> None:
    picture, mask = photograph(), box(24, 24, 40, 40)
    out = pipe("a red apple", image=picture, mask=mask, area=Area(invert=True), seed=1).images[0]
    other = pipe("a red apple", image=picture, mask=ImageOps.invert(mask), seed=1).images[0]
    assert out.tobytes() == other.tobytes()
    assert out.crop((24, 24, 40, 40)).tobytes() == picture.crop((24, 24, 40, 40)).tobytes()


@pytest.mark.parametrize("sides", [(16, 0, 0, 0), (0, 16, 0, 0), (0, 0, 16, 0), (0, 0, 0, 16), (8, 16, 0, 8)], ids=str)
def test_pictures_grow_to_any_side(pipe: Pipeline, sides: tuple[int, int, int, int]) -> None:
    picture = gradient()
    left, right, up, down = sides
    result = pipe("", image=picture, area=Area(outpaint=sides), seed=1, steps=8)
    (out,), (recipe,) = result.images, result.recipes
    assert out.size == (64 + left + right, 64 + up + down)
    assert out.crop((left, up, left + 64, up + 64)).tobytes() == picture.tobytes()
    assert (recipe.mode, recipe.fill, recipe.strength) == ("inpaint", "fill", 0.8)
    grown = levels(out)
    for axis, at in ((1, left), (1, left + 64), (0, up), (0, up + 64)):
        if 0 < at < grown.shape[axis]:
            steps = np.abs(np.diff(grown, axis=axis)).mean((1 - axis, 2))
            beside = np.mean([*steps[max(at - 4, 0) : at - 1], *steps[at : at + 3]])
            assert steps[at - 1] < 1.3 * beside + 1, f"{steps[at - 1]:.1f} levels where it was grown, {beside:.1f} beside"


def test_grown_and_masked_at_once(pipe: Pipeline) -> None:
    picture, mask = gradient(), box(20, 20, 40, 40)
    out = pipe("a red apple", image=picture, mask=mask, area=Area(outpaint=(16, 0, 0, 0)), seed=1, steps=6).images[0]
    changed = np.abs(levels(out)[:, 16:] - levels(picture)).any(-1)
    assert changed[20:40, 20:40].mean() > 0.9
    assert not changed[np.asarray(mask) == 0].any()


@pytest.mark.parametrize("size", [(150, 100), (61, 47), (200, 200)], ids=str)
def test_pictures_keep_their_size_and_pixels_whatever_the_model_draws(pipe: Pipeline, size: tuple[int, int]) -> None:
    picture, mask = photograph(*size), box(10, 12, 40, 35, size)
    for area in (Area(), Area(only_masked=True, padding=6)):
        result = pipe("a yellow star", image=picture, mask=mask, area=area, seed=1, steps=6)
        (out,), (recipe,) = result.images, result.recipes
        assert out.size == size
        outside = np.asarray(mask) == 0
        assert np.array_equal(levels(out)[outside], levels(picture)[outside])
        assert np.abs(levels(out) - levels(picture))[~outside].mean() > 3
        assert recipe.width % 16 == recipe.height % 16 == 0
        assert 0.5 < recipe.width * recipe.height / 64**2 < 2.5


def test_only_masked_draws_the_part_larger_than_it_is(pipe: Pipeline) -> None:
    """What is cut out of a large picture has more detail than the whole picture drawn small would give it."""
    picture = Image.new("RGB", (256, 256), (60, 110, 230))
    mask = box(112, 112, 144, 144, (256, 256))
    alone, whole = (
        pipe("a red apple on a blue background", image=picture, mask=mask, area=area, seed=3).images[0].crop((112, 112, 144, 144))
        for area in (Area(only_masked=True, padding=8), Area())
    )
    detail = [np.abs(np.diff(levels(image), axis=1)).mean() for image in (alone, whole)]
    assert detail[0] > 1.5 * detail[1], detail


@pytest.mark.parametrize("white", [(0, 0, 5, 5), (90, 10, 100, 60), (3, 3, 97, 8), (40, 30, 60, 40)], ids=str)
@pytest.mark.parametrize("size", [(None, None), (64, 64), (128, 32)], ids=str)
def test_the_box_holds_the_mask_and_has_the_proportions_that_are_drawn(
    white: tuple[int, int, int, int], size: tuple[int | None, int | None]
) -> None:
    (left, top, right, bottom), width, height = cut_out(box(*white, (100, 70)), 4, size, 64, 16)
    assert 0 <= left <= max(0, white[0] - 4) < min(100, white[2] + 4) <= right <= 100
    assert 0 <= top <= max(0, white[1] - 4) < min(70, white[3] + 4) <= bottom <= 70
    assert (size == (None, None) and width % 16 == height % 16 == 0) or (width, height) == size
    if right - left < 100 and bottom - top < 70:
        assert abs((right - left) / (bottom - top) / (width / height) - 1) < 0.15


def test_laying_in_is_exact_where_nothing_is_painted() -> None:
    image = torch.rand(3, 40, 50) * 2 - 1
    mask = torch.zeros(1, 40, 50)
    mask[:, 12:20, 12:30] = 1

    def painting():  # type: ignore[no-untyped-def]
        yield
        return torch.zeros(3, 64, 64)

    task = laid_in(painting(), Frame(image, mask, (8, 8, 40, 24)))
    next(task)
    with pytest.raises(StopIteration) as stop:
        task.send([])
    out = stop.value.value
    assert torch.equal(out[:, mask[0] == 0], image[:, mask[0] == 0])
    assert not torch.equal(out, image)


def test_how_far_inside_a_hole_a_place_is() -> None:
    hole = torch.zeros(1, 1, 40, dtype=torch.bool)
    hole[..., 10:30] = True
    depth = inwards(hole.expand(1, 40, 40), 4)[0, 20]
    assert depth[10:15].tolist() == pytest.approx([3 * t**2 - 2 * t**3 for t in (0.2, 0.4, 0.6, 0.8, 1.0)])
    assert depth[14:26].eq(1).all()
    assert not depth[[*range(10), *range(30, 40)]].any()
    thin = torch.zeros(1, 40, 40, dtype=torch.bool)
    thin[:, :, 20:23] = True
    assert inwards(thin, 4)[0, 20, 21] == 1, "what is narrower than that is painted too"
    edge = torch.ones(1, 40, 40, dtype=torch.bool)
    assert inwards(edge, 4).eq(1).all(), "the edge of the picture is no edge of a hole"


def test_masks_are_made_as_large_as_the_picture_and_all_that_grows_is_white() -> None:
    picture, white = prepared(gradient(40, 30), box(0, 0, 10, 15, (20, 15)), Area(outpaint=(2, 3, 4, 5)))
    assert white is not None
    assert picture.size == white.size == (45, 39)
    pixels = np.asarray(white)
    assert pixels[:4].min() == pixels[-5:].min() == pixels[:, :2].min() == pixels[:, -3:].min() == 255
    assert pixels[4:34, 2:20].min() == 255
    assert pixels[4:34, 26:42].max() == 0
    assert ImageChops.difference(picture.crop((2, 4, 42, 34)), gradient(40, 30)).getbbox() is None


def test_the_recipe_tells_of_the_mask_as_the_web_ui_does() -> None:
    area = Area(blur=4, invert=True, only_masked=True, padding=16, outpaint=(1, 2, 3, 4))
    recipe = replace(Recipe("a", "", 64, 64, 20, "euler", "karras", 7.0, 1), mode="inpaint", area=area, fill="noise", strength=0.5)
    said = recipe.parameters()
    for part in ("Mask blur: 4", "Mask mode: Inpaint not masked", "Inpaint area: Only masked", "Masked area padding: 16"):
        assert part in said
    assert Recipe.parse(said) == recipe
    drawn = replace(recipe, mode="img2img", area=Area(), fill="original", rule="compvis")
    assert "Strength rule: compvis" in drawn.parameters()
    assert "Mask" not in drawn.parameters()
    assert Recipe.parse(drawn.parameters()) == drawn


@pytest.mark.parametrize(
    ("options", "en", "ja"),
    [
        ({"area": Area(blur=2)}, "mask options without a mask", "マスクの設定だけ"),
        ({"area": Area(only_masked=True), "mask": Image.new("L", SIZE)}, "black all over", "すべて黒"),
        ({"area": Area(outpaint=(5000, 5000, 0, 0))}, "would grow to 10064x64", "10064x64 になります"),
        ({"mask": box(0, 0, 9, 9), "rule": "compvis"}, "strength rule is 'compvis' for inpaint", "strength rule が"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(pipe: Pipeline, options: dict[str, object], en: str, ja: str) -> None:
    with pytest.raises(KakusanError) as told:
        pipe("a", image=gradient(), **options)
    assert en in told.value.en
    assert ja in told.value.ja
    assert "\n" not in told.value.en + told.value.ja


@pytest.mark.parametrize("wrong", [{"blur": -1}, {"padding": 10000}, {"outpaint": (1, 2, 3)}, {"outpaint": (0, 0, 0, -1)}])
def test_numbers_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(KakusanError) as told:
        Area(**wrong)  # type: ignore[arg-type]
    assert re.search(r"must be from 0|needs 4", told.value.en)
