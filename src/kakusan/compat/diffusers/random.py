"""Random numbers as diffusers draws them, so that the same seed gives the same picture."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...errors import KakusanError

Generators = torch.Generator | Sequence[torch.Generator] | None


def randn(shape: Sequence[int], generator: Generators, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal numbers of a shape (n ...), drawn on the generator's device, then moved.

    generator: for all in one draw, or a list with one for each of the n; a list of one is as good as the one in it.
    Raises KakusanError if their number is not n, or if they draw on a GPU for another device.
    """
    device = torch.device(device)
    if generator is None or isinstance(generator, torch.Generator):
        return torch.randn(tuple(shape), generator=generator, device=_drawn_on(generator, device), dtype=dtype).to(device)
    if len(generator) == 1:
        return randn(shape, generator[0], device, dtype)
    check_generators(generator, shape[0])
    return torch.cat([randn((1, *shape[1:]), one, device, dtype) for one in generator])


def check_generators(generator: Generators, pictures: int) -> None:
    """Raises KakusanError if there is a list of generators that does not have one for each picture."""
    if generator is None or isinstance(generator, torch.Generator) or len(generator) == pictures:
        return
    raise KakusanError(
        f"{len(generator)} generators were given for {pictures} pictures; give one, or one for each picture",
        f"画像 {pictures} 枚に generator が {len(generator)} 個あります。1 個か、画像と同じ数にしてください",
    )


def _drawn_on(generator: torch.Generator | None, device: torch.device) -> torch.device:
    if generator is None or generator.device.type == device.type:
        return device if generator is None else generator.device
    if generator.device.type == "cpu":
        return generator.device
    raise KakusanError(
        f"the generator draws on {generator.device}, but the pipeline is on {device}; use torch.Generator({device.type!r})",
        f"generator は {generator.device} 用ですが、パイプラインは {device} にあります。torch.Generator({device.type!r}) を使ってください",
    )
