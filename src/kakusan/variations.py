"""Pictures that are relatives: on the way from one prompt to another, or alike until a step and then told something else.

Relatives by their seeds need nothing from here: `pipe(..., variation_strength=0.2)`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from .engine import Engine, replay
from .errors import KakusanError
from .pipeline import Pipeline
from .result import Result, Step
from .tasks.modes import NOTHING, Given
from .tasks.recipe import Recipe
from .tasks.translated import in_english

if TYPE_CHECKING:
    from PIL.Image import Image


def between(
    pipe: Pipeline, first: str, second: str, count: int = 8, seed: int | None = None, options: Mapping[str, object] | None = None
) -> list[Recipe]:
    """Recipes of one seed whose words go from the first prompt to the second in even steps, both ends among them.

    options: what else the recipes say, by the names of their fields. Raises KakusanError on fewer than two, or an empty second prompt.
    """
    if count < 2:
        raise KakusanError(f"{count} pictures from one prompt to another; at least 2", f"{count} 枚では足りません。2 枚以上にしてください")
    if not second:
        raise KakusanError("the second prompt is empty; say what to end with", "2 つ目のプロンプトが空です。最後に描くものを書いてください")
    (start,) = pipe.recipes(first, 1, seed, options)
    worded = in_english(replace(start, second=second), pipe.translator)
    return [pipe.checked(replace(worded, blend=i / (count - 1))) for i in range(count)]


def morph(
    pipe: Pipeline, first: str, second: str, count: int = 8, seed: int | None = None, options: Mapping[str, object] | None = None
) -> Result:
    """The pictures of `between`."""
    recipes = between(pipe, first, second, count, seed, options)
    images = {step.picture: step.image for step in pipe.steps(recipes) if step.image is not None}
    return Result([images[i] for i in range(count)], recipes, pipe.notes(recipes))


def fork(
    pipe: Pipeline,
    recipe: Recipe,
    at: int,
    prompts: Sequence[str],
    given: Given = NOTHING,
    on_step: Callable[[Step], None] | None = None,
) -> Result:
    """One run that goes on under each of several prompts after `at` evaluations of the U-Net, which are computed once for all.

    Each recipe of the result draws its picture alone as well, with all its steps.
    """
    recipes = forked(pipe, recipe, at, prompts)
    engine = Engine(pipe.networks, max_rows=pipe.max_rows)
    trunk = engine.submit(pipe.task(recipe, given))
    while not trunk.settled and sum(reply.model == "unet" for reply in trunk.replies) < at:
        engine.tick()
    pipe.finished(trunk)
    replies = list(trunk.replies)
    trunk.cancel()
    jobs = [engine.add(replay(partial(pipe.task, each, given), replies)) for each in recipes]
    total = sum(pipe.evaluations(each, given) - len(replies) for each in recipes)
    images: dict[int, Image] = {}
    for step in pipe.watched(engine, jobs, recipes, total, pipe.afterwards()):
        if step.image is not None:
            images[step.picture] = step.image
        if on_step is not None:
            on_step(step)
    return Result([images[i] for i in range(len(recipes))], recipes, pipe.notes(recipes))


def forked(pipe: Pipeline, recipe: Recipe, at: int, prompts: Sequence[str]) -> list[Recipe]:
    """The recipes of what `fork` draws. Raises KakusanError if there is nothing to fork, or nothing to go on with."""
    if at < 1 or not prompts or not all(prompts):
        raise KakusanError(
            f"a run forked after {at} evaluations into {len(prompts)} prompts; at least 1 of each, none empty",
            f"{at} 回目で {len(prompts)} 個のプロンプトには分けられません。どちらも 1 以上、空のプロンプトは使えません",
        )
    return [pipe.checked(in_english(replace(recipe, second=prompt, switch=at), pipe.translator)) for prompt in prompts]
