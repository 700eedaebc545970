"""How far a download has come, on stderr: a bar on a terminal, else a line at its start and now and then."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from ..messages import tr

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE = 0.5  # seconds before a bar appears
INTERVAL = 10.0  # seconds between lines


class Shown:
    """Bytes done out of `total`, as a context: `with Shown("downloading", total) as shown: shown.at(bytes)`."""

    def __init__(self, text: str, total: int, quiet: bool = False):
        self.text, self.total, self.quiet = text, total, quiet
        self.done = 0  # bytes of the files before this one
        self._read = 0
        self._since = self._last = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> "Shown":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def at(self, position: int) -> None:
        """So many bytes of this file are there."""
        now = time.monotonic()
        if self.quiet or now - self._since < PATIENCE:
            return
        if sys.stderr.isatty():
            if self._bar is None:
                self._bar = _bar(self.text, self.total)
            self._bar.update(self._bar.task_ids[0], completed=self.done + position)
        elif now - self._last > INTERVAL:
            self._last = now
            share = f"{(self.done + position) / max(self.total, 1):.0%}"
            print(f"{self.text}: {share} ({size(self.total)})", file=sys.stderr, flush=True)

    def read(self, count: int) -> None:
        """So many bytes more of this file were read."""
        self._read += count
        self.at(self._read)

    def finished(self, count: int) -> None:
        """A file of so many bytes is whole."""
        self.at(count)
        self.done += count
        self._read = 0


def size(count: int) -> str:
    """Bytes, for people."""
    for unit, power in (("GB", 3), ("MB", 2), ("kB", 1)):
        if count >= 1000**power:
            return f"{count / 1000**power:.1f} {unit}"
    return tr(f"{count} bytes", f"{count} バイト")


def _bar(text: str, total: int) -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False)
    bar.add_task(text, total=total)
    bar.start()
    return bar
