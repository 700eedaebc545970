"""Making pictures larger, whatever made them: by an upscaling model, by an ordinary model's latents, or by plain resampling."""

from typing import Literal

from PIL import Image

from .errors import KakusanError
from .messages import tr

Method = Literal["model", "latent", "lanczos"]
METHODS: tuple[Method, ...] = ("model", "latent", "lanczos")
"""By an upscaling model; latents made larger and drawn anew in part by an ordinary model; resampling, which adds no detail."""
FACTORS = (2, 4)
STRENGTH = 0.4
"""How much of a picture is drawn anew after its latent was made larger."""


def chosen(method: str | None, by: int, there: bool) -> Method:
    """The method that was asked for, else the model if there is one, else resampling. Raises KakusanError on what cannot be."""
    if by not in FACTORS:
        raise KakusanError(f"upscaling by {by}; it must be by 2 or by 4", f"拡大率が {by} です。2 か 4 にしてください")
    for known in METHODS:
        if method == known and (there or known != "model"):
            return known
    if method is None:
        return "model" if there else "lanczos"
    if method == "model":
        raise KakusanError(
            "no upscaling model is there; give one, or choose latent or lanczos",
            "拡大用モデルがありません。モデルを渡すか、latent か lanczos を選んでください",
        )
    known_words = ", ".join(METHODS)
    raise KakusanError(f"method is {method!r}; it must be one of {known_words}", f"method が {method!r} です。{known_words} のどれかです")


def resampled(picture: Image.Image, by: float) -> Image.Image:
    """The picture `by` times as large, by Lanczos's filter."""
    if by == 1:
        return picture
    return picture.resize((round(picture.width * by), round(picture.height * by)), Image.Resampling.LANCZOS)


def no_model() -> str:
    """What is said where resampling stands in for a model."""
    return tr(
        "no upscaling model is there: enlarged by plain resampling (Lanczos), which adds no detail",
        "拡大用モデルがないので、単純な補間 (Lanczos) で拡大しました。細部は増えません",
    )
