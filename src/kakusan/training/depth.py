"""Training for depth: a small network that tells depth from a picture, and a U-Net that sees depth beside the latent.

n pictures, h w height and width of a latent, s side of a picture.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..data.pictures import Pictures
from ..formats.model import Model
from ..images import to_pil
from ..models.dpt import Dpt, DptConfig
from ..models.unet import UNet
from ..tasks.depth2img import shown
from .autoencoder import edge_loss
from .captions import Captions
from .diffusion import DiffusionTraining, Sample
from .drawn import drawn
from .loop import channels_last
from .pool import Pool
from .settings import DiffusionSettings, EstimatorSettings
from .sheets import save_sheet

HELD_OUT = 9_000_000  # scenes from here on are for judging
FARTHEST, NEAREST = 1.0, 3.0  # what the network says for depths 0 and 1: well above 0, where its last ReLU has no gradient


class EstimatorTraining:
    """A depth network of the DPT-hybrid's form (Ranftl et al. 2021), tiny, taught by the exact depth of the generator's scenes.

    pictures: of a world with landscapes and several things in a picture.
    """

    name = "estimator"

    def __init__(self, settings: EstimatorSettings, pictures: Pictures, size: int):
        self.settings, self.pictures, self.size = settings, pictures, size
        torch.manual_seed(settings.optimiser.seed)
        network = Dpt(estimator_shape(settings, size))
        last = network.head_out.state_dict()  # it begins in the middle of what it is to say
        last["weight"].mul_(0.05)
        last["bias"].fill_(NEAREST / 2)
        self.module = channels_last(network)

    def loss(self, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Distance of the depths and of their edges."""
        numbers = torch.randint(HELD_OUT, (batch,), generator=generator, device=generator.device).tolist()
        image, depth = self.batch(numbers)
        found, wanted = self.module(image)[:, None], FARTHEST + (NEAREST - FARTHEST) * depth
        return F.l1_loss(found, wanted) + self.settings.edges * edge_loss(found, wanted), {}

    def batch(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Pictures (n 3 s s) and their depth (n 1 s s)."""
        rendered = self.pictures.render([self.pictures.spec(number) for number in numbers], self.size)
        return rendered.image.contiguous(memory_format=torch.channels_last), rendered.depth[:, None]

    def sheet(self, module: Dpt, folder: Path, step: int) -> dict[str, float]:
        """Held-out pictures, what was found, and what is right; how well the order of depths is kept."""
        image, depth = self.batch(range(HELD_OUT, HELD_OUT + 128))
        with torch.inference_mode():
            found = module(image)[:, None]
        seen = ((found - FARTHEST) / (NEAREST - FARTHEST)).clamp(0, 1)
        rows = [part[:16].expand(-1, 3, -1, -1) * 2 - 1 for part in (seen, depth)]
        save_sheet(torch.cat([image[:16], *rows]), folder / f"sheet-{step:06d}.png", columns=16)
        return {"rank": rank_correlation(found[:, 0], depth[:, 0]).mean().item()}


def estimator_shape(settings: EstimatorSettings, size: int) -> DptConfig:
    """The network that the settings describe, for pictures of `size` pixels."""
    return DptConfig(
        size=size,
        stem=settings.stem,
        stages=settings.stages,
        blocks=settings.blocks,
        norm_groups=settings.norm_groups,
        width=settings.width,
        layers=settings.layers,
        heads=settings.heads,
        feedforward=settings.feedforward,
        taps=settings.taps,
        fusion=settings.fusion,
    )


class DepthTraining(DiffusionTraining):
    """Depth beside the noisy latent, as in Stable Diffusion 2's depth model: 4 + 1 channels, -1 for far to 1 for near.

    estimator: its view of a picture is given half of the time, and the generator's exact depth otherwise.
    """

    name = "depth"
    channels_beside = 1

    def __init__(self, settings: DiffusionSettings, pool: Pool, model: Model, latents: Tensor, captions: Captions, estimator: Dpt):
        super().__init__(settings, pool, model, latents, captions)
        self.estimator = estimator

    def sample(self, indices: Tensor, generator: torch.Generator) -> Sample:
        """Latents, and beside them the depth of their pictures."""
        sample = super().sample(indices, generator)
        exact = self.pool.pictures.render([self.pool.scene(i) for i in indices.tolist()], self.pool.stream.size).depth.to(sample.z.device)
        with torch.no_grad():
            found = self.estimator(self.pool.batch(indices).contiguous(memory_format=torch.channels_last))
        seen = torch.rand(len(indices), generator=generator, device=generator.device).to(found.device) < 0.5
        depth = torch.where(seen[:, None, None], found, exact)
        return sample._replace(beside=torch.stack([shown(each, tuple(sample.z.shape[-2:])) for each in depth]))

    def drawn(self, module: UNet, states: Tensor, sample: Sample, captions: list[str]) -> Sequence[Image.Image]:
        """Pictures with the depth of the held-out ones."""
        return [to_pil(image) for image in drawn(self.model, module, states, sample, steps=12)]


def rank_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's, for each row of maps (n h w): 1 where the order of all depths is kept. Equal values share the middle of their ranks."""
    x, y = (torch.stack([ranks(row) for row in maps.flatten(1)]) for maps in (a, b))
    x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    found: Tensor = (x * y).sum(1) / (x.norm(dim=1) * y.norm(dim=1)).clamp_min(1e-9)
    return found


def pairs_in_order(found: Tensor, truth: Tensor) -> Tensor:
    """For each row of maps (n h w): of the pairs of pixels that truly differ in depth, the share whose order `found` keeps, ties half.

    Where the truth has few values, as a thing before a plain ground has two, no map without ties reaches a rank correlation of 1:
    sqrt(3 p (1 - p)) at most, with a share p in front; this share has no such ceiling.
    """
    shares = []
    for a, b in zip(found.flatten(1), truth.flatten(1), strict=True):
        first, second = (torch.randint(len(a), (100_000,), generator=torch.Generator().manual_seed(i)).to(a.device) for i in (0, 1))
        signs = torch.sign(a[first] - a[second]) * torch.sign(b[first] - b[second])
        shares.append(0.5 + 0.5 * signs[b[first] != b[second]].mean())
    return torch.stack(shares)


def ranks(values: Tensor) -> Tensor:
    """The rank of each of some values (n), from 0."""
    _, place, many = torch.unique(values, return_inverse=True, return_counts=True)
    last: Tensor = many.cumsum(0).float()
    middle: Tensor = (last - many + last - 1) / 2
    return middle[place]
