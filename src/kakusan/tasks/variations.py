"""Variations of a picture: noise between two seeds, number for number AUTOMATIC1111's.

Words between two prompts, and another prompt from some step on: `conditions.Words`. c channels, h w height and width of a latent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import KakusanError
from ..noise import SeededNoise
from .recipe import Recipe


@dataclass(frozen=True)
class Varied:
    """A seed that is on its way to another one. strength: from 0, the seed, to 1, the other.

    size: (h, w) of the latent whose noise is meant, if the picture is to have another size and still look like that one.
    """

    seed: int
    other: int = 0
    strength: float = 0.0
    size: tuple[int, int] | None = None


Seed = int | Varied


def noise_of(seed: Seed) -> SeededNoise:
    """The noise a task draws all its numbers from."""
    return SeededNoise(seed) if isinstance(seed, int) else VariedNoise(seed)


class VariedNoise(SeededNoise):
    """Noise whose numbers before the first step (`randn`) lie between two seeds; a sampler's own are those of the first seed."""

    def __init__(self, varied: Varied):
        super().__init__([varied.seed, varied.seed, varied.other])  # in the picture's size, in the noise's own size, the other seed
        self.strength, self.size = varied.strength, varied.size

    def __call__(self, like: Tensor, sigma_from: float, sigma_to: float) -> Tensor:
        """The next numbers of the first seed, as `like`."""
        return self.streams[0].randn(like.shape).to(like)

    def randn(self, shape: Sequence[int]) -> Tensor:
        """The next numbers (1 c h w) between the seeds."""
        whole = self.streams[0].randn(shape)
        size = shape if self.size is None else (*shape[:2], *self.size)
        noise = whole if self.size is None else self.streams[1].randn(size)
        if self.strength:
            noise = slerp(self.strength, noise, self.streams[2].randn(size))
        return noise if self.size is None else pasted(noise, whole)


def slerp(amount: float, low: Tensor, high: Tensor) -> Tensor:
    """Noise (1 c h w) between two noises along the arc between them, so that it stays as strong as both.

    Shoemake 1985, "Animating rotation with quaternion curves", section 3.3. As AUTOMATIC1111's web UI has it, an arc for each column
    of each channel; and where both are nearly the same, the straight line from high to low.
    """
    low_unit, high_unit = (x / x.norm(dim=2, keepdim=True) for x in (low, high))
    dot = (low_unit * high_unit).sum(dim=2, keepdim=True)  # 1 c 1 w
    if dot.mean() > 0.9995:
        return low * amount + high * (1 - amount)
    omega = torch.acos(dot)
    return (torch.sin((1 - amount) * omega) * low + torch.sin(amount * omega) * high) / torch.sin(omega)


def pasted(noise: Tensor, whole: Tensor) -> Tensor:
    """`whole` (1 c h w) with `noise` of another size in its middle; what is too large loses its borders, as in AUTOMATIC1111's."""
    (h, w), (high, wide) = noise.shape[2:], whole.shape[2:]
    dy, dx = int((high - h) / 2 // 1), int((wide - w) / 2 // 1)
    height, width = (h if dy >= 0 else h + 2 * dy), (w if dx >= 0 else w + 2 * dx)
    top, left = max(-dy, 0), max(-dx, 0)
    out = whole.clone()
    target = out[:, :, max(dy, 0) : max(dy, 0) + height, max(dx, 0) : max(dx, 0) + width]
    target.copy_(noise[:, :, top : top + target.shape[2], left : left + target.shape[3]])
    return out


def seed_of(recipe: Recipe, factor: int) -> Seed:
    """The seed of a recipe, with where it is on its way to. factor: pixels a latent pixel is wide."""
    size = (recipe.seed_height // factor, recipe.seed_width // factor) if recipe.seed_width else None
    if not recipe.variation_strength and size is None:
        return recipe.seed
    return Varied(recipe.seed, recipe.variation_seed, recipe.variation_strength, size)


def numbered(recipe: Recipe, i: int) -> Recipe:
    """The recipe of picture i of a call: the next seed, or between two seeds the same seed and the next other one."""
    if recipe.variation_strength:
        return replace(recipe, variation_seed=recipe.variation_seed + i)
    return replace(recipe, seed=recipe.seed + i)


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
