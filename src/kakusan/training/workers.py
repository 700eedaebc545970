"""Work done by several processes at once, for what Python computes picture by picture."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

import torch

A = TypeVar("A")
B = TypeVar("B")


def spread(work: Callable[[A], B], parts: Sequence[A], workers: int) -> Iterator[B]:
    """`work(part)` of every part, in order; with one worker in this process, else each on one thread of a process of its own.

    work: a function of a module, so that another process finds it.
    """
    if workers == 1:
        yield from map(work, parts)
        return
    # spawn, not fork: a process that uses a GPU cannot be forked
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(work, parts)
