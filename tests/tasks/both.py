"""A small random model of each kind, twice: as our networks for the driver, and as the parts of diffusers' pipelines."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import diffusers
import torch
from torch import Tensor

from kakusan.formats.model import Model
from kakusan.models.autoencoder import AutoencoderConfig
from kakusan.models.clip_text import ClipText, ClipTextConfig
from kakusan.models.unet import UNetConfig
from kakusan.pipeline import Pipeline
from kakusan.prompts.tokenizer import Tokenizer, byte_tokens
from kakusan.schedules import NoiseSchedule, sigmas_for
from kakusan.tasks.conditions import of_tokens
from kakusan.tasks.drawing import Drawing
from models.peers import autoencoders, unets

TEXT = ClipTextConfig(vocab=514, width=24, layers=1, heads=2, positions=8, feedforward=24, end_token=513)
IDS, NEGATIVE = (512, 5, 9, 7, 513, 513, 513, 513), (512, 513, 513, 513, 513, 513, 513, 513)
STEPS, SCALE = 6, 3.0


@dataclass
class Both:
    """networks: ours, for `kakusan.run`; parts: what diffusers' pipelines of this kind are made of; texts: prompt and negative."""

    networks: Mapping[str, Callable[..., Tensor]]
    parts: dict[str, Any]
    texts: dict[str, Tensor]
    model: Model

    def how(self, sampler: str = "ddim", steps: int = STEPS, strength: float = 1.0) -> Drawing:
        levels = sigmas_for(self.model.schedule, "leading", steps)
        levels = (*levels[:-1], self.model.schedule.sigma_final)
        return Drawing(of_tokens(IDS, NEGATIVE), sampler, levels[steps - min(int(steps * strength), steps) :], SCALE)


def both(beside: int, factor_levels: int = 3, labels: int = 0, out: int = 4) -> Both:
    """beside: channels the U-Net sees besides the latent's; factor_levels: of the autoencoder; labels: noise levels it knows."""
    torch.manual_seed(0)
    shape = UNetConfig(out + beside, out, (32, 64), 1, (True, False), TEXT.width, heads=2, norm_groups=16, sample_size=8)
    unet, their_unet = unets(replace(shape, class_labels=labels))
    sizes = (16, 32, 32, 32)[:factor_levels]
    autoencoder, their_autoencoder = autoencoders(
        AutoencoderConfig(channels=sizes, blocks=1, norm_groups=8, sample_size=16, scale=0.08333 if labels else 0.5)
    )
    tokens = [*byte_tokens(), *(f"{token}</w>" for token in byte_tokens()), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = Tokenizer({token: i for i, token in enumerate(tokens)}, [], pad=513)
    model = Model(unet, autoencoder, ClipText(TEXT), tokenizer, NoiseSchedule())
    for network in (unet, autoencoder, model.text):
        network.eval()
    scheduler = diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    parts = {"unet": their_unet.eval(), "vae": their_autoencoder.eval(), "text_encoder": None, "tokenizer": None, "scheduler": scheduler}
    with torch.no_grad():
        states = model.text(torch.tensor([IDS, NEGATIVE]))
    return Both(Pipeline(model).networks, parts, {"prompt_embeds": states[:1], "negative_prompt_embeds": states[1:]}, model)


def relative(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, in standard deviations of what it should be."""
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.std())


def quiet(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    return pipe
