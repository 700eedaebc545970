"""Settings out of a JSON file, none of them overlooked: each is used, known to change nothing, or refused."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from ..errors import FileError

T = TypeVar("T", int, float, str, bool)

KINDS = {int: "a whole number from 0", float: "a number", str: "a text", bool: "true / false"}


class Fields:
    """The settings of one JSON object, taken one by one; `done` at the end. Raises FileError naming file and setting."""

    def __init__(self, file: Path):
        self.file = file
        self.left = read_json(file)

    def within(self, name: str, *stronger: str) -> None:
        """Goes on with the settings inside the one called `name` alone, overruled by those inside `stronger` where there are any."""
        inner: dict[str, Any] = {}
        for one in (name, *(other for other in stronger if self.left.get(other) is not None)):
            value = self.left.get(one)
            if not isinstance(value, dict):
                self.refuse(one, value, "an object of settings")
            inner |= value
        self.left = inner

    def take(self, name: str, kind: type[T], default: T | None = None) -> T:
        """The value of a setting, of the kind asked for; it may be absent only if there is a default."""
        if name not in self.left:
            if default is None:
                raise FileError(f'{self.file}: "{name}" is missing', f'{self.file}: "{name}" がありません')
            return default
        return self._as(name, kind, self.left.pop(name))

    def take_each(self, name: str, kind: type[T]) -> tuple[T, ...]:
        """The values of a setting that is a list."""
        value = self.left.pop(name, None)
        if not isinstance(value, list) or not value:
            self.refuse(name, value, "a list with one entry a level")
        return tuple(self._as(name, kind, one) for one in value)

    def take_one_or_each(self, name: str, kind: type[T], default: T) -> T | tuple[T, ...]:
        """The value of a setting that is one for all levels, or a list with one for each."""
        return self.take_each(name, kind) if isinstance(self.left.get(name), list) else self.take(name, kind, default)

    def take_same(self, name: str, kind: type[T], default: T) -> T:
        """The value of a setting that may be given for each level but has to be the same in all."""
        value = self.take_one_or_each(name, kind, default)
        if not isinstance(value, tuple):
            return value
        if len(set(value)) > 1:
            self.refuse(name, list(value), "the same for every level")
        return value[0]

    def expect(self, known: Mapping[str, Iterable[object]]) -> None:
        """Settings that may be absent, and have to be one of the values known if they are there."""
        for name, values in known.items():
            if name in self.left:
                value = self.left.pop(name)
                if value not in values:
                    self.refuse(name, value, " / ".join(json.dumps(v) for v in values))

    def ignore(self, names: Iterable[str]) -> None:
        """Settings that change nothing in what is computed."""
        for name in names:
            self.left.pop(name, None)

    def done(self) -> None:
        """Refuses what nobody took."""
        for name, value in self.left.items():
            shown = json.dumps({name: value})[1:-1]
            raise FileError(
                f"{self.file}: {shown} is a setting kakusan does not know and will not guess at",
                f"{self.file}: {shown} は未知の設定です (推測では読み込みません)",
            )

    def refuse(self, name: str, value: object, wanted: str) -> NoReturn:
        """Says what a setting is and what it should be."""
        shown = json.dumps(value, default=str)
        raise FileError(
            f'{self.file}: "{name}" is {shown}; kakusan reads only {wanted}',
            f'{self.file}: "{name}" が {shown} です。対応しているのは {wanted} だけです',
        )

    def _as(self, name: str, kind: type[T], value: object) -> T:
        if kind is float and type(value) is int:
            return kind(value)
        if type(value) is not kind or (kind is int and kind(value) < 0):
            self.refuse(name, value, KINDS[kind])
        return kind(value)


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises FileError if there is none."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"{file}: cannot be read ({error.strerror})", f"{file}: 読み込めません ({error.strerror})") from error
    except ValueError as error:
        raise FileError(f"{file}: not valid JSON ({error})", f"{file}: JSON として読めません ({error})") from error
    if not isinstance(values, dict):
        raise FileError(f"{file}: not a JSON object of settings", f"{file}: 設定の JSON オブジェクトではありません")
    return values


def write_json(file: Path, values: Mapping[str, object]) -> None:
    """The settings in a file, by name."""
    file.write_text(json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
