"""Everything that makes one embedded model, in order: pictures, tokenizer, autoencoder, towers, latents, diffusion, folder.

Every stage resumes where it was, and is skipped once it is complete: run the same command again after any interruption.
"""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..formats.folder import write_folder
from ..formats.model import Model
from ..models.autoencoder import Autoencoder
from ..models.unet import UNet
from ..prompts.bpe_training import train as train_tokenizer
from ..prompts.tokenizer import Tokenizer
from ..words import words
from . import checkpoint
from .autoencoder import AutoencoderTraining, DecoderTraining
from .captions import Captions, FreshCaptions, StoredCaptions
from .clip import ClipTraining, Towers
from .diffusion import DiffusionTraining, encode_pool, schedule_of
from .loop import M, Run, Trainee, fit
from .pool import Pool, Stream
from .settings import Optimiser, Recipe

DEFAULTS = {"steps": 20, "sampler": "dpmpp_2m", "schedule": "karras", "scale": 3.0}
STAGES = ("autoencoder", "clip", "diffusion", "decoder")


class Prepared(NamedTuple):
    """A model that lacks its U-Net, the latents of the pool's pictures, and where captions come from."""

    model: Model
    latents: Tensor
    captions: Captions


class Making:
    """One embedded model in the making, in `folder`.

    pack: file of sprites; minutes: of the whole recipe, shared out by its `shares`, instead of each stage's steps;
    stop_after: minutes of this session, from now on; workers: processes that render and caption; start: another run, whose
    averaged weights the stages begin with.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        pack: Path,
        *,
        minutes: float | None = None,
        stop_after: float | None = None,
        device: str = "cpu",
        workers: int = 1,
        start: Path | None = None,
    ):
        self.start = start
        self.recipe, self.folder, self.pack, self.minutes, self.device = recipe, folder, pack, minutes, device
        self.until = None if stop_after is None else time.monotonic() + 60 * stop_after
        folder.mkdir(parents=True, exist_ok=True)
        self.pool = Pool(folder, Stream(str(pack), recipe.world, recipe.seed, recipe.size), recipe.pictures, device, workers)

    def run(self, last: str = "diffusion", now: bool = False) -> Model | None:
        """All stages up to `last`; the finished model, or None if the session's minutes ran out or `last` came first.

        now: take the diffusion stage as its last checkpoint has it, to look at a run that goes on elsewhere.
        """
        prepared = self.prepared(last)
        if prepared is None:
            return None
        model, latents, captions = prepared
        training = DiffusionTraining(self.recipe.diffusion, self.pool, model, latents, captions)
        model.unet = UNet(training.config)  # the sheets need a whole folder
        unet = self.trained(training, self.recipe.diffusion.optimiser, self.recipe.shares[2], now=now)
        if unet is None:
            return None
        decoder = self.decoder(model.autoencoder, now)
        return None if decoder is None else dataclasses.replace(model, unet=unet, autoencoder=decoder)

    def prepared(self, last: str = "diffusion") -> Prepared | None:
        """All that comes before a U-Net; None if the session's minutes ran out or `last` came first."""
        recipe, shares = self.recipe, self.recipe.shares
        autoencoder = self.trained(AutoencoderTraining(recipe.autoencoder, self.pool), recipe.autoencoder.optimiser, shares[0])
        if autoencoder is None or last == "autoencoder":
            return None
        tokenizer = self.tokenizer()
        captions = self.captions(tokenizer)
        towers = self.trained(ClipTraining(recipe.clip, self.pool, tokenizer, captions), recipe.clip.optimiser, shares[1])
        if towers is None or last == "clip":
            return None
        model = self.without_unet(autoencoder, towers, tokenizer)
        return Prepared(model, encode_pool(model, self.pool, self.folder / "latents.npy"), captions)

    def decoder(self, autoencoder: Autoencoder, now: bool) -> Autoencoder | None:
        """The autoencoder with its decoder trained further; as it is, where a recipe has no minutes left for that."""
        if self.recipe.shares[3] == 0 or (now and not (self.folder / "decoder").exists()):
            return autoencoder
        config = autoencoder.config  # holds the measured scale
        training = DecoderTraining(self.recipe.autoencoder, self.pool, autoencoder)
        trained = self.trained(training, self.recipe.decoder, self.recipe.shares[3], now=now)
        if trained is not None:
            trained.config = config
        return trained

    def trained(self, trainee: Trainee[M], settings: Optimiser, share: float, now: bool = False) -> M | None:
        """A stage's EMA weights once it is complete, training as far as the session's minutes go; or as they are now.

        share: of the recipe's minutes.
        """
        if now:
            run = Run(trainee, settings, self.device)
            return run.ema if run.restore(self.folder / trainee.name) else None
        minutes = None if self.minutes is None else self.minutes * share
        left = None if self.until is None else max(0.0, self.until - time.monotonic()) / 60
        folder = self.folder / trainee.name
        start = None if self.start is None else self.start / trainee.name
        module, complete = fit(trainee, settings, folder, minutes=minutes, stop_after=left, device=self.device, start=start)
        return module if complete else None

    def tokenizer(self) -> Tokenizer:
        """The byte-pair table learnt from the pool's captions."""
        folder = self.folder / "tokenizer"
        if not (folder / "vocab.json").exists():
            train_tokenizer(self.pool.texts(), self.recipe.clip.vocab).save(folder)
        return Tokenizer.from_folder(folder)

    def captions(self, tokenizer: Tokenizer) -> Captions:
        """Captions as the recipe wants them: made anew at every use, or so many of each picture beforehand."""
        many, strange = self.recipe.captions, self.recipe.strange
        return StoredCaptions(self.pool, tokenizer, self.folder, many, strange) if many else FreshCaptions(self.pool, tokenizer, strange)

    def without_unet(self, autoencoder: Autoencoder, towers: Towers, tokenizer: Tokenizer) -> Model:
        """The folder as the diffusion stage finds it. The latents' scale is measured: it makes their variance 1."""
        autoencoder.config = dataclasses.replace(autoencoder.config, scale=self.measured_scale(autoencoder))
        return Model(
            unet=None,  # type: ignore[arg-type]
            autoencoder=autoencoder,
            text=towers.text,
            tokenizer=tokenizer,
            schedule=schedule_of(self.recipe.diffusion),
            image=towers.image,
            name=self.recipe.name,
            settings={
                "defaults": DEFAULTS,
                "concepts": list(self.recipe.diffusion.only or self.pool.pictures.world.concepts),
                "words": self.words(),
                "log_scale": towers.log_scale.item(),
            },
        )

    def measured_scale(self, autoencoder: Autoencoder) -> float:
        """One over the standard deviation of latents (Rombach et al. 2022, appendix G), rounded to 5 digits."""
        with torch.inference_mode():
            images = self.pool.batch(torch.arange(min(1024, len(self.pool.images))))
            latents = torch.cat([autoencoder.encode(part)[0] for part in torch.split(images, 64)])
        return round(1 / latents.std().item(), 5)

    def words(self) -> list[str]:
        """Every word of the captions, so that the finished model can say which words it does not know."""
        seen = {word for text in self.pool.texts(6, self.recipe.diffusion.only) for word in words(text)}
        return sorted(seen)


def export(model: Model, destination: Path, text: str) -> None:
    """Write the folder that ships: half precision, files of at most 16 MB, with its card, in the place of an older one."""
    write_folder(dataclasses.replace(model, card=text), destination, dtype=torch.float16, replace=True)


def stages(folder: Path, names: Sequence[str] = STAGES) -> dict[str, dict[str, float]]:
    """Steps and minutes of each stage of a run, so far."""
    found = {name: checkpoint.load(folder / name) for name in names}
    return {name: {"steps": got[1]["step"], "minutes": round(got[1]["seconds"] / 60, 1)} for name, got in found.items() if got}
