"""Ctrl-C and SIGTERM during a drawing: they end it at once, but never in the middle of writing a file."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While entered, the signals raise KeyboardInterrupt; inside `held` they only set `asked`. Works in the main thread alone."""

    def __init__(self) -> None:
        self.asked = False
        self.holding = False
        self.before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            # a signal that is ignored (a background job's Ctrl-C) stays so
            wanted = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self.before = {number: signal.signal(number, self._caught) for number in wanted}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let the block run to its end whatever signal comes."""
        self.holding = True
        try:
            yield
        finally:
            self.holding = False

    def _caught(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        if not self.holding:
            raise KeyboardInterrupt
