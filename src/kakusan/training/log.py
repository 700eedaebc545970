"""Figures of a run, as CSV and, where the package is installed, TensorBoard; and a line of progress with the time left."""

import csv
import sys
import time
from pathlib import Path
from typing import Any

from ..messages import tr


class Log:
    """Appends rows of named figures to `folder/log.csv`; `step` is always the first column."""

    def __init__(self, folder: Path):
        self.path = folder / "log.csv"
        self.board: Any = _tensorboard(folder)

    def write(self, step: int, figures: dict[str, float]) -> None:
        """One row a figure (step, name, value): columns never have to be known beforehand."""
        fresh = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(["step", "figure", "value"])
            writer.writerows([step, name, f"{value:.6g}"] for name, value in figures.items())
        if self.board is not None:
            for name, value in figures.items():
                self.board.add_scalar(name, value, step)

    def forget_after(self, step: int) -> None:
        """Drop the rows of steps that a resumed run will make again."""
        if self.path.exists():
            head, *rows = self.path.read_text(encoding="utf-8").splitlines()
            kept = [row for row in rows if int(row.split(",", 1)[0]) <= step]
            self.path.write_text("\n".join([head, *kept]) + "\n", encoding="utf-8")


class Progress:
    """`name: step 1200/8000, loss 0.31, 14.2 steps/s, 8 min left` on one line of a terminal, or a line a minute in a file."""

    def __init__(self, name: str):
        self.name, self.start, self.last = name, time.monotonic(), 0.0
        self.live = sys.stderr.isatty()

    def show(self, step: int, steps: int | None, seconds_left: float, figures: dict[str, float]) -> None:
        """Print now if enough time has passed since the last line."""
        now = time.monotonic()
        if now - self.last < (0.5 if self.live else 30):
            return
        self.last = now
        words = ", ".join(f"{k} {v:.4g}" for k, v in figures.items())
        left = tr(f"{seconds_left / 60:.1f} min left", f"残り {seconds_left / 60:.1f} 分")
        line = ", ".join(filter(None, [f"{self.name}: {step}" + (f"/{steps}" if steps else ""), words, left]))
        print(("\r\x1b[K" if self.live else "") + line, end="" if self.live else "\n", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line."""
        if self.live:
            print(file=sys.stderr, flush=True)


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))
