"""A picture drawn once more from what its file tells, for comparing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import KakusanError
from ..loading import EMBEDDED, VARIANTS, relative, shipped
from ..memory.models import matches
from ..memory.reading import Memory
from ..memory.record import NO_INPUTS, Input, pixels
from ..messages import tr
from ..pipeline import Pipeline
from ..safety.afterwards import Afterwards, hidden
from ..safety.marks import marker
from ..tasks.beginning import Asked
from ..tasks.fitting import Picture, opened
from ..tasks.modes import NOTHING
from ..tasks.recipe import Recipe

if TYPE_CHECKING:
    from PIL.Image import Image


def embedded_model(memory: Memory) -> str | None:
    """The name of the embedded model, or of its relative, that drew a picture: "" is the embedded one, None if none of them did."""
    if matches(memory, EMBEDDED):
        return ""
    return next((f"embedded-{name}" for name in VARIANTS if shipped(name) and matches(memory, relative(name))), None)


def again(
    recipe: Recipe,
    pipe: Pipeline,
    *,
    memory: Memory | None = None,
    image: Picture | None = None,
    mask: Picture | None = None,
    depth: Picture | None = None,
) -> "Image":
    """The picture that a recipe draws, with what was done to it afterwards.

    memory: of the picture's file, which tells how the pictures that it was made from were made to fit. Raises KakusanError if it takes
    more than is given.
    """
    given = NOTHING
    if recipe.mode != "txt2img":
        if image is None:
            raise KakusanError(
                f"drawn from a picture ({recipe.mode}), which is not in the file; give it with --image",
                f"元の画像から描かれた絵 ({recipe.mode}) です。--image で渡してください",
            )
        inputs = memory.record.inputs if memory and memory.record else NO_INPUTS
        asked = Asked(image, mask, depth, (inputs.width or None, inputs.height or None), inputs.resize, recipe.area)  # type: ignore[arg-type]
        given, _ = pipe.given(asked)
    large = replace(recipe.large, upscale=0, upscaler="")
    plain = pipe.checked(replace(recipe, safety="", watermark="", large=large))
    (picture,) = (step.image for step in pipe.steps([plain], given, Afterwards()) if step.image is not None)
    picture = _marked(hidden(picture, recipe.safety), recipe, pipe)
    if recipe.large.upscale:
        pipe.watermark = "off" if not recipe.watermark else pipe.watermark
        picture = pipe.upscaled(picture, recipe.prompt, by=recipe.large.upscale, method=recipe.large.upscaler, seed=recipe.seed).images[0]
    return picture


def input_notes(memory: Memory, image: Picture | None, mask: Picture | None, depth: Picture | None) -> list[str]:
    """One line for every picture that is given and is not the one that is recorded."""
    inputs = memory.record.inputs if memory.record else NO_INPUTS
    rows = (("image", image, inputs.image, "RGB"), ("mask", mask, inputs.mask, "L"), ("depth", depth, inputs.depth, "F"))
    return [
        tr(f"--{name} is another picture than the one it was made from", f"--{name} は元の画像と違います")
        for name, given, recorded, mode in rows
        if recorded is not None and given is not None and not _is(given, recorded, mode)
    ]


def _is(given: Picture, recorded: Input, mode: str) -> bool:
    """Whether a picture is the recorded one; folders are not looked at."""
    return (isinstance(given, str | Path) and Path(given).is_dir()) or pixels(opened(given, mode)) == recorded  # type: ignore[arg-type]


def _marked(picture: "Image", recipe: Recipe, pipe: Pipeline) -> "Image":
    mark = marker(recipe.watermark or "off", pipe.model.family)
    return picture if mark is None else mark(picture).picture


def complete(recipe: Recipe | None, notes: Sequence[str] = ()) -> Recipe:
    """The recipe, if there is one. Raises KakusanError if there is none."""
    if recipe is None:
        why = f" ({'; '.join(notes)})" if notes else ""
        raise KakusanError(
            f"the picture holds no complete recipe, so it cannot be drawn again{why}",
            f"この画像には完全な生成情報がないので描き直せません{why}",
        )
    return recipe
