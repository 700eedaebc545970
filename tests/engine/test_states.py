"""Whatever is submitted, paused, resumed, cancelled, forked and ticked, in any order: each job ends as it would alone."""

import hypothesis.strategies as st
import torch
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from torch import Tensor
from toy_tasks import mean_task

from kakusan.engine import Engine, Job, replay
from kakusan.types import Task

POISON = 1000.0


def double(x: Tensor) -> Tensor:
    if (x == POISON).any():
        raise ZeroDivisionError
    if len(x) > 6 and len(x) != 7:
        raise torch.OutOfMemoryError("out of memory")
    return torch.where(x >= 2000, torch.nan, x + 1)


class Jobs(RuleBasedStateMachine):
    """A model beside the engine: for each job what it was made of, and what was done to it."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.engine = Engine({"add": double, "other": double}, max_rows=8, buckets=(2, 4, 7))
        self.made: dict[Job, tuple[int, float, int, int, str]] = {}
        self.cancelled: set[Job] = set()
        self.paused: set[Job] = set()

    def task(self, made: tuple[int, float, int, int, str]) -> Task:
        steps, value, width, rows, model = made
        return mean_task(steps, value, width, rows, model)

    @rule(
        target=jobs,
        steps=st.integers(1, 6),
        value=st.sampled_from([0.0, 10.0, POISON - 2, 2000.0 - 3]),
        width=st.sampled_from([1, 2]),
        rows=st.integers(1, 3),
        model=st.sampled_from(["add", "other"]),
        priority=st.integers(0, 3),
        reproducible=st.booleans(),
    )
    def submit(self, steps: int, value: float, width: int, rows: int, model: str, priority: int, reproducible: bool) -> Job:
        made = steps, value, width, rows, model
        job = self.engine.submit(self.task(made), priority=priority, reproducible=reproducible)
        self.made[job] = made
        return job

    @rule(target=jobs, job=jobs, part=st.floats(0, 1))
    def fork(self, job: Job, part: float) -> Job:
        made = self.made[job]
        twin = self.engine.add(replay(lambda: self.task(made), job.replies[: round(part * job.calls)]))
        self.made[twin] = made
        return twin

    @rule(job=jobs)
    def pause(self, job: Job) -> None:
        if not job.settled:
            self.paused.add(job)
        job.pause()

    @rule(job=jobs)
    def resume(self, job: Job) -> None:
        self.paused.discard(job)
        job.resume()

    @rule(job=jobs)
    def cancel(self, job: Job) -> None:
        if not job.settled:
            self.cancelled.add(job)
        self.paused.discard(job)
        job.cancel()

    @rule(times=st.integers(1, 5))
    def tick(self, times: int) -> None:
        for _ in range(times):
            before = {job: job.calls for job in self.made}
            waiting = [job for job in self.made if job.state == "waiting"]
            assert self.engine.tick() == bool(waiting)
            assert all(job.calls == before[job] for job in self.made if job not in waiting)
            moved = [job for job in waiting if job.calls > before[job] or job.settled]
            assert bool(moved) == bool(waiting)

    @invariant()
    def states_agree(self) -> None:
        assert {job for job in self.made if job.state == "paused"} == self.paused
        assert {job for job in self.made if job.state == "cancelled"} == self.cancelled
        assert self.engine.jobs == [job for job in self.made if not job.settled]
        for job in self.made:
            assert job.calls == len(job.replies) <= self.made[job][0]

    def teardown(self) -> None:
        for job in self.made:
            job.resume()
        self.engine.run()
        for job, (steps, value, _, _, _) in self.made.items():
            reached = value + steps
            poisoned = next((limit for limit in (POISON, 2000.0) if value <= limit < reached), None)
            if job in self.cancelled:
                assert job.state == "cancelled"
            elif poisoned is not None:
                assert job.state == "failed"
                assert job.calls == poisoned - value
            else:
                assert job.result is not None
                assert job.result[0].item() == reached


TestJobs = Jobs.TestCase
TestJobs.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
