"""Training of the KL autoencoder: reconstruction, edges, and a light pull towards a standard normal latent."""

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.autoencoder import Autoencoder, AutoencoderConfig
from .loop import channels_last, still
from .pool import Pool
from .settings import AutoencoderSettings
from .sheets import save_sheet


class AutoencoderTraining:
    """Rombach et al. 2022, section 3.1, without the adversarial term: on flat drawings L1 and edges give no blur worth a critic."""

    name = "autoencoder"

    def __init__(self, settings: AutoencoderSettings, pool: Pool):
        self.settings, self.pool = settings, pool
        self.config = AutoencoderConfig(
            latent_channels=settings.latent_channels,
            channels=settings.channels,
            blocks=settings.blocks,
            norm_groups=settings.norm_groups,
            sample_size=pool.stream.size,
        )
        torch.manual_seed(settings.optimiser.seed)
        autoencoder = Autoencoder(self.config)
        still(autoencoder)
        self.module = channels_last(autoencoder)

    def loss(self, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Negative log-likelihood under a Laplace distribution, its edges, and the KL divergence, all per number."""
        device = generator.device
        indices = torch.randint(self.pool.count, (batch,), generator=generator, device=device)
        x = self.pictures(indices, generator).contiguous(memory_format=torch.channels_last)
        mean, logvar = self.encode(x)
        noise = torch.randn(mean.shape, generator=generator, device=device)
        y = self.module.decode(mean + torch.exp(0.5 * logvar) * noise)
        error = F.l1_loss(y, x) + 0.5 * F.mse_loss(y, x) + self.settings.edges * edge_loss(y, x)
        kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
        return error + self.settings.kl * kl, {"kl": kl.detach()}

    def pictures(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Pictures by number, as this training wants to see them."""
        return self.pool.batch(indices)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latents."""
        return self.module.encode(x)

    def sheet(self, module: Autoencoder, folder: Path, step: int) -> dict[str, float]:
        """Held-out pictures above their reconstructions; peak signal-to-noise ratio in dB."""
        x = self.pictures(self.pool.held_out(128), torch.Generator(self.pool.device).manual_seed(1))
        y = reconstruct(module, x)
        save_sheet(torch.cat([x[:16], y[:16]]), folder / f"sheet-{step:06d}.png", columns=16)
        return {"psnr": psnr(y, x)}


class DecoderTraining(AutoencoderTraining):
    """Goes on with the decoder alone: latents stay as they are, so a diffusion model trained on them stays right."""

    name = "decoder"

    def __init__(self, settings: AutoencoderSettings, pool: Pool, trained: Autoencoder):
        super().__init__(settings, pool)
        self.module.load_state_dict(trained.state_dict())
        for part in (self.module.encoder, self.module.moments):
            part.requires_grad_(False)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The same, without gradients."""
        with torch.no_grad():
            return self.module.encode(x)


def reconstruct(autoencoder: Autoencoder, x: Tensor) -> Tensor:
    """Decode the mean of the encoding, 32 pictures at a time."""
    with torch.inference_mode():
        parts = [autoencoder.decode(autoencoder.encode(part)[0]) for part in torch.split(x, 32)]
    return torch.cat(parts).clamp(-1, 1)


def psnr(y: Tensor, x: Tensor) -> float:
    """Peak signal-to-noise ratio in dB, of pictures in -1 to 1: the mean over all pictures' squared errors."""
    return -10 * math.log10(F.mse_loss(y, x).item() / 4)


def edge_loss(y: Tensor, x: Tensor) -> Tensor:
    """L1 distance of horizontal and vertical differences: what the eye calls sharpness."""
    across = F.l1_loss(y[..., 1:] - y[..., :-1], x[..., 1:] - x[..., :-1])
    return across + F.l1_loss(y[..., 1:, :] - y[..., :-1, :], x[..., 1:, :] - x[..., :-1, :])
