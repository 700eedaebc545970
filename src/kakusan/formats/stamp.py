"""What kakusan writes into the metadata of its single files: what names and shapes of tensors cannot tell, and the words of the
model specification that other programs read (https://github.com/Stability-AI/ModelSpec).
"""

import json
from dataclasses import asdict
from typing import Any

from ..errors import FileError
from ..schedules import NoiseSchedule
from .model import Model
from .source import Source

KEY = "kakusan"
KINDS: dict[str, dict[str, tuple[type, ...]]] = {
    "unet": {"heads": (int, tuple), "norm_groups": (int,), "sample_size": (int,), "only_cross_attention": (tuple, type(None))},
    "autoencoder": {"norm_groups": (int,), "sample_size": (int,), "scale": (float,)},
    "text": {"heads": (int,), "activation": (str,), "end_token": (int,)},
}
"""The settings that are kept, by network, and of which type each is."""
MOST_STEPS = 100_000


def stamp(model: Model) -> dict[str, str]:
    """The metadata of a model's single file."""
    configs = {"unet": model.unet.config, "autoencoder": model.autoencoder.config, "text": model.text.config}
    said: dict[str, object] = {name: {key: getattr(configs[name], key) for key in kinds} for name, kinds in KINDS.items()}
    said |= {"schedule": asdict(model.schedule), "settings": dict(model.settings)}
    if model.low_noise is not None:
        said["low_noise"] = asdict(model.low_noise)
    prediction = model.schedule.prediction
    return {
        "format": "pt",
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": _architecture(model),
        "modelspec.implementation": "kakusan",
        "modelspec.title": model.name,
        "modelspec.prediction_type": "v" if prediction == "v_prediction" else prediction,
        KEY: json.dumps(said, ensure_ascii=False),
    }


def read_stamp(source: Source) -> dict[str, Any]:
    """Settings of each network by its name, and "schedule", "low_noise" and "settings"; nothing where kakusan wrote none.

    Raises FileError if they can be those of no model.
    """
    if KEY not in source.metadata:
        return {}
    try:
        said = json.loads(source.metadata[KEY])
        found: dict[str, Any] = {name: _checked(said.get(name, {}), kinds) for name, kinds in KINDS.items()}
        for name in ("schedule", "low_noise"):
            if name in said:
                if not 1 < said[name]["steps"] <= MOST_STEPS:
                    raise ValueError(f"{name}: {said[name]['steps']} steps")
                found[name] = NoiseSchedule(**said[name])
        return found | {"settings": dict(said.get("settings", {}))}
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FileError(
            f'{source.file}: metadata "{KEY}" describes no model ({reason})',
            f'{source.file}: メタデータ "{KEY}" が正しくありません ({reason})',
        ) from error


def _checked(said: dict[str, Any], kinds: dict[str, tuple[type, ...]]) -> dict[str, Any]:
    """The settings that are known. Raises ValueError if one is of another type."""
    found = {key: tuple(said[key]) if isinstance(said[key], list) else said[key] for key in kinds if key in said}
    for key, value in found.items():
        each = value if isinstance(value, tuple) else ()
        if type(value) not in kinds[key] or any(type(one) not in (int, bool) for one in each):
            raise ValueError(f"{key} is {value!r}"[:100])
    return found


def _architecture(model: Model) -> str:
    size = "768-v" if model.schedule.prediction == "v_prediction" else "512"
    version = {"sd1": "v1", "sd2": f"v2-{size}", "sd_x4": "x4-upscaler"}.get(model.family, "other")
    return f"stable-diffusion-{version}{'-' + model.variant if model.variant in ('inpainting', 'depth') else ''}"
