"""Averaged weights (EMA) in original single files: which there are, and which weight each is the average of.

Full files hold the raw U-Net as `model.*` and its average as `model_ema.*`, the latter with every dot left out of the rest of the name
(LitEma of CompVis/stable-diffusion, ldm/modules/ema.py). Pruned files hold the average as `model.*`, with or without two leftovers.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from .source import refuse

RAW, AVERAGED = "model.", "model_ema."
LEFTOVERS = ("model_ema.decay", "model_ema.num_updates")

Ema = Literal["none", "leftovers", "full"]


def ema(names: Iterable[str]) -> Ema:
    """Whether a file's tensors include averaged weights, only the two numbers that pruning leaves over, or neither."""
    found = {name for name in names if name.startswith(AVERAGED)}
    return "full" if found.difference(LEFTOVERS) else "leftovers" if found else "none"


def averaged(file: Path, names: Iterable[str]) -> dict[str, str]:
    """For each raw weight of a full file the name of its average. Raises FileError, naming the first that has none."""
    known = set(names)
    pairs = {name: AVERAGED + name.removeprefix(RAW).replace(".", "") for name in known if name.startswith(RAW)}
    for raw, average in sorted(pairs.items()):
        if average not in known:
            refuse(file, average, f"is missing: the average of {raw}", f"がありません ({raw} の平均です)")
    return pairs
