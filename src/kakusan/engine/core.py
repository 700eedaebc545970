"""The engine: choose waiting work of one kind, run it in one network call, hand each task its rows; again.

Continuous batching at the level of single steps, as Orca does for text (Yu et al. 2022,
https://www.usenix.org/conference/osdi22/presentation/yu), for every network of a picture request.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import torch
from torch import Tensor

from ..errors import KakusanError
from ..types import Task
from .job import Job, Record
from .rows import Kind, collate

Network = Callable[..., Tensor]
"""Takes collated columns (n ...), gives (n ...): row i of the output answers row i of the input."""


class Engine:
    """Drives one task or thousands. One thread owns it; jobs come and go between ticks, or from within tasks.

    networks: name -> network, as tasks name them in `Work.model`.
    max_rows: most rows in a call, for all networks or for each; a single Work that is larger runs alone.
    buckets: sizes that calls are padded to (with copies of the last row), so that few shapes are compiled or captured.
    calls, rows: network calls made (also those that failed), and rows asked for in them.
    """

    def __init__(
        self, networks: Mapping[str, Network], max_rows: Mapping[str, int] | int = 16, buckets: Sequence[int] = (1, 2, 4, 8, 16)
    ) -> None:
        limits = dict(max_rows) if isinstance(max_rows, Mapping) else dict.fromkeys(networks, max_rows)
        if limits.keys() != networks.keys() or min((*limits.values(), *buckets), default=1) < 1:
            raise ValueError(f"max_rows {limits} and buckets {tuple(buckets)} must be positive, and name the networks {list(networks)}")
        self.networks, self.max_rows, self.buckets = networks, limits, tuple(sorted(buckets))
        self.calls = self.rows = 0
        self._jobs: dict[Job, None] = {}  # in order of arrival
        self._turns = count()
        self._fits: dict[Kind, int] = {}  # most rows, where memory has been seen to allow no more
        self._ticking = False

    @property
    def jobs(self) -> list[Job]:
        """Jobs that are not settled, in order of arrival."""
        return [job for job in self._jobs if not job.settled]

    def submit(
        self, task: Task, *, priority: float = 0, reproducible: bool = False, record: bool = True, journal: Record | None = None
    ) -> Job:
        """Start a task. A task that fails at once gives a failed job, not an exception."""
        return self.add(Job(task, priority=priority, reproducible=reproducible, record=record, journal=journal))

    def add(self, job: Job) -> Job:
        """Take in a job that already stands somewhere: from `replay`, `resume` or another engine."""
        self._jobs[job], job.turn = None, next(self._turns)
        return job

    def run(self) -> None:
        """Tick until every job is settled or paused."""
        while self.tick():
            pass

    def tick(self) -> bool:
        """One batched call: choose, run, hand back. False if no job was waiting for one."""
        if self._ticking:
            raise RuntimeError("a task called tick() while the engine was running it; a task yields its work instead")
        self._ticking = True
        try:
            self._jobs = dict.fromkeys(self.jobs)
            batch = self._choose()
            self._serve(batch)
            return bool(batch)
        finally:
            self._ticking = False

    def _choose(self) -> list[Job]:
        """Longest-waiting first, priority counting as time waited; then all of its kind that fit beside it."""
        ready = sorted((job for job in self._jobs if job.ready), key=lambda job: (-job.waited - job.priority, job.turn))
        batch: list[Job] = []
        rows = 0
        for job in ready:
            if not batch or (self._share(batch[0], job) and rows + len(job.rows) <= self._limit(job)):
                batch.append(job)
                rows += len(job.rows)
                job.turn = next(self._turns)
            else:
                job.waited += 1
        return batch

    def _share(self, first: Job, job: Job) -> bool:
        return job.kind == first.kind and not (first.reproducible or job.reproducible)

    def _limit(self, job: Job) -> int:
        assert job.kind is not None
        limit = self.max_rows.get(job.kind.model, 1)
        return min(limit, self._fits.get(job.kind, limit))

    def _serve(self, batch: list[Job]) -> None:
        """Run a batch; where that fails, smaller ones, until only the jobs that fail alone are failed."""
        batch = [job for job in batch if job.work]  # a task that ran just now may have cancelled others
        if not batch:
            return
        out = self._attempt(batch)
        if isinstance(out, Tensor):
            hand_back(batch, out)
        elif len(batch) == 1:
            batch[0].fail(out)
        elif out_of_memory(out):
            half = len(batch) // 2
            if batch[0].kind:
                self._fits[batch[0].kind] = max(1, sum(len(job.rows) for job in batch) // 2)
            self._serve(batch[:half])
            self._serve(batch[half:])
        else:
            for job in batch:
                self._serve([job])

    def _attempt(self, batch: list[Job]) -> Tensor | Exception:
        """One network call for the rows of the batch: its output (rows ...), or what it raised."""
        assert batch[0].kind is not None
        model, rows = batch[0].kind.model, [row for job in batch for row in job.rows]
        size = min((bucket for bucket in self.buckets if bucket >= len(rows)), default=len(rows))
        try:
            if model not in self.networks:
                raise KakusanError(
                    f"the task asks for network {model!r}; this engine has {', '.join(self.networks)}",
                    f"タスクがネットワーク {model!r} を求めていますが、このエンジンにあるのは {', '.join(self.networks)} です",
                )
            self.calls, self.rows = self.calls + 1, self.rows + len(rows)
            return call(model, self.networks[model], rows, size)
        except Exception as error:
            if out_of_memory(error):
                return error.with_traceback(None)  # the frames hold the very tensors that a smaller batch needs room for
            error.add_note(f"in network {model!r}, {len(rows)} rows; call {batch[0].calls + 1} of the job")
            return error


def call(model: str, network: Network, rows: list[tuple[Any, ...]], size: int) -> Tensor:
    """The network's output for these rows, run in a batch of `size` that is filled with copies of the last row."""
    with torch.inference_mode():
        out = network(*collate([*rows, *[rows[-1]] * (size - len(rows))]))
    if not isinstance(out, Tensor) or out.shape[:1] != (size,):
        given = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise KakusanError(
            f"network {model!r} gave {given} for {size} rows; it must give one tensor with a row for each",
            f"ネットワーク {model!r} が {size} 行に対して {given} を返しました。各行に 1 行のテンソルが必要です",
        )
    return out[: len(rows)]


def hand_back(batch: list[Job], out: Tensor) -> None:
    """Give each job its rows of the output (rows ...); a job with a NaN or an infinity in them fails, alone."""
    finite = out.unsqueeze(-1).flatten(1).isfinite().all(1).cpu()  # rows
    counts = [len(job.rows) for job in batch]  # taken before the first job runs on
    for job, rows, good in zip(batch, torch.split(out, counts), torch.split(finite, counts), strict=True):
        if not job.kind:
            continue  # cancelled by a neighbour that ran just now
        if good.all():
            job.take([row.clone() for row in rows])  # outside inference mode: plain tensors, that the task may change
        else:
            job.fail(not_finite(job.kind.model, job.calls + 1, (~good).nonzero().flatten().tolist()))


def not_finite(model: str, number: int, rows: list[int]) -> KakusanError:
    """The error of a job whose network overflowed."""
    return KakusanError(
        f"network {model!r} gave NaN or infinity in call {number} of this job (row {rows}); run it in float32, or lower the scale",
        f"ネットワーク {model!r} が {number} 回目の呼び出しで NaN か無限大を返しました (行 {rows})。float32 で動かすか scale を下げます",
    )


def out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch may help."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in ("out of memory", "DefaultCPUAllocator"))
