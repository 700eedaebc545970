"""How far a loop has come: a bar in a notebook or on a terminal, nothing elsewhere.

`for t in pipe.progress_bar(timesteps): ...`   `with pipe.progress_bar(total=50) as bar: bar.update()`
"""

import sys
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, Protocol, Self


class Drawn(Protocol):
    """A bar that can be seen."""

    def show(self, done: int) -> None:
        """Let it stand at that many."""

    def close(self) -> None:
        """Leave it as it is."""


class Bar:
    """Counts up to `total`, which is the length of `iterable` unless given."""

    def __init__(self, iterable: Iterable[Any] | None = None, total: int | None = None, desc: str | None = None, disable: bool = False):
        self.iterable, self.done = iterable, 0
        self.total = len(iterable) if total is None and isinstance(iterable, Sized) else total
        self.desc, self.disable = desc or "", disable
        self._drawn: Drawn | None = None

    def update(self, count: int = 1) -> None:
        """That many more are done."""
        self.done += count
        if self._drawn is None and not self.disable:
            self._drawn = _drawn(self.total, self.desc)
        if self._drawn is not None:
            self._drawn.show(self.done)

    def close(self) -> None:
        """No more will come."""
        if self._drawn is not None:
            self._drawn.close()

    def __iter__(self) -> Iterator[Any]:
        with self:
            for one in () if self.iterable is None else self.iterable:
                yield one
                self.update()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _InNotebook:
    def __init__(self, total: int | None, desc: str):
        from IPython import display

        self.bar = vars(display)["ProgressBar"](total or 1)
        self.bar.display()

    def show(self, done: int) -> None:
        self.bar.progress = done

    def close(self) -> None:
        self.bar.update()


class _OnTerminal:
    def __init__(self, total: int | None, desc: str):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=Console(stderr=True), redirect_stdout=False, redirect_stderr=False)
        self.task = self.progress.add_task(desc, total=total)
        self.progress.start()

    def show(self, done: int) -> None:
        self.progress.update(self.task, completed=done)

    def close(self) -> None:
        self.progress.stop()


def _drawn(total: int | None, desc: str) -> Drawn | None:
    if "ipykernel" in sys.modules:
        return _InNotebook(total, desc)
    return _OnTerminal(total, desc) if sys.stderr.isatty() else None
