"""What is wrong with a call, in one line, before anything is computed."""

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from torch import Tensor

from ...errors import KakusanError

CALLBACK_TENSORS = ("latents", "prompt_embeds", "negative_prompt_embeds")


def size(height: int, width: int) -> None:
    """Height and width are multiples of 8, as in diffusers, whatever the autoencoder's factor."""
    for en, ja, value in (("height", "高さ height", height), ("width", "幅 width", width)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 8 or value % 8:
            near = max(8, round(value / 8) * 8) if isinstance(value, int | float) and math.isfinite(value) else 512
            _refuse(
                f"{en} is {value!r}; it must be a multiple of 8: try {near}", f"{ja} が {value!r} です。8 の倍数にしてください。例: {near}"
            )


def prompts(prompt: object, negative: object, embeds: Tensor | None, negative_embeds: Tensor | None) -> None:
    """Either a text or its states is given, of the right kind and number, and so for what is not wanted."""
    if (prompt is None) == (embeds is None):
        found = "neither" if prompt is None else "both"
        _refuse(
            f"{found} of prompt and prompt_embeds given; give one of them",
            f"prompt と prompt_embeds の{'どちらもありません' if prompt is None else '両方があります'}。どちらか一方を指定してください",
        )
    if negative is not None and negative_embeds is not None:
        _refuse(
            "both of negative_prompt and negative_prompt_embeds given; give one of them",
            "negative_prompt と negative_prompt_embeds の両方があります。どちらか一方を指定してください",
        )
    for name, value in (("prompt", prompt), ("negative_prompt", negative)):
        if value is not None and not is_texts(value):
            kind = type(value).__name__
            _refuse(f"{name} is a {kind}; give a text or a list of texts", f"{name} が {kind} です。文字列かそのリストにしてください")
    if embeds is not None and negative_embeds is not None and embeds.shape != negative_embeds.shape:
        shapes = f"{list(embeds.shape)}, {list(negative_embeds.shape)}"
        _refuse(
            f"prompt_embeds and negative_prompt_embeds have different shapes: {shapes}",
            f"prompt_embeds と negative_prompt_embeds の形が違います: {shapes}",
        )


def negatives(negative: str | Sequence[str], pictures: int) -> list[str]:
    """One negative prompt for each prompt. A single text serves them all."""
    if isinstance(negative, str):
        return [negative] * pictures
    if len(negative) != pictures:
        _refuse(
            f"{len(negative)} negative prompts for {pictures} prompts; give one, or as many as prompts",
            f"prompt {pictures} 個に negative_prompt が {len(negative)} 個あります。1 個か、同じ数にしてください",
        )
    return list(negative)


def is_texts(value: object) -> bool:
    """Whether it is a text, or a list of at least one."""
    return isinstance(value, str) or (isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(one, str) for one in value))


def callbacks(steps: object, names: Sequence[str] | None, known: Sequence[str]) -> None:
    """A callback is called every so many steps, with tensors that there are."""
    if steps is not None:
        count("callback_steps", steps)
    if unknown := [name for name in names or () if name not in known]:
        listed = ", ".join(known)
        _refuse(
            f"callback_on_step_end_tensor_inputs has {', '.join(map(str, unknown))}; there are {listed}",
            f"callback_on_step_end_tensor_inputs に {', '.join(map(str, unknown))} があります。使えるのは {listed} です",
        )


def count(name: str, value: object) -> None:
    """A whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        _refuse(f"{name} is {value!r}; it must be a whole number from 1", f"{name} が {value!r} です。1 以上の整数にしてください")


def number(name: str, value: object, least: float = -math.inf, most: float = math.inf) -> None:
    """A finite number within bounds."""
    if isinstance(value, int | float) and math.isfinite(value) and least <= value <= most:
        return
    bounds = "" if math.isinf(most) else f" {least:g} .. {most:g}"
    _refuse(f"{name} is {value!r}; it must be a number{bounds}", f"{name} が {value!r} です。数{bounds} にしてください")


def shape(name: str, tensor: Tensor, wanted: Sequence[int]) -> None:
    """A tensor has the shape this call needs."""
    if tuple(tensor.shape) != tuple(wanted):
        found = list(tensor.shape)
        _refuse(
            f"{name} have shape {found}; this call needs {list(wanted)}",
            f"{name} の形が {found} です。この呼び出しでは {list(wanted)} です",
        )


def some_steps(steps: int, of: int, strength: float) -> None:
    """At least one step is left of those asked for."""
    if steps < 1:
        _refuse(
            f"strength {strength:g} of {of} steps leaves none; raise one of them",
            f"strength {strength:g} では {of} ステップのうち 1 つも残りません。どちらかを大きくしてください",
        )


def divides(given: int, wanted: int) -> None:
    """So many pictures serve for so many, in turn."""
    if given < 1 or wanted % given:
        _refuse(
            f"{given} pictures were given for {wanted}; their number must divide that",
            f"{wanted} 枚に対して画像が {given} 枚あります。割り切れる枚数にしてください",
        )


def custom_steps(given: Mapping[str, object], scheduler: Any) -> None:
    """Timesteps or sigmas of one's own, not both, and only where the scheduler takes them."""
    if len(given) > 1:
        _refuse("both timesteps and sigmas given; give one of them", "timesteps と sigmas の両方があります。どちらか一方を指定してください")
    for name in given:
        if name not in inspect.signature(scheduler.set_timesteps).parameters:
            kind = type(scheduler).__name__
            _refuse(
                f"{kind} takes no {name}; give num_inference_steps", f"{kind} に {name} は使えません。num_inference_steps を使ってください"
            )


def _refuse(en: str, ja: str) -> NoReturn:
    raise KakusanError(en, ja)
