"""What the interpreter is asked to do while a file is read: everything but opening that file and mapping it counts as harm."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_watched: list[Path] = []
_events: list[str] = []
_hooked: list[bool] = []


@contextmanager
def watching(file: Path) -> Iterator[list[str]]:
    """The events that have no place in reading this file, in a list that fills while the block runs."""
    if not _hooked:
        sys.addaudithook(_note)  # there is no way to take it off again
        _hooked.append(True)
    _events.clear()
    _watched.append(file)
    try:
        yield _events
    finally:
        _watched.clear()


def _note(event: str, args: tuple[object, ...]) -> None:
    if not _watched or event in ("mmap.__new__", "builtins.id") or (event == "open" and str(args[0]) == str(_watched[0])):
        return
    _events.append(f"{event}{args!r:.80}")
