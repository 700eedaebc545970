"""Training of the x4 upscaler's U-Net: it sees the small picture, a little noised, beside the latent of the large one.

Rombach et al. 2022, section 4.4, in the form of Stable Diffusion's x4 upscaler: 4 + 3 channels, the noise's level as a label.
n pictures, s side of a square of the small picture; the latent is as large.
"""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from ..formats.model import Model
from ..images import to_pil
from ..models.unet import UNet
from ..schedules import NoiseSchedule
from .captions import Captions
from .details import FACTOR, cut
from .diffusion import DiffusionTraining, Sample
from .drawn import drawn
from .pool import Pool
from .settings import UpscalingSettings

LOW_NOISE = NoiseSchedule(beta_start=1e-4, beta_end=2e-2, steps_offset=0, set_alpha_to_one=True)
MOST_NOISE = 350  # the highest level that the small picture is noised to


class UpscalingTraining(DiffusionTraining):
    """Learns from squares cut out of the same pictures, small and four times as large; made of convolutions, it takes whole pictures.

    small, large: pools of one stream; model: with the autoencoder for details.
    """

    name = "upscaling"
    channels_beside, class_labels = 3, 1000

    def __init__(self, settings: UpscalingSettings, small: Pool, large: Pool, model: Model, captions: Captions):
        side = settings.crop // FACTOR
        like = torch.empty(0, 2 * model.autoencoder.config.latent_channels, side, side, device=small.device)
        super().__init__(settings.unet, small, model, like, captions)
        self.large, self.side = large, side
        self.shown = self.shown[self.shown < large.count]
        self.low = torch.tensor(LOW_NOISE.alphas_cumprod(), dtype=torch.float32, device=small.device)

    def sample(self, indices: Tensor, generator: torch.Generator) -> Sample:
        """Latents of squares, the small squares, and how much those are noised: seldom much."""
        count, device = len(indices), generator.device
        room = self.pool.stream.size - self.side + 1
        corners = torch.randint(room, (count, 2), generator=generator, device=device)
        square = cut(self.large, indices, FACTOR * corners, FACTOR * self.side).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            mean, _ = self.model.autoencoder.encode(square)
        low = cut(self.pool, indices, corners, self.side)
        level = (torch.rand(count, generator=generator, device=device) ** 3 * (MOST_NOISE + 1)).long()
        noise = torch.randn(low.shape, generator=generator, device=device)
        a = self.low[level][:, None, None, None]
        return Sample(mean * self.scale, a.sqrt() * low + (1 - a).sqrt() * noise, level)

    def watched(self) -> Tensor:
        """Numbers of held-out pictures."""
        return self.large.held_out(64)

    def drawn(self, module: UNet, states: Tensor, sample: Sample, captions: list[str]) -> Sequence[Image.Image]:
        """The squares, drawn larger."""
        return [to_pil(image) for image in drawn(self.model, module, states, sample, steps=5, scale=1.0, schedule="sgm_uniform")]
