"""kakusan (拡散): Stable Diffusion v1 and v2, written in full.

pipe = kakusan.load()                       # the embedded model; or a model folder
pipe("赤いりんご", count=4, seed=7).images
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import FileError, KakusanError
    from .evaluation.verify import verify
    from .likeness import similarity
    from .loading import load
    from .pipeline import Pipeline
    from .prompts.japanese import translate
    from .result import Result, Step
    from .samplers.table import SAMPLERS
    from .schedules import SCHEDULES
    from .tasks.area import Area

__version__ = "0.1.0"
__all__ = [
    "SAMPLERS",
    "SCHEDULES",
    "Area",
    "FileError",
    "KakusanError",
    "Pipeline",
    "Result",
    "Step",
    "load",
    "similarity",
    "translate",
    "verify",
]

HOMES = {
    "load": "loading",
    "Pipeline": "pipeline",
    "Result": "result",
    "Step": "result",
    "SAMPLERS": "samplers.table",
    "SCHEDULES": "schedules",
    "Area": "tasks.area",
    "similarity": "likeness",
    "translate": "prompts.japanese",
    "verify": "evaluation.verify",
    "KakusanError": "errors",
    "FileError": "errors",
}


def __getattr__(name: str) -> Any:
    if name in HOMES:  # on first use: importing kakusan imports neither torch nor numpy
        return getattr(import_module(f".{HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
