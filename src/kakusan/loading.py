"""Loading: a name, a folder or a file becomes a pipeline."""

from functools import cache, partial
from pathlib import Path

import torch

from .errors import KakusanError
from .formats.hashes import folder_hash
from .formats.opening import located, of_folder
from .formats.precision import lent, wakened
from .formats.single import read_single
from .pipeline import Pipeline
from .prompts.japanese.translators import Choice, translator
from .safety.afterwards import Safety
from .safety.checker import Check
from .safety.loading import checker
from .safety.marks import Watermark

EMBEDDED = Path(__file__).parent / "embedded"
VARIANTS = ("inpainting", "depth", "upscaling")


def load(
    name: str | Path | None = None,
    config: str | Path | None = None,
    dtype: torch.dtype | None = None,
    device: str | None = "auto",
    *,
    use_ema: bool | None = None,
    vae: str | Path | None = None,
    prediction: str | None = None,
    safety: Safety | Check | None = None,
    safety_checker: str | Path | None = None,
    watermark: Watermark = "off",
    translate: Choice | None = None,
) -> Pipeline:
    """A pipeline of the embedded model, a model folder, a single file (.safetensors, .ckpt), or a model on the hub ("org/name").

    "embedded-inpainting", "embedded-depth" and "embedded-upscaling" are the embedded model's relatives.
    config: the original .yaml of a single file; one of the same name beside it is taken unasked. device: "auto" (or None) takes a
    GPU where there is one. dtype: unless given, half precision on a GPU; on a CPU weights stay as they are stored, and each layer
    computes in float32.
    use_ema, vae, prediction: see `read_single`; what was found out about a file is in `model.notes`.
    safety: what calls do that say nothing about it; black if there is a checker. safety_checker: the folder of one, or "embedded",
    which flags bananas; unless given, the one in the model's folder. watermark: see `safety.marks`; none, so that pictures are
    exactly what the model drew. translate: what calls do with Japanese prompts that say nothing about it, see `Pipeline.__call__`.
    Raises FileError on what is missing, damaged or of an unknown kind, KakusanError on options that do not fit.
    """
    device = device or "auto"
    check_device(device)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if dtype is None and device != "cpu":
        dtype = torch.float16
    if name is None:
        dtype = dtype or torch.float32  # small enough for it
    path = EMBEDDED if name is None else _embedded(name) or located(name)
    if path.is_dir():
        if config is not None or use_ema:
            option = "config" if config is not None else "use_ema"
            raise KakusanError(f"{path}: {option} is for single files, not for folders", f"{path}: {option} は単一ファイル用です")
        model = of_folder(path, dtype, device, vae, prediction)
    else:
        if config is None and path.with_suffix(".yaml").is_file():
            config = path.with_suffix(".yaml")
        model = read_single(path, dtype=dtype, device=device, config=config, use_ema=use_ema, vae=vae, prediction=prediction)
    if dtype is None:
        wakened(model.unet, torch.float32)
        for network in (model.text, model.autoencoder, model.depth):
            if network is not None:
                lent(network, torch.float32)
    hash_ = folder_hash(path / "unet") if path.is_dir() else ""
    pipe = Pipeline(model, hash_=hash_, safety=safety, checker=checker(model.path, safety_checker, torch.device(device)))
    pipe.watermark = watermark
    if translate is not None:
        pipe.translator = translator(translate)
    pipe.relative = partial(_relative, device=device)
    pipe.afterwards()  # refuses unknown words now
    return pipe


def relative(variant: str) -> Path:
    """The folder of the embedded model's relative for "inpainting", "depth" or "upscaling", whether it is there or not."""
    return EMBEDDED.with_name(f"embedded-{variant}")


def _embedded(name: str | Path) -> Path | None:
    """The folder of a model that comes along, by its name, unless something here is called so."""
    variants = [variant for variant in VARIANTS if str(name) == f"embedded-{variant}" and shipped(variant)]
    return None if not variants or Path(name).exists() else relative(variants[0])


def shipped(variant: str) -> bool:
    """Whether the embedded model has that relative."""
    return (relative(variant) / "model_index.json").exists()


@cache
def _relative(variant: str, device: str) -> Pipeline | None:
    return load(relative(variant), device=device) if shipped(variant) else None


def check_device(name: str) -> None:
    """Raises KakusanError unless networks can run on a device of that name, here and now."""
    if name == "auto":
        return
    try:
        usable = name != "meta" and torch.empty(1, device=name).isfinite().numel() == 1
    except (RuntimeError, AssertionError, NotImplementedError):
        usable = False
    if not usable:
        raise KakusanError(
            f"device {name!r} is not there; use auto, cpu, or cuda with an NVIDIA GPU and its driver",
            f"デバイス {name!r} は使えません。auto か cpu、NVIDIA の GPU とドライバーがあれば cuda を使ってください",
        )
