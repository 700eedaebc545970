"""The words every part of kakusan shares.

n images, c channels, h w height and width of a latent, l text tokens, d width of a text state, K adapters.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

from torch import Tensor

Sigmas = Sequence[float]
"""Falling noise levels, one more than there are steps; sampling stops at the last of them, usually 0."""

Noise = Callable[[Tensor, float, float], Tensor]
"""`noise(like, sigma_from, sigma_to)`: standard normal numbers of the shape, dtype and device of `like`."""


class Evaluate(NamedTuple):
    """Asks for the model's view of `x` (n c h w, float32), a clean latent plus noise of standard deviation `sigma`."""

    x: Tensor
    sigma: float


class Prediction(NamedTuple):
    """The answer: guided estimate of the clean latent (n c h w), and the unguided one where guidance made one."""

    denoised: Tensor
    uncond: Tensor | None = None


Sampler = Generator[Evaluate, Prediction, Tensor]
"""Yields what it wants evaluated, is sent the predictions, returns the final latent."""


class Cond(NamedTuple):
    """What the U-Net is told about one image besides its noisy latent."""

    context: Tensor  # l d: the text encoder's states
    beside: Tensor | None = None  # c h w: channels the network sees beside x: mask and masked latent, depth, or a small picture
    label: Tensor | None = None  # (): the noise level of the small picture, for the x4 upscaler
    adapters: Tensor | None = None  # K: how much of each low-rank adapter


class Reading(NamedTuple):
    """How the text encoder reads a row, where that is not as usual."""

    skip: Tensor | None = None  # (): layers left out at the end
    seen: Tensor | None = None  # l: the tokens that the others may look at
    placed: Tensor | None = None  # l: the places of token embeddings of their own
    vectors: Tensor | None = None  # l d: these
    adapters: Tensor | None = None  # K: how much of each low-rank adapter


class Rows(NamedTuple):
    """Asks for the unguided view of one `x` (n c h w) under each of several conditions."""

    x: Tensor
    sigma: float
    conds: tuple[Cond, ...]


Guided = Generator[Rows, list[Tensor], Tensor]
"""A sampler with guidance round it: is sent one denoised latent (n c h w) for each condition it asked for."""


class Work(NamedTuple):
    """One call of one network, wanted by a task: any other Work for the same network may share the call.

    rows: arguments of each row, without batch dimension (tensors, floats, or named tuples of them); the reply is one
    tensor for each row. The rows of one Work always run in the same call.
    shown: makes what a preview shows of the reply, where that is not its first row.
    """

    model: str
    rows: list[tuple[Any, ...]]
    shown: Callable[[list[Tensor]], Tensor] | None = None


Task = Generator[Work, list[Tensor], Tensor]
"""A whole request (text to image, ...): yields the work it needs done, returns the picture (3 h w, -1 to 1)."""


def denoise(x: Tensor, sigma: float) -> Generator[Evaluate, Prediction, Tensor]:
    """For `denoised = yield from denoise(x, sigma)`, which is how a sampler calls the model."""
    return (yield Evaluate(x, sigma)).denoised


def slope(x: Tensor, sigma: float) -> Generator[Evaluate, Prediction, Tensor]:
    """dx / dsigma of the probability-flow ODE, which is also the predicted noise (Karras et al. 2022, equation 3)."""
    return (x - (yield from denoise(x, sigma))) / sigma
