"""Lists on stdout, for people or as JSON."""

import json
import sys
from collections.abc import Sequence
from unicodedata import east_asian_width


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of equal length in columns; a Japanese character takes two places."""
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text + " " * (width - columns(text)) for text, width in zip(row, widths, strict=True)).rstrip())


def print_json(value: object) -> None:
    """Print a value as JSON, in plain ASCII where the terminal has nothing better."""
    print(json.dumps(value, ensure_ascii=(sys.stdout.encoding or "").lower() != "utf-8", indent=2))


def columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(2 if east_asian_width(character) in "FW" else 1 for character in text)
