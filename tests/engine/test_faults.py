"""A fault ends the one job it belongs to: errors of tasks, poisonous rows, NaN, memory."""

import gc
import weakref

import pytest
import torch
from torch import Tensor
from toy_tasks import mean_task

from kakusan.engine import Engine
from kakusan.errors import KakusanError
from kakusan.types import Task, Work


def add(x: Tensor) -> Tensor:
    return x + 1


def test_a_task_that_raises_fails_alone() -> None:
    def broken(after: int) -> Task:
        yield from mean_task(after)
        raise LookupError("no such style")

    engine = Engine({"add": add})
    jobs = [engine.submit(broken(after)) for after in (0, 1, 3)]
    good = [engine.submit(mean_task(4)) for _ in range(3)]
    assert jobs[0].state == "failed"
    engine.run()
    assert [(job.state, str(job.error), job.calls) for job in jobs] == [("failed", "no such style", n) for n in (0, 1, 3)]
    assert all(job.state == "done" and job.calls == 4 for job in good)
    assert engine.calls == 4


def test_a_task_that_fails_while_being_closed_stays_cancelled() -> None:
    def task() -> Task:
        try:
            return (yield from mean_task(4))
        finally:
            raise OSError("clean-up")

    engine = Engine({"add": add})
    job, other = engine.submit(task()), engine.submit(mean_task(2))
    job.cancel()
    engine.run()
    assert job.state == "cancelled"
    assert isinstance(job.error, OSError)
    assert other.state == "done"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3, 3)])
def test_a_row_that_is_not_finite_fails_its_own_job(bad: float, shape: tuple[int, ...]) -> None:
    def network(x: Tensor) -> Tensor:
        return torch.where(x == 3, torch.tensor(bad), x + 1)

    def task(start: float, at: int) -> Task:
        x = torch.full(shape, -50.0)
        x.view(-1)[-1] = start
        for _ in range(4):
            x = (yield Work("unet", [(torch.zeros(shape),), (x,)][at:]))[-1]
        return x

    engine = Engine({"unet": network})
    good, poor, worse = engine.submit(task(10, 0)), engine.submit(task(1, 0)), engine.submit(task(2, 1))
    engine.run()
    assert good.state == "done"
    assert poor.state == "failed"
    assert isinstance(poor.error, KakusanError)
    assert poor.calls == 2
    assert "'unet'" in str(poor.error)
    assert "call 3 " in poor.error.en
    assert "row [1]" in poor.error.en
    assert "3 回目" in poor.error.ja
    assert worse.state == "failed"
    assert worse.calls == 1
    assert engine.calls == 4  # nothing was run again


def test_a_poisonous_row_fails_its_own_job() -> None:
    sizes = []

    def network(x: Tensor) -> Tensor:
        sizes.append(len(x))
        if (x == 66).any():
            raise ZeroDivisionError("poison")
        return x + 1

    engine = Engine({"add": network}, buckets=())
    jobs = [engine.submit(mean_task(3, value)) for value in (0, 10, 65, 20)]
    engine.run()
    assert [job.state for job in jobs] == ["done", "done", "failed", "done"]
    assert isinstance(jobs[2].error, ZeroDivisionError)
    assert "call 2 of the job" in jobs[2].error.__notes__[-1]
    assert "'add'" in jobs[2].error.__notes__[-1]
    assert sizes == [4, 4, 1, 1, 1, 1, 3]
    assert [job.result[0].item() for job in jobs if job.result is not None] == [3, 13, 23]


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("MPS backend out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:125] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda e: type(e).__name__ + str(e)[:4])
def test_out_of_memory_halves_the_batch_and_remembers(error: Exception) -> None:
    sizes = []

    def network(x: Tensor) -> Tensor:
        sizes.append(len(x))
        if len(x) > 3:
            raise error
        return x + 1

    engine = Engine({"add": network}, buckets=())
    jobs = [engine.submit(mean_task(2)) for _ in range(12)]
    engine.run()
    assert all(job.state == "done" and job.calls == 2 for job in jobs)
    assert sizes == [12, 6, 3, 3, 6, 3, 3, 3, 3, 3, 3]  # the second round starts with what was found to fit


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("out of memory"), ZeroDivisionError()])
def test_cancelled_by_a_neighbour_while_a_batch_is_run_in_parts(error: Exception) -> None:
    sizes = []

    def network(x: Tensor) -> Tensor:
        sizes.append(len(x))
        if len(x) > 2:
            raise error
        return x + 1

    def killer() -> Task:
        (x,) = yield Work("add", [(torch.zeros(3),)])
        for victim in victims:
            victim.cancel()
        return x

    engine = Engine({"add": network}, buckets=())
    first = engine.submit(killer())
    victims = [engine.submit(mean_task(1)) for _ in range(3)]
    engine.tick()
    assert first.state == "done"
    assert all(victim.state == "cancelled" and victim.calls == 0 for victim in victims)
    assert sizes[1:] in ([2], [1])  # nobody is left in the other parts


def test_real_allocation_failure() -> None:
    def network(x: Tensor) -> Tensor:
        return x + torch.empty(2**50 if len(x) > 2 else 1, dtype=torch.uint8)[0] * 0

    engine = Engine({"add": network})
    jobs = [engine.submit(mean_task(2)) for _ in range(5)]
    engine.run()
    assert [job.state for job in jobs] == ["done"] * 5


def test_one_work_too_large_for_memory_fails_alone() -> None:
    def network(x: Tensor) -> Tensor:
        if len(x) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x + 1

    engine = Engine({"add": network}, buckets=())
    large, small = engine.submit(mean_task(2, rows=5)), [engine.submit(mean_task(2)) for _ in range(5)]
    engine.run()
    assert large.state == "failed"
    assert isinstance(large.error, torch.OutOfMemoryError)
    assert large.error.__traceback__ is None
    assert all(job.state == "done" for job in small)


def test_what_ran_out_of_memory_is_freed_before_the_retry() -> None:
    buffers: list[weakref.ref[Tensor]] = []

    def network(x: Tensor) -> Tensor:
        assert all(buffer() is None for buffer in buffers)
        buffer = torch.zeros(1000)
        buffers.append(weakref.ref(buffer))
        if len(x) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x + 1

    engine = Engine({"add": network})
    jobs = [engine.submit(mean_task(1)) for _ in range(4)]
    gc.disable()  # freed by reference count, not by luck
    try:
        engine.run()
    finally:
        gc.enable()
    assert len(buffers) == 7
    assert all(job.state == "done" for job in jobs)


def test_an_interrupt_in_a_network_loses_nothing() -> None:
    interrupts = [True]

    def network(x: Tensor) -> Tensor:
        if interrupts:
            interrupts.pop()
            raise KeyboardInterrupt
        return x + 1

    engine = Engine({"add": network})
    jobs = [engine.submit(mean_task(2)) for _ in range(3)]
    with pytest.raises(KeyboardInterrupt):
        engine.tick()
    assert [job.state for job in jobs] == ["waiting"] * 3
    engine.run()
    assert [job.state for job in jobs] == ["done"] * 3


def test_an_interrupt_in_a_task_ends_that_task() -> None:
    def task() -> Task:
        yield from mean_task(1)
        raise KeyboardInterrupt

    engine = Engine({"add": add})
    bad, good = engine.submit(task()), engine.submit(mean_task(2))
    with pytest.raises(KeyboardInterrupt):
        engine.tick()
    engine.run()
    assert bad.state == "failed"
    assert good.state == "done"
    assert good.calls == 2


def one(work: Work) -> Task:
    (out,) = yield work
    return out


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (Work("upscale", [(torch.zeros(3),)]), "the task asks for network 'upscale'; this engine has add, short, pair"),
        (Work("add", []), "work for network 'add' has no rows"),
        (Work("add", [(torch.zeros(3),), (torch.zeros(4),)]), "rows of one work for network 'add' differ"),
        (Work("add", [("red",)]), "a row for network 'add' holds a str"),
        (Work("short", [(torch.zeros(3),)]), r"network 'short' gave \(0, 3\) for 1 rows"),
        (Work("pair", [(torch.zeros(3),)]), "network 'pair' gave tuple for 1 rows"),
    ],
)
def test_work_that_cannot_be_done_fails_with_a_line(work: Work, message: str) -> None:
    engine = Engine({"add": add, "short": lambda x: x[1:], "pair": lambda x: (x, x)})  # type: ignore[dict-item, return-value]
    bad, good = engine.submit(one(work)), engine.submit(mean_task(1))
    engine.run()
    assert bad.state == "failed"
    assert good.state == "done"
    assert isinstance(bad.error, KakusanError)
    with pytest.raises(KakusanError, match=message):
        raise bad.error
