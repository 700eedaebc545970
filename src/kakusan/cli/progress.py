"""How far a drawing has come, on stderr: a bar on a terminal, else a line for each picture."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..messages import tr

if TYPE_CHECKING:
    from ..pipeline import Step

Show = Callable[["Step"], None]


@contextmanager
def progress(pictures: int, quiet: bool = False) -> Iterator[Show]:
    """A function to be called with each step of the pipeline."""
    if quiet:
        yield lambda step: None
    elif sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield _lines(pictures)


@contextmanager
def said_if_slow(text: str, quiet: bool = False, seconds: float = 2.0) -> Iterator[None]:
    """Tell whoever waits at a terminal `text` if the block takes longer than `seconds`."""
    timer = threading.Timer(seconds, lambda: print(text, file=sys.stderr, flush=True))
    timer.daemon = True
    if not quiet and sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _bar() -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(tr("drawing", "描画中")),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task("", total=None, rate="")
        start = time.monotonic()

        def show(step: "Step") -> None:
            bar.update(task, completed=step.done, total=step.total, rate=_rate(step.done, start))

        yield show


def _lines(pictures: int) -> Show:
    start, finished = time.monotonic(), 0

    def show(step: "Step") -> None:
        nonlocal finished
        if step.image is not None:
            finished += 1
            text = tr(f"picture {finished} of {pictures}", f"{pictures} 枚中 {finished} 枚目")
            print(f"{text}  {_rate(step.done, start)}", file=sys.stderr, flush=True)

    return show


def _rate(done: int, start: float) -> str:
    """Evaluations of a network a second, of all pictures together."""
    return f"{done / max(time.monotonic() - start, 1e-9):.1f} it/s"
