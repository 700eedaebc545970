"""Every mode through the pipeline: what each kind of model takes and refuses, sizes, recipes, counts, and company."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from kakusan.compat.compvis import levels
from kakusan.errors import KakusanError
from kakusan.models.clip_text import ClipText
from kakusan.pipeline import Pipeline, Step
from kakusan.schedules import NoiseSchedule
from kakusan.tasks.area import Area
from kakusan.tasks.modes import begun
from kakusan.tasks.recipe import Recipe
from tasks.both import TEXT, both

SMALL = {"steps": 4, "sampler": "euler", "seed": 3}
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (4, 4, 3), dtype=np.uint8)).resize((32, 32))
MASK = Image.new("L", (32, 32))
MASK.paste(255, (8, 8, 24, 24))
DEPTH = Image.linear_gradient("L").resize((32, 32))


class Slope(nn.Module):
    """Stands where a network for depth does: near below, far above."""

    config = SimpleNamespace(size=16)

    def forward(self, image: Tensor) -> Tensor:
        return image.mean(1) * 0 + torch.arange(image.shape[2], dtype=image.dtype)[:, None]


@pytest.fixture(scope="module")
def pipes() -> dict[str, Pipeline]:
    """By variant; the plain model under ""."""
    models = {name: both(beside).model for name, beside in (("", 0), ("inpainting", 5), ("depth", 1))}
    models["upscaling"] = both(beside=3, labels=1000).model
    models["upscaling"].low_noise = NoiseSchedule()
    models["depth"].depth = Slope()
    for name, model in models.items():
        assert model.variant == name
        torch.manual_seed(1)
        model.text = ClipText(replace(TEXT, positions=77)).eval()
    return {name: Pipeline(model) for name, model in models.items()}


GIVEN = {
    "words": {},
    "picture": {"image": PICTURE},
    "masked": {"image": PICTURE, "mask": MASK},
    "grown": {"image": PICTURE, "area": Area(outpaint=(0, 8, 0, 0))},
    "with depth": {"image": PICTURE, "depth": DEPTH},
    "mask and depth": {"image": PICTURE, "mask": MASK, "depth": DEPTH},
    "depth alone": {"depth": DEPTH},
    "mask alone": {"mask": MASK},
}
MODES = {
    "": {"words": "txt2img", "picture": "img2img", "masked": "inpaint", "grown": "inpaint"},
    "inpainting": {"masked": "inpaint", "grown": "inpaint"},
    "depth": {"picture": "depth2img", "with depth": "depth2img"},
    "upscaling": {"picture": "upscale"},
}


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("variant", MODES)
def test_what_each_kind_of_model_takes_and_refuses(variant: str, given: str, pipes: dict[str, Pipeline]) -> None:
    wanted = MODES[variant].get(given)
    if wanted is None:
        with pytest.raises(KakusanError) as told:
            pipes[variant]("an apple", **SMALL, **GIVEN[given])
        assert "\n" not in told.value.en + told.value.ja, "one line"
        assert told.value.en.isascii()
        assert not told.value.ja.isascii()
        return
    seen: list[Step] = []
    result = pipes[variant]("an apple", **SMALL, **GIVEN[given], on_step=seen.append)
    (recipe,) = result.recipes
    assert recipe.mode == wanted
    assert Recipe.parse(recipe.parameters()) == recipe
    last = seen[-1]
    assert last.done == last.total == len(seen), "every evaluation was announced, and no more"
    assert last.image is not None
    assert [step.done for step in seen] == list(range(1, len(seen) + 1))


@pytest.mark.parametrize(
    ("variant", "given", "size"),
    [("", "picture", (32, 32)), ("", "grown", (40, 32)), ("inpainting", "masked", (32, 32)), ("upscaling", "picture", (128, 128))],
)
def test_sizes_are_the_pictures(variant: str, given: str, size: tuple[int, int], pipes: dict[str, Pipeline]) -> None:
    assert pipes[variant]("an apple", **SMALL, **GIVEN[given]).images[0].size == size


def test_other_sizes_if_asked_for(pipes: dict[str, Pipeline]) -> None:
    wide = PICTURE.resize((50, 30))
    assert pipes[""]("an apple", **SMALL, image=wide).images[0].size == (48, 32)
    for resize in ("crop", "stretch", "fill", "latent"):
        result = pipes[""]("an apple", **SMALL, image=wide, width=40, height=24, resize=resize)
        assert result.images[0].size == (40, 24) == (result.recipes[0].width, result.recipes[0].height)
    assert pipes[""]("an apple", **SMALL, image=wide, mask=MASK, width=40).images[0].size == (40, 32)
    assert pipes["depth"]("an apple", **SMALL, image=wide, depth=DEPTH, width=32, height=32).images[0].size == (32, 32)


@pytest.mark.parametrize(("variant", "given"), [(v, g) for v, row in MODES.items() for g in row if g != "words"])
def test_in_company_as_alone(variant: str, given: str, pipes: dict[str, Pipeline]) -> None:
    pipe = pipes[variant]
    together = pipe("an apple", count=3, **SMALL, **GIVEN[given])
    assert [recipe.seed for recipe in together.recipes] == [3, 4, 5]
    for image, recipe in zip(together.images, together.recipes, strict=True):
        alone = pipe("an apple", **SMALL | {"seed": recipe.seed}, **GIVEN[given]).images[0]
        assert np.abs(np.asarray(image).astype(int) - np.asarray(alone)).max() <= 1
    assert together.images[0].tobytes() != together.images[1].tobytes()


def test_each_recipe_may_begin_with_a_picture_of_its_own(pipes: dict[str, Pipeline]) -> None:
    from kakusan.tasks.beginning import Asked

    pipe = pipes[""]
    asked = [Asked(image=PICTURE), Asked(image=PICTURE.rotate(90)), Asked(image=PICTURE, mask=MASK)]
    given = [pipe.given(one)[0] for one in asked]
    recipes = [pipe.recipes("an apple", 1, 3, {**SMALL, "seed": 3, "width": 32, "height": 32}, own)[0] for own in given]
    together = {step.picture: step.image for step in pipe.steps(recipes, given) if step.image}
    for i, one in enumerate(asked):
        alone = pipe("an apple", **SMALL, image=one.image, mask=one.mask).images[0]
        assert np.abs(np.asarray(together[i]).astype(int) - np.asarray(alone)).max() <= 1


@pytest.mark.parametrize("strength", [0.0, 0.01, 0.3, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("rule", ["diffusers", "compvis"])
def test_strength_takes_as_many_steps_as_in_the_programs_it_comes_from(strength: float, rule: str) -> None:
    recipe = Recipe("", "", 8, 8, 20, "ddim", "leading", 7.0, 0, mode="img2img", strength=strength, rule=rule)  # type: ignore[arg-type]
    walk = levels.ddim(NoiseSchedule(), 20, 0.0)
    sigmas, noised_to = begun(recipe, walk.sigmas)
    if rule == "diffusers":
        assert noised_to is None
        assert tuple(sigmas) == walk.sigmas[20 - max(1, int(20 * strength)) :]
        return
    theirs = levels.redrawing(walk, 20, max(strength, 0.05))  # the script cannot draw without a step
    assert tuple(sigmas) == theirs.sigmas
    assert noised_to == theirs.noised_to


def test_the_rule_of_strength_changes_the_picture_and_is_told(pipes: dict[str, Pipeline]) -> None:
    for variant in ("", "depth"):
        one, other = (pipes[variant]("an apple", **SMALL, image=PICTURE, strength=0.5, rule=rule) for rule in ("diffusers", "compvis"))
        assert one.images[0].tobytes() != other.images[0].tobytes()
        assert "Strength rule: compvis" in other.recipes[0].parameters()
    with pytest.raises(KakusanError, match="compvis"):
        pipes[""]("an apple", **SMALL, image=PICTURE, mask=MASK, rule="compvis")


def test_a_latent_is_resized_in_place_of_the_picture(pipes: dict[str, Pipeline]) -> None:
    """Nothing drawn anew, the latent of 8 x 8 comes back twice as large; a picture made larger first gives another."""
    whole = {"image": PICTURE, "width": 64, "height": 64, "strength": 0.3}
    latent, stretched = (pipes[""]("an apple", **SMALL, **whole, resize=how).images[0] for how in ("latent", "stretch"))
    assert latent.size == stretched.size == (64, 64)
    assert latent.tobytes() != stretched.tobytes()
    given, size = pipes[""].given(_asked(image=PICTURE.resize((50, 30)), size=(64, 64), resize="latent"))
    assert given.image is not None
    assert (given.image.shape, size) == ((3, 32, 48), (64, 64)), "its own size, in whole latent pixels"


def test_depth_follows_the_picture_whatever_its_size(pipes: dict[str, Pipeline]) -> None:
    """Depth of another size and with 16 bits is cut as the picture is."""
    wide = PICTURE.resize((64, 32))
    values = np.tile(np.linspace(0, 60000, 128).astype(np.uint16), (64, 1))
    given, size = pipes["depth"].given(_asked(image=wide, depth=Image.fromarray(values), size=(32, 32)))
    assert given.depth is not None
    assert given.depth.shape == (32, 32)
    assert size == (32, 32)
    row = given.depth[16]
    assert (row.diff() > 0).all()
    assert abs(row[0] - 15000) < 1000
    assert abs(row[-1] - 45000) < 1000


def test_usual_strengths(pipes: dict[str, Pipeline]) -> None:
    wanted = {("", "picture"): 0.75, ("", "masked"): 1.0, ("", "grown"): 0.8, ("inpainting", "grown"): 1.0, ("depth", "picture"): 0.8}
    for (variant, given), strength in wanted.items():
        pipe = pipes[variant]
        begin = pipe.given(_asked(**GIVEN[given]))[0]
        (recipe,) = pipe.recipes("a", 1, 0, {"area": GIVEN[given].get("area")}, begin)
        assert recipe.strength == strength


def test_noise_levels(pipes: dict[str, Pipeline]) -> None:
    low, high = (pipes["upscaling"]("an apple", **SMALL, image=PICTURE, noise_level=level) for level in (0, 300))
    assert low.images[0].tobytes() != high.images[0].tobytes()
    assert replace(low.recipes[0], noise_level=300) == high.recipes[0]
    with pytest.raises(KakusanError, match="1000"):
        pipes["upscaling"]("an apple", **SMALL, image=PICTURE, noise_level=1000)


def _asked(**given: object) -> "object":
    from kakusan.tasks.beginning import Asked

    return Asked(**given)  # type: ignore[arg-type]
