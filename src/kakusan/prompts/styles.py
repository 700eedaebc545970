"""Styles: words that are put round a prompt, from a file with a name, a prompt and a negative prompt for each.

A .csv file has the columns name, prompt, negative_prompt, as AUTOMATIC1111's styles.csv; a .toml file has a table for each style:

    [ink]
    prompt = "ink drawing of {prompt}, monochrome"
    negative = "photo"
"""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from ..errors import FileError, KakusanError

PLACE = "{prompt}"


class Style(NamedTuple):
    """What is put round a prompt and a negative prompt: at `{prompt}` in it stands the prompt, else the words follow it."""

    prompt: str = ""
    negative: str = ""


def styled(prompt: str, negative: str, styles: Iterable[Style]) -> tuple[str, str]:
    """Prompt and negative prompt in styles, one after the other."""
    for style in styles:
        prompt, negative = _put(style.prompt, prompt), _put(style.negative, negative)
    return prompt, negative


def named(names: Iterable[str], styles: Mapping[str, Style]) -> list[Style]:
    """The styles of these names. Raises KakusanError naming one that there is not."""
    names = list(names)
    for name in names:
        if name not in styles:
            known = ", ".join(styles)
            raise KakusanError(f"no style called {name!r}; there are: {known}", f"スタイル {name!r} はありません。あるもの: {known}")
    return [styles[name] for name in names]


def read_styles(file: Path) -> dict[str, Style]:
    """The styles of a file, by name. Raises FileError if it cannot be read or is no such file."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise FileError(f"{file}: cannot be read ({reason})", f"{file}: 読み込めません ({reason})") from error
    styles = _of_toml(file, text) if file.suffix.lower() == ".toml" else _of_csv(file, text)
    if not styles:
        raise FileError(f"{file}: no style in it", f"{file}: スタイルがありません")
    return styles


def _put(style: str, words: str) -> str:
    if PLACE in style:
        return style.replace(PLACE, words)
    return ", ".join(part for part in (words.strip(), style.strip()) if part)


def _of_csv(file: Path, text: str) -> dict[str, Style]:
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise FileError(f"{file}: not a CSV file ({error})", f"{file}: CSV ファイルではありません ({error})") from error
    if rows and "name" not in rows[0]:
        raise FileError(
            f"{file}: no column called name; its first line should be name,prompt,negative_prompt",
            f"{file}: name の列がありません。1 行目は name,prompt,negative_prompt にしてください",
        )
    negative = {row["name"]: row.get("negative_prompt") or row.get("negative") or "" for row in rows}
    return {row["name"]: Style(row.get("prompt") or "", negative[row["name"]]) for row in rows if row["name"]}


def _of_toml(file: Path, text: str) -> dict[str, Style]:
    import tomllib

    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileError(f"{file}: not a TOML file ({error})", f"{file}: TOML ファイルではありません ({error})") from error
    styles: dict[str, Style] = {}
    for name, table in tables.items():
        said = table if isinstance(table, dict) else {name: table}
        for key, value in said.items():
            if key not in Style._fields or not isinstance(value, str):
                raise FileError(
                    f"{file}: {name}: {key} is not prompt or negative with a text",
                    f"{file}: {name}: {key} は prompt か negative で、値は文字列にしてください",
                )
        styles[name] = Style(**said)
    return styles
