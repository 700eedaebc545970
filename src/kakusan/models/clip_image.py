"""CLIP's image tower: a vision transformer (Dosovitskiy et al. 2021; Radford et al. 2021, section 2.4).

n pictures, l patches and the class token before them, d width of a state, p width of the space shared with texts.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .clip_layer import EPS, ClipLayer, check_layer

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of red, green and blue in 0..1, over the pictures CLIP was trained on
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class ClipImageConfig:
    """The shape of an image tower; the defaults are ViT-L/14's. size: height and width of the picture, patch: of a patch, pixels.

    Raises ValueError if patches do not divide the picture, heads the width, or on an unknown activation.
    """

    size: int = 224
    patch: int = 14
    width: int = 1024
    layers: int = 24
    heads: int = 16
    feedforward: int = 4096
    activation: str = "quick_gelu"
    projection: int = 768

    def __post_init__(self) -> None:
        check_layer(self.width, self.heads, self.activation)
        if self.patch < 1 or self.size % self.patch:
            raise ValueError(f"pictures of {self.size} pixels do not divide into patches of {self.patch}")


class ClipImage(nn.Module):
    """Pictures to features in the space shared with texts."""

    def __init__(self, config: ClipImageConfig):
        super().__init__()
        self.config = config
        self.patches = nn.Conv2d(3, config.width, config.patch, stride=config.patch, bias=False)
        self.first = nn.Parameter(torch.empty(config.width))  # the class token
        self.position_embedding = nn.Embedding((config.size // config.patch) ** 2 + 1, config.width)
        nn.init.normal_(self.first, std=config.width**-0.5)  # as in the code published with the paper
        nn.init.normal_(self.position_embedding.weight, std=config.width**-0.5)
        self.norm_in = nn.LayerNorm(config.width, EPS)
        self.layers = nn.ModuleList(
            ClipLayer(config.width, config.heads, config.feedforward, config.activation) for _ in range(config.layers)
        )
        self.norm_out = nn.LayerNorm(config.width, EPS)
        self.project = nn.Linear(config.width, config.projection, bias=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Features (n p), not normalised, of pictures (n 3 size size) that went through `normalised`."""
        x = self.patches(pixels).flatten(2).transpose(1, 2)  # n l-1 d
        x = torch.cat([self.first.expand(len(x), 1, -1), x], dim=1) + self.position_embedding.weight  # n l d
        x = self.norm_in(x)
        for layer in self.layers:
            x = layer(x)
        feature: Tensor = self.project(self.norm_out(x[:, 0]))
        return feature


def normalised(image: Tensor) -> Tensor:
    """Pictures (n 3 h w, -1 to 1) with CLIP's mean taken off each colour, divided by its standard deviation."""
    mean, deviation = (image.new_tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
    return ((image + 1) / 2 - mean) / deviation
