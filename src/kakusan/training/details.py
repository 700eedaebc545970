"""The upscaler's autoencoder: it learns from small squares cut out of large pictures."""

import torch
from torch import Tensor

from .autoencoder import AutoencoderTraining
from .pool import Pool
from .settings import AutoencoderSettings

FACTOR = 4  # of the upscaler, and of its autoencoder


class DetailTraining(AutoencoderTraining):
    """An autoencoder of factor 4, trained on squares of `crop` pixels; being made of convolutions, it takes whole pictures later."""

    name = "details"

    def __init__(self, settings: AutoencoderSettings, pool: Pool, crop: int):
        super().__init__(settings, pool)
        self.crop = crop

    def pictures(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """A square out of each picture (n 3 crop crop)."""
        corners = self.corners(len(indices), generator)
        return cut(self.pool, indices, FACTOR * corners, self.crop)

    def corners(self, count: int, generator: torch.Generator) -> Tensor:
        """Upper left corners (n 2: row, column) of squares, in pixels of the small picture."""
        room = (self.pool.stream.size - self.crop) // FACTOR + 1
        return torch.randint(room, (count, 2), generator=generator, device=generator.device)


def cut(pool: Pool, indices: Tensor, corners: Tensor, side: int) -> Tensor:
    """Squares (n 3 side side, -1 to 1) out of a pool's pictures, without reading the rest of them."""
    squares = [
        pool.images[index, :, row : row + side, column : column + side]
        for index, (row, column) in zip(indices.tolist(), corners.tolist(), strict=True)
    ]
    return torch.stack(squares).float() / 127.5 - 1
