"""How much of a file has been read or written, on stderr, if that takes long: a bar on a terminal, else a line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 2.0
"""Seconds in which nothing is shown."""
LINES_EVERY = 10.0

Moved = Callable[[int], None]
"""Told how many bytes more there are."""


@contextmanager
def transfer(text: str, total: int, quiet: bool = False) -> Iterator[Moved]:
    """A function to be told of bytes read or written, `total` in all: what is done with them is called `text`."""
    if quiet:
        yield lambda count: None
    elif sys.stderr.isatty():
        with _bar(text, total) as moved:
            yield moved
    else:
        yield _lines(text, total)


@contextmanager
def _bar(text: str, total: int) -> Iterator[Moved]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), redirect_stdout=False, redirect_stderr=False)
    task, begun, shown = bar.add_task(text, total=total), time.monotonic(), False

    def moved(count: int) -> None:
        nonlocal shown
        if not shown and time.monotonic() - begun > PATIENCE:
            bar.start()
            shown = True
        bar.advance(task, count)

    try:
        yield moved
    finally:
        if shown:
            bar.stop()


def _lines(text: str, total: int) -> Moved:
    done, due = 0, time.monotonic() + PATIENCE

    def moved(count: int) -> None:
        nonlocal done, due
        done += count
        if time.monotonic() > due:
            due = time.monotonic() + LINES_EVERY
            print(f"{text}: {done / max(total, 1):.0%}", file=sys.stderr, flush=True)

    return moved
