"""Two ways of computing the same, timed in turns in one process, beside what the machine could do at best."""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

Call = Callable[[], Tensor]
GEMM = 2048


class Times(NamedTuple):
    """Seconds of each round: by the clock, and of all cores together."""

    wall: list[float]
    cpu: list[float]


def arguments(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--size", choices=("sd1", "small"), default="sd1", help="small: a smoke test")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="cores to use (all)")
    parser.add_argument("--channels-last", action="store_true", help="ours in that memory format")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    return options


def flops(call: Call) -> int:
    """Floating-point operations of the matrix products and convolutions in a call, by torch's own count."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


@torch.inference_mode()
def compare(title: str, ours: Call, theirs: Call, work: int, rounds: int) -> None:
    """Prints the medians of both and their ratio. The first round of each is not counted."""
    calls = {"kakusan": ours, "diffusers": theirs, "matrix product": _gemm()}
    first = {name: call() for name, call in calls.items()}
    error = ((first["kakusan"] - first["diffusers"]).abs().max() / first["diffusers"].std()).item()
    times = {name: Times([], []) for name in calls}
    for round_ in range(rounds):
        for name in list(calls)[:: 1 if round_ % 2 else -1]:
            wall, cpu = time.perf_counter(), time.process_time()
            calls[name]()
            times[name].wall.append(time.perf_counter() - wall)
            times[name].cpu.append(time.process_time() - cpu)
    _print(title, times, work, rounds, error)


def _gemm() -> Call:
    a, b, out = torch.randn(GEMM, GEMM), torch.randn(GEMM, GEMM), torch.empty(GEMM, GEMM)
    return lambda: torch.mm(a, b, out=out)


def _print(title: str, times: dict[str, Times], work: int, rounds: int, error: float) -> None:
    rate = 2 * GEMM**3 / min(times.pop("matrix product").wall)
    table = Table(title=f"{title}\n{work / 1e9:,.0f} GFLOP, {rounds} rounds, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for column in ("", "median s", "fastest s", "CPU s", "GFLOP/s", "of a matrix product"):
        table.add_column(column, justify="right" if column else "left")
    for name, (wall, cpu) in times.items():
        median = statistics.median(wall)
        speed = work / median
        numbers = (f"{median:.3f}", f"{min(wall):.3f}", f"{statistics.median(cpu):.3f}", f"{speed / 1e9:.0f}", f"{speed / rate:.0%}")
        table.add_row(name, *numbers)
    table.add_row("limit", f"{work / rate:.3f}", "", "", f"{rate / 1e9:.0f}", "100%")
    console = Console()
    console.print(table)
    wall, cpu = (statistics.median(b) / statistics.median(a) for a, b in zip(times["kakusan"], times["diffusers"], strict=True))
    console.print(f"diffusers / kakusan: {wall:.3f} by the clock, {cpu:.3f} in CPU time; largest difference {error:.1e} of the deviation")
