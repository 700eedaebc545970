"""Our own record of a picture, as JSON: its whole recipe, what drew it, and the hashes of what it was made from.

{"kakusan": 1, "recipe": {...}, "made": {...}, "model": {file: sha256}, "inputs": {...}}. A recipe's fields are written by their names,
dataclasses within as objects, so that a field that somebody adds is recorded without a word here; `Recipe.parse` need not know it.
"""

import hashlib
import json
import platform
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ..errors import KakusanError
from ..messages import tr
from ..tasks.recipe import Recipe

if TYPE_CHECKING:
    from PIL.Image import Image

FORMAT = 1
"""Counted up when an older kakusan would misread what is written; what is only new it leaves out, and tells."""
T = TypeVar("T")


@dataclass(frozen=True)
class Made:
    """What drew a picture. device: with its name, where it has one; cpu: what the processor can do; both can change the last bits."""

    kakusan: str = ""
    torch: str = ""
    device: str = ""
    dtype: str = ""
    cpu: str = ""


@dataclass(frozen=True)
class Input:
    """A picture that a picture was made from. sha256: of its pixels, row by row, 8 bits a channel; not of its file."""

    sha256: str
    width: int
    height: int


@dataclass(frozen=True)
class Inputs:
    """The pictures that one was made from, None for none; resize: how they were made to fit; width, height: as asked for, 0 if not."""

    image: Input | None = None
    mask: Input | None = None
    depth: Input | None = None
    resize: str = "crop"
    width: int = 0
    height: int = 0


NO_INPUTS = Inputs()


@dataclass(frozen=True)
class Record:
    """A recipe, and everything else that decided the picture. model: SHA-256 of the files of weights, by their names."""

    recipe: Recipe
    made: Made = Made()
    model: Mapping[str, str] = field(default_factory=dict)
    inputs: Inputs = NO_INPUTS

    def text(self) -> str:
        """As JSON; what is as always is left out."""
        told = {name: plain(getattr(self, name)) for name in ("recipe", "made", "model")}
        if self.inputs != NO_INPUTS:
            told["inputs"] = plain(self.inputs)
        return json.dumps({"kakusan": FORMAT, **told}, ensure_ascii=False, separators=(",", ":"))


def read_record(text: str) -> tuple[Record, list[str]]:
    """The record of a text, and what in it this kakusan does not know. Raises KakusanError if it is none."""
    notes: list[str] = []
    try:
        told = json.loads(text)
        if not (isinstance(told, dict) and isinstance(told.get("kakusan"), int)):
            raise TypeError("no number of the format")
        if told["kakusan"] > FORMAT:
            notes.append(tr("recorded by a newer kakusan; update to be sure", "新しい kakusan の記録です。更新をお勧めします"))
        record = rebuilt(Record, {key: value for key, value in told.items() if key != "kakusan"}, "", notes)
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        if isinstance(error, KakusanError):
            raise
        raise KakusanError(
            f"kakusan's record in the picture is damaged ({error})"[:300], "画像の中の kakusan の記録が壊れています"
        ) from error
    return record, notes


def made(device: str, dtype: str) -> Made:
    """What draws here and now. device, dtype: as torch calls them."""
    import torch

    if device.startswith("cuda"):
        device = f"{device} {torch.cuda.get_device_name(device)}"
    cpu = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    return Made(version("kakusan"), torch.__version__, device, dtype.removeprefix("torch."), cpu)


def pixels(picture: "Image") -> Input:
    """What names a picture whatever file it lies in."""
    return Input(hashlib.sha256(picture.tobytes()).hexdigest(), picture.width, picture.height)


def plain(value: Any) -> Any:
    """A value as JSON has it: dataclasses become objects, tuples lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{type(value).__name__} cannot be recorded")


def rebuilt(kind: type[T], value: object, where: str, notes: list[str]) -> T:
    """A dataclass out of the object that `plain` made of it. notes: get the fields that are not known here.

    Raises KakusanError on a value of another kind, or on one missing that has no default.
    """
    if not isinstance(value, dict):
        raise _wrong(where, value)
    hints = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for name in [name for name in value if name not in known][:20]:
        shown = f"{where}{name}"[:80]
        notes.append(tr(f"{shown} is not known to this kakusan: left out", f"{shown} はこの kakusan では未対応のため省略"))
    made_of = {}
    for name, f in known.items():
        if name in value:
            made_of[name] = _of(hints[name], value[name], f"{where}{name}", notes)
        elif f.default is MISSING and f.default_factory is MISSING:
            raise KakusanError(f"kakusan's record: {where}{name} is missing", f"kakusan の記録に {where}{name} がありません")
    return kind(**made_of)


def _of(hint: Any, value: Any, where: str, notes: list[str]) -> Any:
    origin, parts = get_origin(hint), get_args(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        return rebuilt(hint, value, f"{where}.", notes)
    if origin is Literal:
        if value in parts:
            return value
    elif origin in (Union, types.UnionType):
        return _either(parts, value, where, notes)
    elif origin in (tuple, list) and isinstance(value, list):
        if origin is list or parts[1:] == (Ellipsis,):
            return origin(_of(parts[0], one, f"{where}[{i}]", notes) for i, one in enumerate(value))
        if len(parts) == len(value):
            return tuple(_of(part, one, f"{where}[{i}]", notes) for i, (part, one) in enumerate(zip(parts, value, strict=True)))
    elif isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, dict):
        return {str(key): _of(parts[1], one, f"{where}.{key}", notes) for key, one in value.items()}
    elif hint is Any or hint is object or (hint in (None, type(None)) and value is None):
        return value
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif hint in (str, int, bool) and type(value) is hint:
        return value
    raise _wrong(where, value)


def _either(parts: tuple[Any, ...], value: Any, where: str, notes: list[str]) -> Any:
    """The first of several types that fits."""
    for part in sorted(parts, key=lambda part: part is float):  # whole numbers stay whole
        tried: list[str] = []
        try:
            found = _of(part, value, where, tried)
        except KakusanError:
            continue
        notes += tried
        return found
    raise _wrong(where, value)


def _wrong(where: str, value: object) -> KakusanError:
    shown = repr(value)[:60]
    return KakusanError(f"kakusan's record: {where or 'it'} is {shown}", f"kakusan の記録: {where} が {shown} です")
