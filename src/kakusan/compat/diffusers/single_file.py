"""Components out of one `.safetensors` or `.ckpt` file in the original layout, of any family."""

import logging
import re
from collections.abc import Collection, Mapping
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ...errors import KakusanError
from ...formats.model import Model
from ...formats.scheduler import write_low_noise, write_schedule
from ...formats.single import read_single
from ...prompts.tokenizer import Tokenizer
from .components import AutoencoderKL, CLIPTextModel, UNet2DConditionModel
from .loading import FROM_HUB, HARMLESS, from_hub, wanted
from .tokenizer import CLIPTokenizer

PASSED_OVER = (*FROM_HUB, *HARMLESS, "config", "image_size", "load_safety_checker", "num_in_channels", "upcast_attention", "disable_mmap")
SCHEDULERS = {
    "pndm": "PNDMScheduler",
    "ddim": "DDIMScheduler",
    "lms": "LMSDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler-ancestral": "EulerAncestralDiscreteScheduler",
    "dpm": "DPMSolverMultistepScheduler",
}

PAGE = re.compile(r"/(?P<id>[^/]+/[^/]+)/(?:blob|resolve)/(?P<revision>[^/]+)/(?P<file>[^?#]+)(?:[?#].*)?$")

log = logging.getLogger("kakusan")


def components(names: Collection[str], path: str | Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """The components called so; those given in `options` are taken from there.

    options: original_config (the model's .yaml, else the file's kind is told by its tensors), torch_dtype, prediction_type, extract_ema,
    scheduler_type. Raises FileError, naming file and tensor, on a file that is damaged or of an unknown kind.
    """
    left = dict(options)
    given = {name: left.pop(name) for name in options if name in names}
    config = left.pop("original_config", None) or left.pop("original_config_file", None)
    model = read_single(
        _file(path, options),
        config=config,
        use_ema=left.pop("extract_ema", None),
        prediction=left.pop("prediction_type", None),
        dtype=wanted(left.pop("torch_dtype", None)),
    )
    for note in model.notes:
        log.info(note)
    kind = left.pop("scheduler_type", None)
    for option in left:
        if option not in PASSED_OVER:
            raise KakusanError(
                f"from_single_file does not know {option!r}; leave it out", f"from_single_file に {option!r} はありません。外してください"
            )
    made = _of(model, kind)
    return {name: given[name] if name in given else made[name] for name in names if name in given or name in made}


def _file(path: str | Path, options: Mapping[str, Any]) -> Path:
    """A file on disk, or one on the hub by the address of its page: .../ORG/NAME/blob/REVISION/FILE."""
    if not str(path).startswith("https://"):
        return Path(path)
    found = PAGE.search(str(path))
    if found is None:
        raise KakusanError(
            f"{path}: not the address of a file on the hub; download it and give its path",
            f"{path}: ハブのファイルのアドレスではありません。ダウンロードしてそのパスを指定してください",
        )
    return from_hub(found["id"], {"revision": found["revision"], **options}, file=found["file"])


def _of(model: Model, scheduler: str | None) -> dict[str, Any]:
    made = {
        "unet": UNet2DConditionModel(model.unet),
        "vae": AutoencoderKL(model.autoencoder),
        "text_encoder": CLIPTextModel(model.text),
        "tokenizer": CLIPTokenizer(_as_in_a_folder(model.tokenizer)),
        "scheduler": _scheduler(write_schedule(model.schedule), scheduler),
    }
    if model.low_noise is not None:
        made["low_res_scheduler"] = _scheduler(write_low_noise(model.low_noise))
    return made


def _as_in_a_folder(tokenizer: Tokenizer) -> Tokenizer:
    """By the rules of transformers, whose tokenizer diffusers takes for single files too, instead of the original program's."""
    with TemporaryDirectory() as path:
        tokenizer.save(path)
        return Tokenizer.from_folder(path)


def _scheduler(config: Mapping[str, object], kind: str | None = None) -> Any:
    if kind is not None and kind not in SCHEDULERS:
        names = ", ".join(SCHEDULERS)
        raise KakusanError(
            f"scheduler_type is {kind!r}; give one of {names}", f"scheduler_type が {kind!r} です。{names} のどれかにしてください"
        )
    name = str(config["_class_name"]) if kind is None else SCHEDULERS[kind]
    return getattr(import_module(__package__ or ""), name).from_config(config)
