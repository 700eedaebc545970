"""What components and pipelines return: fields by name, or by number among those that are there, as in diffusers."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .random import Generators, randn

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

    Pictures = list[Image] | npt.NDArray[np.float32] | Tensor


@dataclass
class Output:
    """`out.sample`, `out["sample"]`, `out[0]`; a field that is None is not counted."""

    def __getitem__(self, key: int | slice | str) -> Any:
        if not isinstance(key, str):
            return self.to_tuple()[key]
        if key not in self.keys():
            raise KeyError(key)
        return getattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def keys(self) -> list[str]:
        """The names of the fields that are there."""
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]

    def values(self) -> list[Any]:
        """The fields that are there."""
        return [getattr(self, name) for name in self.keys()]

    def to_tuple(self) -> tuple[Any, ...]:
        """The fields that are there."""
        return tuple(self.values())


class DiagonalGaussianDistribution:
    """The latents of pictures: independent normal numbers. `parameters` (n 2c h w) are means, then log variances."""

    def __init__(self, parameters: Tensor):
        self.parameters = parameters
        self.mean, logvar = parameters.chunk(2, dim=1)  # n c h w each
        self.logvar = logvar.clamp(-30.0, 20.0)
        self.std, self.var = (self.logvar / 2).exp(), self.logvar.exp()

    def sample(self, generator: Generators = None) -> Tensor:
        """Latents (n c h w) drawn with a generator, or with one for each picture."""
        noise = randn(tuple(self.mean.shape), generator, self.parameters.device, self.parameters.dtype)
        return self.mean + self.std * noise

    def mode(self) -> Tensor:
        """The likeliest latents (n c h w)."""
        return self.mean

    def kl(self, other: "DiagonalGaussianDistribution | None" = None) -> Tensor:
        """Kullback-Leibler divergence (n,) from `other`, or from the standard normal distribution, in nats."""
        if other is None:
            return 0.5 * (self.mean**2 + self.var - 1.0 - self.logvar).sum(dim=(1, 2, 3))
        gap = (self.mean - other.mean) ** 2 / other.var + self.var / other.var
        return 0.5 * (gap - 1.0 - self.logvar + other.logvar).sum(dim=(1, 2, 3))

    def nll(self, sample: Tensor) -> Tensor:
        """Negative log likelihood (n,) of latents (n c h w), in nats."""
        gap = (sample - self.mean) ** 2 / self.var
        return 0.5 * (torch.log(torch.tensor(2 * torch.pi)) + self.logvar + gap).sum(dim=(1, 2, 3))


@dataclass
class AutoencoderKLOutput(Output):
    """What a picture is encoded as."""

    latent_dist: DiagonalGaussianDistribution


@dataclass
class DecoderOutput(Output):
    """Pictures (n 3 H W, about -1 to 1)."""

    sample: Tensor


@dataclass
class UNet2DConditionOutput(Output):
    """What the U-Net predicts (n c h w)."""

    sample: Tensor


@dataclass
class BaseModelOutputWithPooling(Output):
    """States of tokens (n l d), the state (n d) that stands for each text, and on demand the states before and after every layer."""

    last_hidden_state: Tensor
    pooler_output: Tensor
    hidden_states: tuple[Tensor, ...] | None = None


@dataclass
class StableDiffusionPipelineOutput(Output):
    """Pictures in the kind asked for, and which of them the safety checker objects to; None if there was no checker."""

    images: "Pictures"
    nsfw_content_detected: list[bool] | None = None


@dataclass
class ImagePipelineOutput(Output):
    """Pictures in the kind asked for."""

    images: "Pictures"
