"""Contrastive training of the text and the image tower (Radford et al. 2021, figure 3)."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.clip_image import ClipImage, ClipImageConfig, normalised
from ..models.clip_text import ClipText, ClipTextConfig
from ..prompts.tokenizer import Tokenizer
from .captions import Captions, token_ids
from .pool import Pool
from .settings import ClipSettings


class Towers(nn.Module):
    """Both towers and the temperature of their softmax (as a logarithm, at most log 100)."""

    def __init__(self, text: ClipTextConfig, image: ClipImageConfig):
        super().__init__()
        self.text, self.image = ClipText(text), ClipImage(image)
        self.log_scale = nn.Parameter(torch.tensor(2.6592))

    def forward(self, ids: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors of captions (n p) and pictures (n p)."""
        return F.normalize(self.text.embed(ids), dim=-1), F.normalize(self.image(normalised(pixels)), dim=-1)


class ClipTraining:
    """Trains both towers from nothing.

    Token embeddings start at a standard deviation of `embedding_std`, far above CLIP's 0.02: in so small a tower the words
    would otherwise drown in the position embeddings, and every caption would look the same.
    """

    name = "clip"

    def __init__(self, settings: ClipSettings, pool: Pool, tokenizer: Tokenizer, captions: Captions):
        self.settings, self.pool, self.tokenizer, self.captions = settings, pool, tokenizer, captions
        text = ClipTextConfig(
            vocab=len(tokenizer),
            width=settings.width,
            layers=settings.layers,
            heads=settings.heads,
            feedforward=4 * settings.width,
            projection=settings.projection,
            end_token=tokenizer.end,
        )
        image = ClipImageConfig(
            size=pool.stream.size,
            patch=settings.patch,
            width=settings.image_width,
            layers=settings.image_layers,
            heads=settings.heads,
            feedforward=4 * settings.image_width,
            projection=settings.projection,
        )
        torch.manual_seed(settings.optimiser.seed)
        towers = Towers(text, image)
        nn.init.normal_(towers.text.token_embedding.weight, std=settings.embedding_std)
        self.module = towers

    def loss(self, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Symmetric cross-entropy over the batch's matrix of similarities."""
        device = generator.device
        indices = torch.randint(self.pool.count, (batch,), generator=generator, device=device)
        text, image = self.module(self.captions.ids(indices, generator), self.pool.batch(indices))
        with torch.autocast(device.type, enabled=False):  # 8 bits are too few to tell the best from the second best
            logits = self.module.log_scale.exp().clamp(max=100) * image.float() @ text.float().T
        right = torch.arange(batch, device=device)
        loss = (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2
        return loss, {"accuracy": (logits.argmax(1) == right).float().mean()}

    def sheet(self, module: Towers, folder: Path, step: int) -> dict[str, float]:
        """How often a held-out picture finds its own caption among 128; and the spread of captions (0: all look the same)."""
        indices = self.pool.held_out(128)
        ids = token_ids(self.tokenizer, self.pool.captions(indices, torch.Generator().manual_seed(1)))
        with torch.inference_mode():
            text, image = module(ids.to(self.pool.device), self.pool.batch(indices))
        found = (image @ text.T).argmax(1).cpu() == torch.arange(128)
        return {"found_of_128": found.float().mean().item(), "spread": text.std(0).norm().item()}
