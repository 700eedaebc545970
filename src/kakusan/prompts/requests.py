"""Prompts from a file, a line each, which may end in options: `a red apple --negative blurry --steps 12`.

Options have the names of `kakusan draw` and of AUTOMATIC1111's script "prompts from file".
"""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import KakusanError

BEGINS = re.compile(r"(?:^|\s)--(?=[a-z])")
NUMBERS: Mapping[str, Callable[[str], float]] = {"steps": int, "seed": int, "width": int, "height": int, "scale": float}
NAMES = {
    "prompt": "prompt",
    "negative": "negative",
    "negative-prompt": "negative",
    "steps": "steps",
    "sampler": "sampler",
    "sampler-name": "sampler",
    "schedule": "schedule",
    "scale": "scale",
    "cfg-scale": "scale",
    "seed": "seed",
    "width": "width",
    "height": "height",
    "style": "style",
    "styles": "style",
}
"""Options of a line, and the fields of a recipe they are."""


@dataclass(frozen=True)
class Request:
    """What one line asks for. options: by the names of a recipe's fields; styles: by their names; None: what the others have."""

    prompt: str
    negative: str | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    styles: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)


def read_requests(text: str, name: str) -> list[Request]:
    """What the lines of a text ask for; empty ones, and those that begin with "#", ask for nothing. name: of the file, for messages.

    Raises KakusanError naming file, line and option if one cannot be understood, or if there is no line.
    """
    lines = ((i, line.strip()) for i, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1))
    requests = [_request(line, f"{name}:{i}") for i, line in lines if line and not line.startswith("#")]
    if not requests:
        raise KakusanError(f"{name}: no prompt in it; write one on each line", f"{name}: プロンプトがありません。1 行に 1 つ書いてください")
    return requests


def _request(line: str, where: str) -> Request:
    begins = BEGINS.search(line)
    if begins is None:
        return Request(line)
    request = Request(line[: begins.start()].strip())
    try:
        words = shlex.split(line[begins.start() :])
    except ValueError as error:
        raise KakusanError(f"{where}: {error}; close the quotation mark", f"{where}: 引用符が閉じていません") from error
    while words:
        option = words.pop(0)
        values = [words.pop(0) for _ in range(_until_option(words))]
        request = _with(request, option, " ".join(values), where)
    return request


def _until_option(words: list[str]) -> int:
    return next((i for i, word in enumerate(words) if word.startswith("--")), len(words))


def _with(request: Request, option: str, value: str, where: str) -> Request:
    name = NAMES.get(option.removeprefix("--").replace("_", "-"))
    if name is None or not value:
        known = " ".join(f"--{known}" for known in NAMES)
        wrong = "is no option of a line" if name is None else "has no value"
        wrong_ja = "は行に書けるオプションではありません" if name is None else "に値がありません"
        raise KakusanError(f"{where}: {option} {wrong}; there are: {known}", f"{where}: {option} {wrong_ja}。使えるもの: {known}")
    if name == "prompt":
        return replace(request, prompt=f"{request.prompt} {value}".strip())
    if name == "negative":
        return replace(request, negative=value)
    if name == "style":
        return replace(request, styles=(*request.styles, *(style.strip() for style in value.split(","))))
    if name in ("seed", "width", "height"):
        return replace(request, **{name: _number(name, option, value, where)})
    said = _number(name, option, value, where) if name in NUMBERS else value
    return replace(request, options={**request.options, name: said})


def _number(name: str, option: str, value: str, where: str) -> Any:
    try:
        return NUMBERS[name](value)
    except ValueError as error:
        raise KakusanError(
            f"{where}: {option} is {value!r}; it must be a number", f"{where}: {option} が {value!r} です。数にしてください"
        ) from error
