"""Samplers: generators that walk a noisy latent down a list of noise levels, asking for estimates as they go.

x (n c h w) is a clean latent plus noise of standard deviation sigma; sigmas are Python floats. A sampler is
`name(x, sigmas, *, options)`, or `name(x, sigmas, noise, *, options)` if it draws noise; all are in `SAMPLERS`, by name.
"""

from difflib import get_close_matches
from inspect import Parameter, signature
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ..errors import KakusanError
from .names import NAMES

if TYPE_CHECKING:
    from torch import Tensor

    from ..types import Noise, Sampler, Sigmas
    from .table import SAMPLERS

__all__ = ["NAMES", "SAMPLERS", "named", "needs_noise", "sample"]


def __getattr__(name: str) -> Any:
    if name == "SAMPLERS":  # on first use, so that names can be listed without importing torch
        from .table import SAMPLERS

        return SAMPLERS
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def needs_noise(name: str) -> bool:
    """Whether the sampler draws noise with its default options. Raises KakusanError for an unknown name."""
    check_name(name)
    return next(entry.needs_noise for entry in NAMES if entry.name == name)


def sample(name: str, x: "Tensor", sigmas: "Sigmas", noise: "Noise", **options: Any) -> "Sampler":
    """The sampler of that name, ready to be driven; `noise` goes to those that can draw any.

    options: the function's own keyword arguments (`eta`, `s_churn`, ...).
    Raises KakusanError for an unknown name or option, and for levels that do not fall or are negative.
    """
    check_name(name)
    from .table import SAMPLERS

    function = SAMPLERS[name]
    parameters = signature(function).parameters
    _check_options(name, options, [p.name for p in parameters.values() if p.kind is Parameter.KEYWORD_ONLY])
    _check_sigmas(sigmas)
    return function(x, sigmas, noise, **options) if "noise" in parameters else function(x, sigmas, **options)


def named(text: str) -> str:
    """The key in `SAMPLERS` of a sampler's name or label ("DPM++ 2M"), capitals and spaces aside.

    Raises KakusanError, with the nearest name, if there is no such sampler.
    """
    keys = {_plain(word): entry.name for entry in NAMES for word in (entry.label, entry.name)}
    if (key := keys.get(_plain(text))) is not None:
        return key
    known = [entry.name for entry in NAMES]
    near = keys[get_close_matches(_plain(text), keys, n=1, cutoff=0.0)[0]]
    raise KakusanError(
        f"unknown sampler {text!r}; did you mean {near}? There are: {', '.join(known)}",
        f"サンプラー {text!r} はありません。{near} のことですか。使えるもの: {', '.join(known)}",
    )


def check_name(name: str) -> None:
    """Raises KakusanError, with the nearest name, if `name` is no key in `SAMPLERS`."""
    if name not in (entry.name for entry in NAMES):
        near = named(name)
        raise KakusanError(f"unknown sampler {name!r}; did you mean {near}?", f"サンプラー {name!r} はありません。{near} のことですか。")


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _check_options(name: str, options: dict[str, Any], known: list[str]) -> None:
    for option in options:
        if option not in known:
            takes = ", ".join(known) or "none"
            raise KakusanError(
                f"sampler {name} has no option {option!r}; its options: {takes}",
                f"サンプラー {name} にオプション {option!r} はありません。使えるもの: {', '.join(known) or 'なし'}",
            )


def _check_sigmas(sigmas: "Sigmas") -> None:
    if not sigmas or sigmas[-1] < 0 or any(not a > b for a, b in pairwise(sigmas)):
        shown = ", ".join(f"{sigma:g}" for sigma in sigmas)
        raise KakusanError(
            f"noise levels must fall and not be negative; got {shown or 'none'}",
            f"ノイズ水準は減少し、負であってはいけません。与えられた値: {shown or 'なし'}",
        )
