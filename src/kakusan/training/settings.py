"""Settings of a training run: frozen dataclasses, read from a TOML file of the same names."""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ..errors import FileError, KakusanError

CONFIGS = Path(__file__).parent / "configs"


@dataclass(frozen=True)
class Optimiser:
    """AdamW (Loshchilov & Hutter 2019) with warm-up and one of two learning-rate schedules.

    schedule: "cosine" falls to 0 over `steps`; "constant" stays, and falls to 0 over the last `cooldown` share of the run
    (Hägele et al. 2024, https://arxiv.org/abs/2405.18392), so that a run's length may be decided while it goes on.
    """

    steps: int = 10_000
    batch: int = 32
    rate: float = 1e-3
    warmup: int = 200
    schedule: str = "constant"
    cooldown: float = 0.2
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    seed: int = 0
    log_every: int = 20
    save_every: int = 200
    sheet_every: int = 500
    compile: bool = False  # torch.compile, on CUDA devices only


@dataclass(frozen=True)
class AutoencoderSettings:
    """A KL autoencoder (Kingma & Welling 2013; Rombach et al. 2022, appendix G) on pictures of `size` pixels."""

    channels: tuple[int, ...] = (32, 64, 96)
    blocks: int = 1
    latent_channels: int = 4
    norm_groups: int = 8
    kl: float = 1e-5
    edges: float = 0.5
    optimiser: Optimiser = field(default_factory=Optimiser)


@dataclass(frozen=True)
class ClipSettings:
    """Text and image towers trained to agree (Radford et al. 2021)."""

    vocab: int = 2048
    width: int = 128
    layers: int = 4
    heads: int = 4
    patch: int = 8
    image_width: int = 128
    image_layers: int = 4
    projection: int = 128
    embedding_std: float = 0.5
    optimiser: Optimiser = field(default_factory=Optimiser)


@dataclass(frozen=True)
class DiffusionSettings:
    """A latent diffusion model with a frozen text tower (Ho et al. 2020; Rombach et al. 2022; Salimans & Ho 2022 for v)."""

    channels: tuple[int, ...] = (32, 96, 160)
    blocks: int = 1
    attention: tuple[bool, ...] = (False, True, True)
    heads: int = 4
    norm_groups: int = 16
    prediction: str = "v_prediction"
    snr_gamma: float = 0.0  # 0: plain loss; else min-SNR weights (Hang et al. 2023)
    drop_caption: float = 0.1
    only: tuple[str, ...] = ()  # the things it learns to draw, of those in the pool; all of them if none are named
    painted: int = 1  # how often a picture of a thing in a colour not its own is shown, for each time of another
    shift: float = 1.0  # above 1: more timesteps of high noise, where it is decided what a picture shows (see `shifted`)
    optimiser: Optimiser = field(default_factory=Optimiser)


@dataclass(frozen=True)
class EstimatorSettings:
    """A small network that tells depth from a picture. world: of the pictures it learns from; the rest: see DptConfig."""

    world: str = "full"
    stem: int = 16
    stages: tuple[int, int, int] = (32, 64, 96)
    blocks: tuple[int, int, int] = (1, 1, 1)
    norm_groups: int = 4
    width: int = 64
    layers: int = 2
    heads: int = 2
    feedforward: int = 128
    taps: tuple[int, int] = (0, 1)
    fusion: int = 32
    edges: float = 0.5
    optimiser: Optimiser = field(default_factory=Optimiser)


@dataclass(frozen=True)
class UpscalingSettings:
    """An upscaler by four: an autoencoder for details, and a U-Net that sees the small picture beside the latent.

    pictures: how many are rendered four times as large; crop: side of the square cut out of them for a step, in large pixels.
    """

    pictures: int = 6_000
    crop: int = 64
    autoencoder: AutoencoderSettings = field(default_factory=AutoencoderSettings)
    unet: DiffusionSettings = field(default_factory=DiffusionSettings)


@dataclass(frozen=True)
class Recipe:
    """Everything that makes one embedded model: the world it knows, and how each network is trained."""

    name: str = "embedded"
    world: str = "small"
    size: int = 64
    pictures: int = 40_000
    captions: int = 0  # of each picture, made beforehand, for devices faster than Python; 0: made anew at every use
    strange: float = 0.0  # share of captions with words in them that mean nothing, so that a model learns to pass over such words
    seed: int = 0
    shares: tuple[float, float, float, float] = (0.2, 0.1, 0.6, 0.1)  # of the minutes: autoencoder, towers, diffusion, decoder
    autoencoder: AutoencoderSettings = field(default_factory=AutoencoderSettings)
    clip: ClipSettings = field(default_factory=ClipSettings)
    diffusion: DiffusionSettings = field(default_factory=DiffusionSettings)
    inpainting: DiffusionSettings = field(default_factory=DiffusionSettings)
    depth: DiffusionSettings = field(default_factory=DiffusionSettings)
    estimator: EstimatorSettings = field(default_factory=EstimatorSettings)
    upscaling: UpscalingSettings = field(default_factory=UpscalingSettings)
    decoder: Optimiser = field(default_factory=Optimiser)  # goes on training the decoder alone, once the latents are settled


def read_recipe(name: str | Path) -> Recipe:
    """The recipe in a TOML file, or one of those that ship by name. Raises FileError naming file and key."""
    path = Path(name)
    if not path.suffix:
        path = CONFIGS / f"{name}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in CONFIGS.glob("*.toml")))
        raise FileError(f"{path}: no such settings; the ones that ship are {known}", f"{path}: 設定がありません。同梱: {known}") from None
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: cannot be read as TOML: {error}", f"{path}: TOML として読めません: {error}") from None
    return build(Recipe, table, str(path))


T = TypeVar("T")


def build(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    """A dataclass from a table of the same names, nested ones included; an unknown key is an error that names it."""
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in fields:
            raise KakusanError(
                f"{where}: unknown setting {key!r}; known: {', '.join(fields)}",
                f"{where}: 未知の設定 {key!r}。使えるもの: {', '.join(fields)}",
            )
        if isinstance(value, dict):
            values[key] = build(type(getattr(kind(), key)), value, f"{where}: {key}")
        else:
            values[key] = tuple(value) if isinstance(value, list) else value
    return kind(**values)
