"""Training of the latent diffusion model: noise a latent, ask the U-Net what was done, with the caption in view."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
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


class Sample(NamedTuple):
    """What a step learns from: latents in the U-Net's units, and what the U-Net sees of them beside noise and words."""

    z: Tensor  # n c h w
    beside: Tensor | None = None  # n b h w
    label: Tensor | None = None  # n

    def rows(self, numbers: slice) -> "Sample":
        """Some of it."""
        return Sample(*(None if part is None else part[numbers] for part in self))  # type: ignore[arg-type]


class DiffusionTraining:
    """Ho et al. 2020, algorithm 1, on latents (Rombach et al. 2022), eps or v prediction (Salimans & Ho 2022, appendix D).

    model: a folder whose autoencoder, text tower and tokenizer are trained; its U-Net is replaced. latents: of the pool's
    pictures, as `encode_pool` makes them.
    """

    name = "diffusion"
    channels_beside, class_labels = 0, 0

    def __init__(self, settings: DiffusionSettings, pool: Pool, model: Model, latents: Tensor, captions: Captions):
        self.settings, self.pool, self.model, self.latents, self.captions = settings, pool, model, latents, captions
        self.scale = model.autoencoder.config.scale
        text = model.text.config
        self.config = UNetConfig(
            in_channels=latents.shape[1] // 2 + self.channels_beside,
            out_channels=latents.shape[1] // 2,
            channels=settings.channels,
            blocks=settings.blocks,
            attention=settings.attention,
            context_width=text.width,
            heads=settings.heads,
            norm_groups=settings.norm_groups,
            sample_size=latents.shape[2],
            class_labels=self.class_labels,
        )
        torch.manual_seed(settings.optimiser.seed)
        unet = UNet(self.config)
        still(unet)
        nn.init.zeros_(unet.conv_out.weight)
        self.module = channels_last(unet)
        shown = pool.showing(settings.only)
        shown += (settings.painted - 1) * [i for i in shown if pool.scene(i).things[0].colour]
        self.shown = torch.tensor(shown, device=latents.device)
        self.alphas = torch.tensor(model.schedule.alphas_cumprod(), dtype=torch.float32, device=latents.device)

    def loss(self, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error of the prediction; timesteps are spread evenly over the batch, which calms the gradient."""
        device, steps = generator.device, self.model.schedule.steps
        indices = self.shown[torch.randint(len(self.shown), (batch,), generator=generator, device=device).to(self.shown.device)]
        ids = self.captions.ids(indices, generator, self.settings.drop_caption)
        cells = torch.randperm(batch, generator=generator, device=device) + torch.rand(batch, generator=generator, device=device)
        t = (shifted(cells / batch, self.settings.shift) * steps).long().clamp(max=steps - 1)
        sample = self.sample(indices, generator)
        noise = torch.randn(sample.z.shape, generator=generator, device=device)
        error = self.errors(self.module, sample, noise, t, self.states(ids))  # n
        if self.settings.snr_gamma:
            error = error * snr_weight(self.alphas[t], self.settings)
        return error.mean(), {}

    def errors(self, unet: UNet, sample: Sample, noise: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """Squared error of the prediction for each picture (n)."""
        a = self.alphas[t][:, None, None, None]
        x = a.sqrt() * sample.z + (1 - a).sqrt() * noise
        target = a.sqrt() * noise - (1 - a).sqrt() * sample.z if self.settings.prediction == "v_prediction" else noise
        seen = x if sample.beside is None else torch.cat([x, sample.beside], 1)
        label = () if sample.label is None else (sample.label,)
        predicted = unet(seen.contiguous(memory_format=torch.channels_last), t, context, *label)
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

    def sample(self, indices: Tensor, generator: torch.Generator) -> Sample:
        """What to learn from for these pictures; models that see more than noise and words add it here."""
        return Sample(self.sample_latents(indices, generator))

    def sample_latents(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Draws from the autoencoder's posterior, in the U-Net's units (n c h w)."""
        mean, std = self.latents[indices.to(self.latents.device)].float().chunk(2, 1)
        noise = torch.randn(mean.shape, generator=generator, device=generator.device)
        return (mean + std * noise.to(mean.device)) * self.scale

    def sheet(self, module: UNet, folder: Path, step: int) -> dict[str, float]:
        """Pictures of held-out captions, the loss at three timesteps, and what a wrong caption costs there (text gain)."""
        generator = torch.Generator().manual_seed(1)
        indices = self.watched()
        captions = self.pool.captions(indices, generator)
        sample = self.sample(indices, generator)
        noise = torch.randn(sample.z.shape, generator=generator).to(sample.z.device)
        figures: dict[str, float] = {}
        with torch.inference_mode():
            states = self.states(token_ids(self.model.tokenizer, captions).to(noise.device))
            for t in WATCHED:
                steps = torch.full((len(indices),), t, device=noise.device)
                right = self.errors(module, sample, noise, steps, states).mean().item()
                wrong = self.errors(module, sample, noise, steps, states.roll(-1, 0)).mean().item()
                figures |= {f"loss_{t}": right, f"gain_{t}": wrong - right}
        first = slice(24)
        images = self.drawn(module, states[first], sample.rows(first), captions[first])
        save_sheet(images, folder / f"sheet-{step:06d}.png", columns=8, captions=captions[first])
        return figures

    def watched(self) -> Tensor:
        """Numbers of held-out pictures."""
        return self.pool.held_out(64, self.settings.only)

    def drawn(self, module: UNet, states: Tensor, sample: Sample, captions: list[str]) -> Sequence[Image.Image]:
        """Pictures of the captions, whose states (n l d) are known."""
        pipe = Pipeline(Model(**{**vars(self.model), "unet": module}))
        return pipe(captions, seed=1, steps=12, scale=3.0).images


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
