"""A narrower U-Net out of a trained one: the same share of channels is kept everywhere, so that it learns on, and not anew.

Width pruning before further training, as in Xia et al. 2023 (https://arxiv.org/abs/2310.06694), without the search for a mask.
"""

from collections.abc import Mapping, Sequence
from math import gcd

import torch
from torch import Tensor


def slimmed(state: Mapping[str, Tensor], wide: Sequence[int], like: Mapping[str, Tensor], narrow: Sequence[int]) -> dict[str, Tensor]:
    """Weights of a U-Net with channels `narrow` a level, shaped as in `like`, out of those of one with channels `wide`.

    Of every run of channels the first are kept, evenly over norm groups and attention heads. Inputs that the wide network does
    not have (a mask, depth) begin at 0; tensors that it does not have (a skip between two sizes) as they are in `like`.
    Raises ValueError where a size can be no such choice.
    """
    pairs = tuple(zip(wide, narrow, strict=True))
    fresh = {}
    for name, target in like.items():
        tensor = state.get(name, target)
        for dim, (many, few) in enumerate(zip(tensor.shape, target.shape, strict=True)):
            if many > few:
                tensor = tensor.index_select(dim, torch.tensor(chosen(many, few, pairs)))
                tensor = tensor * (many / few) if dim == 1 else tensor  # as much comes out of fewer inputs
            elif many < few:
                room = [*tensor.shape]
                room[dim] = few - many
                tensor = torch.cat([tensor, tensor.new_zeros(room)], dim)
        fresh[name] = tensor.clone()
    return fresh


def chosen(many: int, few: int, pairs: tuple[tuple[int, int], ...]) -> list[int]:
    """Which of `many` channels become the `few`: of one level, four or eight times as many, or of two levels side by side."""
    for wide, narrow in pairs:
        for times in (1, 4, 8):
            if (many, few) == (times * wide, times * narrow):
                return evenly(wide, narrow, times * wide)
    for first_wide, first_narrow in reversed(pairs):  # the coarser level comes first
        for second_wide, second_narrow in reversed(pairs):
            if (many, few) == (first_wide + second_wide, first_narrow + second_narrow):
                second = evenly(second_wide, second_narrow, second_wide)
                return evenly(first_wide, first_narrow, first_wide) + [first_wide + number for number in second]
    raise ValueError(f"{few} of {many} channels are no choice between levels of {pairs}")


def evenly(wide: int, narrow: int, many: int) -> list[int]:
    """Of every `wide` / g of `many` numbers the first `narrow` / g, g their greatest common divisor."""
    run, kept = wide // gcd(wide, narrow), narrow // gcd(wide, narrow)
    return [number for number in range(many) if number % run < kept]
