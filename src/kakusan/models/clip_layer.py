"""The transformer layer of CLIP's two towers (Radford et al. 2021, section 2.4; Xiong et al. 2020 for the order of the norms)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import Attention

EPS = 1e-5


def quick_gelu(x: Tensor) -> Tensor:
    """The sigmoid estimate of GELU (Hendrycks and Gimpel 2016, section 2), which OpenAI's CLIP was trained with."""
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"quick_gelu": quick_gelu, "gelu": F.gelu}


def check_layer(width: int, heads: int, activation: str) -> None:
    """Raises ValueError on a layer that cannot be."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation {activation!r} is not one of {', '.join(ACTIVATIONS)}")
    if heads < 1 or width % heads:
        raise ValueError(f"width {width} does not divide into {heads} heads")


class ClipLayer(nn.Module):
    """Self-attention and a feed-forward layer, each added to its normalised input."""

    def __init__(self, width: int, heads: int, feedforward: int, activation: str, eps: float = EPS):
        super().__init__()
        self.activation = activation
        self.norm1 = nn.LayerNorm(width, eps)
        self.attn = Attention(width, width, heads, bias=True)
        self.norm2 = nn.LayerNorm(width, eps)
        self.ff_in = nn.Linear(width, feedforward)
        self.ff_out = nn.Linear(feedforward, width)

    def forward(self, x: Tensor, causal: bool = False, seen: Tensor | None = None) -> Tensor:
        """States (n l d) that have seen one another; causal: only those before them; seen: only those marked (n l)."""
        x = x + self.attn(self.norm1(x), causal=causal, seen=seen)
        x = x + self.ff_out(ACTIVATIONS[self.activation](self.ff_in(self.norm2(x))))
        return x
