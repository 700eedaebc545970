"""The seeds of a recipe, and what can be varied about a picture: noise between two seeds, words between two prompts.

The words' part is in `conditions.Words`.
"""

from dataclasses import replace

from ..errors import KakusanError
from ..noise import SeededNoise
from ..schedules import NoiseSchedule
from .like import OURS, moved
from .like_noise import LikeNoise, Source, source
from .recipe import Recipe
from .seeds import Varied, VariedNoise

Seed = int | Varied | Source


def noise_of(seed: Seed) -> SeededNoise:
    """The noise a task draws all its numbers from."""
    if isinstance(seed, Source):
        return LikeNoise(seed)
    return SeededNoise(seed) if isinstance(seed, int) else VariedNoise(seed)


def seed_of(recipe: Recipe, factor: int, schedule: NoiseSchedule) -> Seed:
    """The seed of a recipe, with where it is on its way to, and whose numbers come of it. factor: pixels a latent pixel is wide."""
    size = (recipe.seed_height // factor, recipe.seed_width // factor) if recipe.seed_width else None
    varied = Varied(recipe.seed, recipe.variation_seed, recipe.variation_strength, size)
    if recipe.like != OURS:
        return source(varied, recipe, schedule)
    return varied if recipe.variation_strength or size else recipe.seed


def numbered(recipe: Recipe, i: int) -> Recipe:
    """The recipe of picture i of a call: the next seed, or between two seeds the same seed and the next other one."""
    like, i = moved(recipe.like, i)
    if recipe.variation_strength:
        return replace(recipe, variation_seed=recipe.variation_seed + i, like=like)
    return replace(recipe, seed=recipe.seed + i, like=like)


def check_variation(recipe: Recipe, factor: int) -> None:
    """Raises KakusanError on what lies outside the two seeds or prompts, and on noise of an impossible size."""
    for en, ja, value in (
        ("variation strength", "バリエーションの強さ", recipe.variation_strength),
        ("blend", "2 つ目のプロンプトの割合", recipe.blend),
    ):
        if not 0 <= value <= 1:
            raise KakusanError(f"{en} is {value}; it must be from 0 to 1", f"{ja}が {value} です。0 から 1 の間にしてください")
    if not 0 <= recipe.variation_seed < 2**63:
        raise KakusanError(
            f"variation seed is {recipe.variation_seed}; it must be from 0 to 2**63 - 1",
            f"バリエーションのシードが {recipe.variation_seed} です。0 から 2**63 - 1 の間にしてください",
        )
    size = (recipe.seed_width, recipe.seed_height)
    if (size[0] > 0) != (size[1] > 0) or min(size) < 0 or any(value % factor for value in size):
        raise KakusanError(
            f"the seed's size is {size[0]}x{size[1]}; width and height must both be multiples of {factor}, or both be left out",
            f"シードの大きさが {size[0]}x{size[1]} です。幅と高さはどちらも {factor} の倍数にするか、両方とも省いてください",
        )
    if recipe.switch < 0:
        raise KakusanError(
            f"the prompt is to change after {recipe.switch} evaluations; it must be at least 1, or 0 for never",
            f"プロンプトを {recipe.switch} 回目で切り替えることはできません。1 以上、切り替えないなら 0 にしてください",
        )
