"""Which safety checker looks at a model's pictures: the one in its folder, one that the user names, or the embedded stand-in."""

from functools import partial
from pathlib import Path

import torch

from ..errors import FileError
from ..formats.checker import checker_of, read_checker
from ..formats.parts import IMAGE
from ..formats.safetensors import SafetensorsFile
from ..models.clip_image import ClipImage
from ..models.safety_checker import SafetyChecker
from .checker import Checker

NAMED = "embedded"  # what the user calls the stand-in
HOME = Path(__file__).parents[1]
STAND_IN, CONCEPT = HOME / "embedded-safety", "concept.safetensors"


def checker(model: Path | None, named: str | Path | None, device: torch.device) -> Checker | None:
    """The checker in a folder named, the stand-in for "embedded", or, if none is named, the one in the model's folder.

    None where that has none. It is loaded when it first sees a picture, half as wide on a GPU; a name that is no folder is refused
    at once, with FileError.
    """
    if named == NAMED:
        return Checker(stand_in)
    folder = checker_of(model) if named is None else Path(named).expanduser()
    if folder is None:
        return None
    if not folder.is_dir():
        raise FileError(
            f"{folder}: no such folder; a safety checker is a folder, or {NAMED!r}",
            f"{folder}: フォルダーがありません。セーフティチェッカーのフォルダーか {NAMED!r} を指定してください",
        )
    dtype = torch.float32 if device.type == "cpu" else torch.float16
    return Checker(partial(read_checker, folder, dtype=dtype, device=device))


def stand_in() -> SafetyChecker:
    """The embedded model's image tower with one harmless concept, the banana: to try out, offline, what a real checker does."""
    file = SafetensorsFile(STAND_IN / CONCEPT)
    concepts, thresholds = (file.read(name).float() for name in ("concept_embeds", "concept_embeds_weights"))
    tower = embedded_tower()
    width = tower.config.projection
    if concepts.shape[1] != width:
        raise FileError(
            f"{file.file}: concept_embeds is {concepts.shape[1]} wide, but the embedded image tower's features are {width}",
            f"{file.file}: concept_embeds の幅が {concepts.shape[1]} です。付属モデルでは {width} です",
        )
    network = SafetyChecker(tower.config, len(concepts), 0)
    network.tower = tower
    network.concepts.copy_(concepts)
    network.thresholds.copy_(thresholds)
    return network


def embedded_tower() -> ClipImage:
    """The image tower that comes along with the embedded model, float32."""
    return IMAGE.read(HOME / "embedded" / IMAGE.folder, dtype=torch.float32).eval()
