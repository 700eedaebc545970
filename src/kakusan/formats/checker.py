"""Where a model's safety checker lies, and how it is read."""

from pathlib import Path

import torch

from ..errors import FileError
from ..models.safety_checker import SafetyChecker
from .configs_safety import check_safety_preparation, write_safety_preparation
from .fields import write_json
from .parts import SAFETY
from .weights import USUAL_VARIANT, has_variant

PREPARATION = "preprocessor_config.json"
GUARDED: dict[str, object] = {
    "feature_extractor": ["transformers", "CLIPImageProcessor"],
    "requires_safety_checker": True,
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
}
"""What model_index.json says of a model with a safety checker."""


def checker_of(model: Path | None) -> Path | None:
    """The folder of the safety checker that lies in a model's; None if there is none, or none of its weights."""
    if model is None:
        return None
    folder = model / SAFETY.folder
    weights = any(has_variant(folder, SAFETY.stem, variant) for variant in (None, USUAL_VARIANT))
    return folder if weights and (folder / "config.json").is_file() else None


def read_checker(
    folder: str | Path, *, variant: str | None = None, dtype: torch.dtype | None = None, device: str | torch.device = "cpu"
) -> SafetyChecker:
    """The checker in a folder of its own, or in the folder `safety_checker` of a whole model.

    dtype: of its weights, None for as stored. Raises FileError, naming file and key, on anything missing, damaged or unknown.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileError(f"{folder}: no such folder of a safety checker", f"{folder}: セーフティチェッカーのフォルダーがありません")
    inner = checker_of(folder)
    checker = SAFETY.read(inner or folder, variant=variant, dtype=dtype, device=str(device))
    places = (folder / "feature_extractor", folder) if inner else (folder, folder.parent / "feature_extractor")
    for place in places:
        if (place / PREPARATION).is_file():
            check_safety_preparation(place / PREPARATION, checker.config.size)
            break
    return checker.eval()


def write_checker(checker: SafetyChecker, path: Path, *, dtype: torch.dtype | None, max_shard_bytes: int) -> None:
    """The checker into a model's folder, and how pictures are made ready for it."""
    SAFETY.write(checker, checker.config, path, dtype=dtype, max_shard_bytes=max_shard_bytes)
    (path / "feature_extractor").mkdir(exist_ok=True)
    write_json(path / "feature_extractor" / PREPARATION, write_safety_preparation(checker.config.size))
