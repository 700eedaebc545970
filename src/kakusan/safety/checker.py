"""A safety checker as a function: pictures in, a flag for each out.

H W height and width of what the image tower takes.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor

from ..images import to_tensor
from ..models.clip_image import normalised
from ..models.safety_checker import SafetyChecker, Verdict

Check = Callable[[Sequence[Image.Image]], list[bool]]
"""Whether each of some pictures is not to be shown."""


class Checker:
    """The `Check` of a network, which is loaded when the first picture comes. One picture after the other: they may differ in size."""

    def __init__(self, load: Callable[[], SafetyChecker]):
        self._load = load

    @cached_property
    def network(self) -> SafetyChecker:
        """The network. Raises what loading it raises."""
        return self._load().eval()

    def __call__(self, pictures: Sequence[Image.Image]) -> list[bool]:
        """The flags of some pictures."""
        return [bool(self.verdict(picture).flagged) for picture in pictures]

    @torch.inference_mode()
    def verdict(self, picture: Image.Image) -> Verdict:
        """What the network says of one picture, concept by concept."""
        weight = next(self.network.parameters())
        verdict: Verdict = self.network(prepared(picture, self.network.config.size).to(weight.device, weight.dtype))
        return verdict


def prepared(picture: Image.Image, size: int) -> Tensor:
    """A picture as CLIP takes it (1 3 H W): its shorter side made `size`, bicubic, the middle square of that, normalised."""
    short = min(picture.size)
    width, height = (side * size // short for side in picture.size)
    sized = picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    return normalised(to_tensor(sized.crop((left, top, left + size, top + size)))[None])
