"""CLIP's text tower, the text encoder of Stable Diffusion: OpenAI's ViT-L/14 (SD1), OpenCLIP's ViT-H/14 (SD2) and smaller ones.

Radford et al. 2021, section 2.4. n texts, l tokens, d width of a state, p width of the space shared with pictures.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .clip_layer import EPS, ClipLayer, check_layer


@dataclass(frozen=True)
class ClipTextConfig:
    """The shape of a text tower; the defaults are SD1's.

    positions: the longest text in tokens. activation: "quick_gelu" or "gelu". projection: width of the space shared with
    pictures, None if there is no projection to it. end_token: the id whose state stands for the whole text.
    Raises ValueError on an unknown activation, or if heads do not divide the width.
    """

    vocab: int = 49408
    width: int = 768
    layers: int = 12
    heads: int = 12
    positions: int = 77
    feedforward: int = 3072
    activation: str = "quick_gelu"
    projection: int | None = None
    end_token: int = 49407

    def __post_init__(self) -> None:
        check_layer(self.width, self.heads, self.activation)


class Given(NamedTuple):
    """Token embeddings that are no words of the vocabulary, learnt by textual inversion (Gal et al. 2022).

    https://arxiv.org/abs/2208.01618. places (n l): true where one stands; vectors (n l d): them, anything elsewhere.
    """

    places: Tensor
    vectors: Tensor


class ClipText(nn.Module):
    """Token ids to one state for each token, which knows the tokens before it; and to one feature for the text."""

    def __init__(self, config: ClipTextConfig):
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab, config.width)
        self.position_embedding = nn.Embedding(config.positions, config.width)
        nn.init.normal_(self.token_embedding.weight, std=0.02)  # as in the code published with the paper; torch's 1 would drown the rest
        nn.init.normal_(self.position_embedding.weight, std=0.01)
        self.layers = nn.ModuleList(
            ClipLayer(config.width, config.heads, config.feedforward, config.activation) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width, EPS)
        self.project = nn.Linear(config.width, config.projection, bias=False) if config.projection else None

    def forward(self, ids: Tensor) -> Tensor:
        """States (n l d) of token ids (n l, int64) after the last layer and the final norm."""
        return self.states(ids)

    def states(self, ids: Tensor, skip: int = 0, seen: Tensor | None = None, given: Given | None = None) -> Tensor:
        """States (n l d) with the last `skip` layers left out, after the final norm; seen, given: as in `by_layer`.

        Raises ValueError on impossible shapes.
        """
        layers = self.config.layers
        if not 0 <= skip <= layers:
            raise ValueError(f"cannot skip {skip} of {layers} layers")
        states: Tensor = self.norm(next(islice(self.by_layer(ids, seen, given), layers - skip, None)))
        return states

    def by_layer(self, ids: Tensor, seen: Tensor | None = None, given: Given | None = None) -> Iterator[Tensor]:
        """States (n l d) before the first layer and after each, none of them normed.

        seen: which tokens (n l, true or false) the others may look at; all unless given. given: token embeddings to be used instead of
        the table's. Raises ValueError on too many tokens.
        """
        if ids.shape[1] > self.config.positions:
            raise ValueError(f"{ids.shape[1]} tokens are more than the {self.config.positions} this text tower has places for")
        x = self.token_embedding(ids)  # n l d
        if given is not None:
            x = torch.where(given.places[:, :, None], given.vectors.to(x), x)
        x = x + self.position_embedding(torch.arange(ids.shape[1], device=ids.device))
        yield x
        for layer in self.layers:
            x = layer(x, causal=True, seen=seen)
            yield x

    def embed(self, ids: Tensor) -> Tensor:
        """Features (n p): the states of the first end tokens, projected, not normalised. Raises ValueError without projection."""
        if self.project is None:
            raise ValueError("this text tower has no projection to the space shared with pictures")
        end = ids.eq(self.config.end_token).int().argmax(dim=1)  # n; argmax gives the first of equals
        feature: Tensor = self.project(self.states(ids)[torch.arange(len(ids), device=ids.device), end])
        return feature
