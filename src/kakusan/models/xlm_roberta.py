"""XLM-RoBERTa with a linear layer behind it: the text encoder of AltDiffusion, which reads Chinese and English, or nine languages.

Conneau et al. 2020, https://arxiv.org/abs/1911.02116; Chen et al. 2022 (AltCLIP), https://arxiv.org/abs/2211.06679, section 3.
n texts, l tokens, c width inside, d width of a state.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import KakusanError
from .blocks import Attention
from .clip_layer import check_layer
from .clip_text import ClipText, ClipTextConfig, Given


@dataclass(frozen=True)
class XlmRobertaConfig(ClipTextConfig):
    """The shape; the defaults are AltDiffusion's. hidden: width inside; width: of the states that come out.

    kinds: of tokens, of which only the first is used. pad: the padding's id. masked: padding is not looked at. before_last: the
    states are those before the last layer, with a norm and a linear layer of their own (AltDiffusion-m18).
    """

    vocab: int = 250002
    layers: int = 24
    heads: int = 16
    positions: int = 514
    feedforward: int = 4096
    activation: str = "gelu"
    end_token: int = 2
    hidden: int = 1024
    kinds: int = 1
    pad: int = 1
    eps: float = 1e-5
    masked: bool = True
    before_last: bool = False

    def __post_init__(self) -> None:
        check_layer(self.hidden, self.heads, self.activation)


class XlmRoberta(ClipText):
    """In the place of CLIP's text tower: token ids to one state for each token, which knows all the others."""

    config: XlmRobertaConfig

    def __init__(self, config: XlmRobertaConfig):
        nn.Module.__init__(self)  # another network than CLIP's: none of its layers
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab, config.hidden)
        self.position_embedding = nn.Embedding(config.positions, config.hidden)
        self.kind_embedding = nn.Embedding(config.kinds, config.hidden)
        self.norm = nn.LayerNorm(config.hidden, config.eps)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.transform = nn.Linear(config.hidden, config.width)
        self.project = None
        if config.before_last:
            self.transform_before = nn.Linear(config.hidden, config.width)
            self.norm_before = nn.LayerNorm(config.hidden, config.eps)

    def states(self, ids: Tensor, skip: int = 0, seen: Tensor | None = None, given: Given | None = None) -> Tensor:
        """States (n l d) with the last `skip` layers left out; seen: as in `by_layer`. Raises ValueError on impossible shapes."""
        before = int(self.config.before_last)
        last = self.config.layers - before - skip
        if not 0 <= last <= self.config.layers:
            raise ValueError(f"cannot skip {skip} of {self.config.layers} layers")
        x = next(islice(self.by_layer(ids, seen, given), last, None))
        states: Tensor = self.transform_before(self.norm_before(x)) if before else self.transform(x)
        return states

    def by_layer(self, ids: Tensor, seen: Tensor | None = None, given: Given | None = None) -> Iterator[Tensor]:
        """States (n l c) before the first layer and after each.

        seen: which tokens (n l, true or false) the others may look at; unless given, all but the padding.
        Raises KakusanError on embeddings of textual inversion, which are CLIP's.
        """
        if given is not None:
            raise KakusanError(
                "this model's text encoder is XLM-RoBERTa; words learnt for CLIP do not fit it",
                "このモデルのテキストエンコーダーは XLM-RoBERTa です。CLIP 用に学習したことばは使えません",
            )
        words = ids != self.config.pad  # n l
        place = words.cumsum(dim=1) * words + self.config.pad  # counted from behind the padding's id, which padding keeps
        if ids.shape[1] + self.config.pad >= self.config.positions:
            raise ValueError(f"{ids.shape[1]} tokens are more than this text encoder has places for ({self.config.positions})")
        x = self.token_embedding(ids) + self.position_embedding(place) + self.kind_embedding.weight[0]
        x = self.norm(x)  # n l c
        yield x
        for layer in self.layers:
            x = layer(x, seen=words if seen is None and self.config.masked else seen)
            yield x


class Layer(nn.Module):
    """Self-attention and a feed-forward layer, the norm after each sum (Vaswani et al. 2017, section 3.1)."""

    def __init__(self, config: XlmRobertaConfig):
        super().__init__()
        self.attn = Attention(config.hidden, config.hidden, config.heads, bias=True)
        self.norm1 = nn.LayerNorm(config.hidden, config.eps)
        self.ff_in = nn.Linear(config.hidden, config.feedforward)
        self.ff_out = nn.Linear(config.feedforward, config.hidden)
        self.norm2 = nn.LayerNorm(config.hidden, config.eps)

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """States (n l c) that have seen one another; seen: only those marked (n l)."""
        x = self.norm1(x + self.attn(x, seen=seen))
        x = self.norm2(x + self.ff_out(F.gelu(self.ff_in(x))))
        return x
