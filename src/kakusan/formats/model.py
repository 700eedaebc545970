"""A whole model, out of whatever file or folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import nn

from ..models.autoencoder import Autoencoder
from ..models.clip_image import ClipImage
from ..models.clip_text import ClipText
from ..models.unet import UNet
from ..prompts.sentencepieces import SentencePieces
from ..prompts.tokenizer import Tokenizer
from ..schedules import NoiseSchedule

Family = Literal["sd1", "sd2", "sd_x4", "other"]
Variant = Literal["", "inpainting", "depth", "upscaling"]

WIDTHS: dict[int, Family] = {768: "sd1", 1024: "sd2"}
CLIP_TOKENS = 49408


@dataclass
class Model:
    """The networks of one text-to-image model, and what has to be known to use them.

    variant: what the U-Net sees beside the noisy latent: nothing, mask and masked latent (1 + 4 channels), depth (1), or the small
    picture (3). low_noise: how the x4 upscaler's small picture is noised. settings: what is kept in kakusan.json.
    notes: what was found out about the file rather than read in it, one line each, in the user's language. path: the folder it was
    read from, where what is no part of a Model may lie: a safety checker, say. depth: inverse depth of a picture, for depth models;
    its `config.size` is the height and width of the pictures it was trained on.
    """

    unet: UNet
    autoencoder: Autoencoder
    text: ClipText
    tokenizer: Tokenizer
    schedule: NoiseSchedule
    image: ClipImage | None = None
    card: str = ""
    name: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    low_noise: NoiseSchedule | None = None
    notes: list[str] = field(default_factory=list)
    path: Path | None = None
    depth: nn.Module | None = None

    @property
    def family(self) -> Family:
        """Which published models this one is built as: by the width of its text states, or in other sizes by the kind of its text tower.

        "other" if its text tower does not even know CLIP's tokens.
        """
        if self.variant == "upscaling":
            return "sd_x4"
        if self.unet.config.context_width in WIDTHS:
            return WIDTHS[self.unet.config.context_width]
        if self.text.config.vocab != CLIP_TOKENS:
            return "other"
        return "sd2" if self.text.config.activation == "gelu" else "sd1"

    @property
    def takes_japanese(self) -> bool:
        """Whether its text encoder reads Japanese as it stands, as far as its tokenizer tells: rinna's, or XLM-RoBERTa's."""
        return isinstance(self.tokenizer, SentencePieces)

    @property
    def variant(self) -> Variant:
        """What the U-Net sees beside the noisy latent."""
        beside = self.unet.config.in_channels - self.unet.config.out_channels
        return {5: "inpainting", 1: "depth", 3: "upscaling"}.get(beside, "")  # type: ignore[return-value]
