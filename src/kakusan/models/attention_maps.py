"""Where in a picture a U-Net looks at which word: its attention to the text, recorded while it runs, and only then.

n images, h w height and width of the latent, l text tokens, k heads, q pixels of a layer's feature map.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import Attention, SpatialTransformer
from .unet import UNet


class Recording:
    """The attention maps of the U-Net's last run, of the layers on its way up."""

    def __init__(self) -> None:
        self.layers: list[Tensor] = []  # n l h' w' each, the layer's own height and width; over l they add up to 1
        self._size = (0, 0)

    def mean(self, h: int, w: int) -> Tensor:
        """How much each pixel looks at each token, in the mean of all layers (n l h w), 0 to 1.

        Layers are brought to one size by bicubic interpolation and given equal weight, as by Tang et al. 2022, "What the DAAM",
        https://arxiv.org/abs/2210.04885, section 2.2. Raises ValueError if nothing has run.
        """
        if not self.layers:
            raise ValueError("no attention was recorded: the U-Net has not run")
        sums = torch.zeros(())
        for layer in self.layers:
            sums = sums.to(layer.device) + F.interpolate(layer, size=(h, w), mode="bicubic", align_corners=False)
        return (sums / len(self.layers)).clamp(0, 1)

    def begin(self, unet: nn.Module, given: object) -> None:
        """Forget the run before."""
        self.layers.clear()

    def enter(self, transformer: nn.Module, given: tuple[Tensor, ...]) -> None:
        """Take note of the shape of a feature map, which its attention sees as a row of pixels."""
        self._size = (given[0].shape[2], given[0].shape[3])

    def take(self, attention: Attention, given: tuple[Tensor, ...], result: Tensor) -> None:
        """Work out what an attention layer has just done, out of what it was given."""
        probabilities = attended(attention, *given)  # n k q l
        self.layers.append(probabilities.mean(1).transpose(1, 2).reshape(len(result), -1, *self._size))  # n l h' w'


@contextmanager
def recorded(unet: UNet) -> Iterator[Recording]:
    """The recording of whatever `unet` does inside the block; outside it the U-Net is what it was, and as fast.

    Only the way up is recorded: the embedded model's attention on the way down is no better than chance at telling where a word is.
    """
    recording = Recording()
    handles = [unet.register_forward_pre_hook(recording.begin)]
    try:
        for module in unet.up.modules():
            if isinstance(module, SpatialTransformer):
                handles.append(module.register_forward_pre_hook(recording.enter))
                handles.append(module.block.attn2.register_forward_hook(recording.take))
        yield recording
    finally:
        for handle in handles:
            handle.remove()


def attended(attention: Attention, x: Tensor, context: Tensor) -> Tensor:
    """The share (n k q l) of each token of `context` (n l c') in what each pixel of x (n q c) takes, for each head, float32."""
    q, k = (
        y.float().reshape(*y.shape[:2], attention.heads, -1).transpose(1, 2) for y in (attention.to_q(x), attention.to_k(context))
    )  # n k q d, n k l d
    shares: Tensor = (q @ k.transpose(2, 3) / q.shape[3] ** 0.5).softmax(dim=-1)
    return shares
