"""Training of the latent diffusion model: noise a latent, ask the U-Net what was done, with the caption in view."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..formats.model import Model
from ..models.unet import UNet, UNetConfig
from ..pipeline import Pipeline
from ..schedules import NoiseSchedule
from .captions import Captions, padded, token_ids
from .loop import channels_last, still
from .pool import Pool
from .settings import DiffusionSettings
from .sheets import save_sheet

WATCHED = (900, 600, 300)  # timesteps at which the log shows the loss: layout, shape, detail


class DiffusionTraining:
    """Ho et al. 2020, algorithm 1, on latents (Rombach et al. 2022), eps or v prediction (Salimans & Ho 2022, appendix D).

    model: a folder whose autoencoder, text tower and tokenizer are trained; its U-Net is replaced.
    """

    name = "diffusion"

    def __init__(self, settings: DiffusionSettings, pool: Pool, model: Model, latents: Tensor, captions: Captions):
        self.settings, self.pool, self.model, self.latents, self.captions = settings, pool, model, latents, captions
        self.scale = model.autoencoder.config.scale
        text = model.text.config
        self.config = UNetConfig(
            in_channels=latents.shape[1] // 2,
            out_channels=latents.shape[1] // 2,
            channels=settings.channels,
            blocks=settings.blocks,
            attention=settings.attention,
            context_width=text.width,
            heads=settings.heads,
            norm_groups=settings.norm_groups,
            sample_size=latents.shape[2],
        )
        torch.manual_seed(settings.optimiser.seed)
        unet = UNet(self.config)
        still(unet)
        nn.init.zeros_(unet.conv_out.weight)
        self.module = channels_last(unet)
        self.shown = torch.tensor(pool.showing(settings.only), device=latents.device)
        self.alphas = torch.tensor(model.schedule.alphas_cumprod(), dtype=torch.float32, device=latents.device)

    def loss(self, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error of the prediction; timesteps are spread evenly over the batch, which calms the gradient."""
        device, steps = generator.device, self.model.schedule.steps
        indices = self.shown[torch.randint(len(self.shown), (batch,), generator=generator, device=device).to(self.shown.device)]
        ids = self.captions.ids(indices, generator, self.settings.drop_caption)
        cells = torch.randperm(batch, generator=generator, device=device) + torch.rand(batch, generator=generator, device=device)
        t = (shifted(cells / batch, self.settings.shift) * steps).long().clamp(max=steps - 1)
        z = self.sample_latents(indices, generator)
        noise = torch.randn(z.shape, generator=generator, device=device)
        error = self.errors(self.module, z, noise, t, self.states(ids))  # n
        if self.settings.snr_gamma:
            error = error * snr_weight(self.alphas[t], self.settings)
        return error.mean(), {}

    def errors(self, unet: UNet, z: Tensor, noise: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """Squared error of the prediction for each picture (n)."""
        a = self.alphas[t][:, None, None, None]
        x = a.sqrt() * z + (1 - a).sqrt() * noise
        target = a.sqrt() * noise - (1 - a).sqrt() * z if self.settings.prediction == "v_prediction" else noise
        predicted = unet(x.contiguous(memory_format=torch.channels_last), t, context)
        error: Tensor = ((predicted - target) ** 2).mean((1, 2, 3))
        return error

    def states(self, ids: Tensor) -> Tensor:
        """The frozen tower's view of captions (n l d), filled up to the full length. A CPU reads each distinct caption once."""
        ids = padded(ids, self.model.tokenizer)
        rows: list[int] | slice = slice(None)
        if ids.device.type == "cpu":
            all_ids = [tuple(row) for row in ids.tolist()]
            place = {row: i for i, row in enumerate(dict.fromkeys(all_ids))}
            ids, rows = torch.tensor(list(place)), [place[row] for row in all_ids]
        with torch.no_grad():
            states: Tensor = self.model.text(ids)
        return states[rows]

    def sample_latents(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Draws from the autoencoder's posterior, in the U-Net's units (n c h w)."""
        mean, std = self.latents[indices.to(self.latents.device)].float().chunk(2, 1)
        noise = torch.randn(mean.shape, generator=generator, device=generator.device)
        return (mean + std * noise.to(mean.device)) * self.scale

    def sheet(self, module: UNet, folder: Path, step: int) -> dict[str, float]:
        """Pictures of held-out captions, the loss at three timesteps, and what a wrong caption costs there (text gain)."""
        generator = torch.Generator().manual_seed(1)
        indices = self.pool.held_out(64, self.settings.only)
        captions = self.pool.captions(indices, generator)
        z = self.sample_latents(indices, generator)
        noise = torch.randn(z.shape, generator=generator).to(z.device)
        figures: dict[str, float] = {}
        with torch.inference_mode():
            states = self.states(token_ids(self.model.tokenizer, captions).to(z.device))
            for t in WATCHED:
                steps = torch.full((len(indices),), t, device=z.device)
                right = self.errors(module, z, noise, steps, states).mean().item()
                wrong = self.errors(module, z, noise, steps, states.roll(-1, 0)).mean().item()
                figures |= {f"loss_{t}": right, f"gain_{t}": wrong - right}
        pipe = Pipeline(Model(**{**vars(self.model), "unet": module}))
        images = pipe(captions[:24], seed=1, steps=12, scale=3.0).images
        save_sheet(images, folder / f"sheet-{step:06d}.png", columns=8, captions=captions[:24])
        return figures


def shifted(u: Tensor, shift: float) -> Tensor:
    """Even numbers in 0..1 moved towards 1: s u / (1 + (s - 1) u); their median is s / (1 + s).

    Larger latents need more noise to hide the same thing (Hoogeboom et al. 2023, section 3.1); the form is that of Esser et al.
    2024, equation 23, https://arxiv.org/abs/2403.03206.
    """
    return shift * u / (1 + (shift - 1) * u)


def snr_weight(alphas: Tensor, settings: DiffusionSettings) -> Tensor:
    """min(SNR, gamma), divided so that it weighs the prediction in use (Hang et al. 2023, https://arxiv.org/abs/2303.09556)."""
    snr = alphas / (1 - alphas)
    capped = snr.clamp(max=settings.snr_gamma)
    return capped / (snr + 1) if settings.prediction == "v_prediction" else capped / snr


def encode_pool(model: Model, pool: Pool, path: Path) -> Tensor:
    """Mean and standard deviation of every picture's latent (n 2c h w, float16), made once, on the pool's device.

    On a CPU they stay on the disk, mapped into memory.
    """
    if not path.exists():
        parts = []
        with torch.inference_mode():
            for chunk in torch.split(torch.arange(len(pool.images)), 256):
                mean, logvar = model.autoencoder.encode(pool.batch(chunk).contiguous(memory_format=torch.channels_last))
                parts.append(torch.cat([mean, torch.exp(0.5 * logvar)], 1).half().cpu())
        fresh = path.with_suffix(".new.npy")
        np.save(fresh, torch.cat(parts).numpy())
        fresh.replace(path)
    return torch.from_numpy(np.load(path, mmap_mode="c")).to(pool.device)


def schedule_of(settings: DiffusionSettings) -> NoiseSchedule:
    """Stable Diffusion's own betas, with the prediction that is trained."""
    return NoiseSchedule(prediction=settings.prediction)
