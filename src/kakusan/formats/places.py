"""Where an original single file keeps each tensor of each network."""

from collections.abc import Iterable

from ..models.autoencoder import AutoencoderConfig
from ..models.clip_text import ClipTextConfig
from ..models.dpt import DptConfig
from ..models.unet import UNetConfig
from . import keys_autoencoder, keys_clip, keys_dpt, keys_unet
from .fill import Place, placed
from .keys import FOLDER, SINGLE, renamed
from .source import Under


def unet_places(ours: Iterable[str], config: UNetConfig, prefix: str) -> dict[str, Place]:
    """The U-Net's tensors, as CompVis names them."""
    return placed(renamed(ours, keys_unet.rows(config), SINGLE), prefix)


def autoencoder_places(ours: Iterable[str], config: AutoencoderConfig, part: Under) -> dict[str, Place]:
    """The autoencoder's tensors, as CompVis names them, or as diffusers does and did."""
    if not any(name.startswith("encoder.down_blocks.") for name in part.tensors):
        return placed(renamed(ours, keys_autoencoder.rows(config), SINGLE), part.prefix)
    stored = {keys_autoencoder.modern(name): name for name in part.tensors}
    names = renamed(ours, keys_autoencoder.rows(config), FOLDER)
    return placed({name: stored.get(theirs, theirs) for name, theirs in names.items()}, part.prefix)


def clip_places(ours: Iterable[str], config: ClipTextConfig, part: Under) -> dict[str, Place]:
    """The text tower's tensors, as transformers names them, with or without `text_model.` first."""
    stored = {keys_clip.modern_text(name): name for name in part.tensors}
    names = renamed(ours, keys_clip.text_rows(config), FOLDER)
    return placed({name: stored.get(theirs, theirs) for name, theirs in names.items()}, part.prefix)


def open_clip_places(ours: Iterable[str], config: ClipTextConfig, part: Under) -> dict[str, Place]:
    """The text tower's tensors, as OpenCLIP names them: queries, keys and values are thirds of one."""
    return placed(open_clip_names(ours, config), part.prefix)


def open_clip_names(ours: Iterable[str], config: ClipTextConfig) -> dict[str, str]:
    """OpenCLIP's names, of which three of ours share some."""
    names = renamed(ours, keys_clip.text_rows(config), SINGLE)
    return {name: theirs.replace("in_proj.", "in_proj_") for name, theirs in names.items()}


def dpt_places(ours: Iterable[str], config: DptConfig, prefix: str) -> dict[str, Place]:
    """The depth network's tensors, as MiDaS names them."""
    return placed(renamed(ours, keys_dpt.rows(config), SINGLE), prefix)
