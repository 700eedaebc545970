"""Training of a U-Net that also sees a mask and the latent of the picture without what the mask hides.

n pictures, c channels and h w height and width of a latent, s side of a picture.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..data.pictures import Chance
from ..formats.model import Model
from ..images import to_pil
from ..models.unet import UNet
from .captions import Captions
from .diffusion import DiffusionTraining, Sample
from .drawn import drawn
from .masks import mask
from .pool import CHUNK, Pool
from .settings import DiffusionSettings


class InpaintingTraining(DiffusionTraining):
    """Mask and masked latent beside the noisy one, in the order that Stable Diffusion's inpainting models have them.

    https://github.com/CompVis/latent-diffusion and runwayml's stable-diffusion-inpainting: 4 + 1 + 4 channels.
    folder: where the masked latents are kept.
    """

    name = "inpainting"
    channels_beside = 5

    def __init__(self, settings: DiffusionSettings, pool: Pool, model: Model, latents: Tensor, captions: Captions, folder: Path):
        super().__init__(settings, pool, model, latents, captions)
        numbers = torch.cat([torch.unique(self.shown.cpu()), self.watched()])
        self.masked = masked_latents(model, pool, numbers, folder / "masked.npy").to(latents.device)  # n 5 h w
        self.row = torch.full((len(pool.images),), -1, device=latents.device)
        self.row[numbers.to(latents.device)] = torch.arange(len(numbers), device=latents.device)

    def sample(self, indices: Tensor, generator: torch.Generator) -> Sample:
        """Latents, and beside them each picture's mask with what it leaves."""
        sample = super().sample(indices, generator)
        beside = self.masked[self.row[indices.to(self.row.device)]].float()
        return sample._replace(beside=torch.cat([beside[:, :1], beside[:, 1:] * self.scale], 1))

    def drawn(self, module: UNet, states: Tensor, sample: Sample, captions: list[str]) -> Sequence[Image.Image]:
        """Each picture as the model completes it."""
        return [to_pil(image) for image in drawn(self.model, module, states, sample, steps=12)]


def masked_latents(model: Model, pool: Pool, numbers: Tensor, path: Path) -> Tensor:
    """A mask of each picture (n 1 h w, 1 where hidden) and the mean latent, not scaled, of what it leaves (n 4 h w), as one float16 array.

    Made once: the mask belongs to the picture's number.
    """
    if not path.exists():
        parts = [masked_part(model, pool, chunk) for chunk in torch.split(numbers, CHUNK)]
        fresh = path.with_suffix(".new.npy")
        np.save(fresh, torch.cat(parts).numpy())
        fresh.replace(path)
    return torch.from_numpy(np.load(path, mmap_mode="c"))


def masked_part(model: Model, pool: Pool, numbers: Tensor) -> Tensor:
    """The same for some pictures."""
    covers = pool.pictures.render([pool.scene(i) for i in numbers.tolist()], pool.stream.size).masks.sum(1).clamp(0, 1)  # n s s
    chances = [Chance(pool.stream.seed + (3 << 32), i) for i in numbers.tolist()]
    masks = torch.stack([mask(cover, chance) for cover, chance in zip(covers, chances, strict=True)])[:, None]  # n 1 s s
    return beside(model, pool.batch(numbers), masks.to(pool.device)).half().cpu()


def beside(model: Model, pictures: Tensor, masks: Tensor) -> Tensor:
    """Mask and latent (n 1+c h w) of pictures (n 3 s s) whose hidden part, where masks (n 1 s s) are 1, is gray."""
    left = torch.where(masks > 0.5, torch.zeros_like(pictures), pictures).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        means = torch.cat([model.autoencoder.encode(part)[0] for part in torch.split(left, 64)])
    return torch.cat([F.interpolate(masks, size=means.shape[-2:]), means], 1)
