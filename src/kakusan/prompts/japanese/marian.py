"""Translation by a Marian network, of the extra kakusan[translate]: better sentences than tables make, from weights the user has."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from ...errors import FileError, KakusanError
from .layout import Group, Japanese, Kept, Part, parts
from .segmentation import SLOT

USUAL = "Helsinki-NLP/opus-mt-ja-en"
LONGEST = 128
"""Tokens of one phrase of English."""


def marian(place: str | Path | None = None) -> Callable[[str], str]:
    """A function from prompts to prompts in English; weights, brackets and tags stay as they are.

    place: a folder in transformers' layout, or a name on the hub whose files were fetched before; nothing is fetched here.
    Raises KakusanError if transformers or sentencepiece is missing, FileError if there is no such model.
    """
    tokenizer, network = _opened(str(place or USUAL))

    @cache
    def told(text: str) -> str:
        rows = tokenizer([text], return_tensors="pt", truncation=True, max_length=LONGEST)
        made = network.generate(**rows, max_new_tokens=LONGEST, num_beams=4)
        return str(tokenizer.decode(made[0], skip_special_tokens=True)).strip().rstrip(".")

    return lambda text: _written(parts(text), told)


def _opened(place: str) -> tuple[Any, Any]:
    try:
        import sentencepiece  # noqa: F401
        from transformers import MarianMTModel, MarianTokenizer
    except ImportError as error:
        raise KakusanError(
            f"translate=marian needs a package that is missing ({error.name}): pip install kakusan[translate]",
            f"translate=marian には {error.name} が必要です: pip install kakusan[translate]",
        ) from error
    try:
        tokenizer: Any = MarianTokenizer.from_pretrained(place, local_files_only=True)
        network: Any = MarianMTModel.from_pretrained(place, local_files_only=True)
    except Exception as error:
        raise FileError(
            f"{place}: no Marian model here; name its folder (marian:FOLDER), or fetch it first with `hf download {USUAL}`",
            f"{place}: Marian のモデルがありません。フォルダーを指定する (marian:FOLDER) か、先に `hf download {USUAL}` で取得してください",
        ) from error
    return tokenizer, network.eval()


def _written(content: list[Part], told: Callable[[str], str]) -> str:
    """Parts in English: runs of Japanese by the network, each piece between kept ones by itself."""
    return re.sub(" +(?=[,:)])", "", "".join(_kept(part) if isinstance(part, Kept) else _run(part, told) for part in content))


def _kept(part: Kept) -> str:
    return part.english


def _run(part: Japanese, told: Callable[[str], str]) -> str:
    slots = iter(part.slots)
    out = []
    for piece in re.split(f"({SLOT})", part.text):
        if piece == SLOT:
            slot = next(slots)
            out.append(slot.opening + _written(slot.content, told) + slot.closing if isinstance(slot, Group) else slot)
        elif piece:
            out.append(told(piece))
    return " ".join(out)
