"""The engine gives each task what it would get alone, in fewer calls, and keeps its neighbours' troubles from it."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from toy_tasks import Networks, mean_task, picture

from kakusan.engine import Engine
from kakusan.run import run
from kakusan.types import Task, Work

MIXED: list[dict[str, float]] = [
    {"steps": 3 + i % 5, "seed": i, "scale": (3.0, 1.0, 7.5)[i % 3], "size": (8, 8, 12)[i % 3 - i % 2], "sampler": i % 4} for i in range(12)
]


def mixed(i: int) -> Task:
    return picture(f"red {i}", **MIXED[i])  # type: ignore[arg-type]


def add(x: Tensor) -> Tensor:
    return x + 1


def counting(limit: int, error: Callable[[], Exception]) -> tuple[Callable[[Tensor], Tensor], list[int]]:
    """A network that raises for batches of more than `limit`, and the list of batch sizes it was called with."""
    sizes: list[int] = []

    def network(x: Tensor) -> Tensor:
        sizes.append(len(x))
        if len(x) > limit:
            raise error()
        return x + 1

    return network, sizes


def test_mixed_tasks_equal_each_alone_in_far_fewer_calls() -> None:
    alone = Networks()
    expected = [run(mixed(i), alone) for i in range(len(MIXED))]
    together = Networks()
    engine = Engine(together, max_rows=8)
    jobs = [engine.submit(mixed(i)) for i in range(len(MIXED))]
    engine.run()
    assert [job.state for job in jobs] == ["done"] * len(jobs)
    for job, image in zip(jobs, expected, strict=True):
        assert job.result is not None
        assert image.std() > 0.05
        torch.testing.assert_close(job.result, image, rtol=1e-6, atol=1e-6)
    assert engine.calls == len(together.calls) < len(alone.calls) / 2
    assert engine.rows == sum(rows for _, rows in alone.calls)
    assert engine.jobs == []


def test_reproducible_is_bit_equal_alone_and_in_company() -> None:
    results = []
    for company in (0, 3, 9):
        engine = Engine(Networks(), max_rows=8)
        neighbours = [engine.submit(mixed(i)) for i in range(company)]
        job = engine.submit(picture("green", 6, seed=5, sampler=3), reproducible=True)
        neighbours += [engine.submit(mixed(i)) for i in range(company)]
        engine.run()
        assert all(n.state == "done" for n in neighbours)
        results.append(job.result)
    assert results[0] is not None
    assert all(torch.equal(results[0], other) for other in results[1:] if other is not None)


def test_reproducible_work_never_shares_a_call() -> None:
    network, sizes = counting(99, RuntimeError)
    engine = Engine({"add": network}, buckets=(1, 4))
    for i in range(6):
        engine.submit(mean_task(2, rows=3), reproducible=i < 3)
    engine.run()
    assert sizes == [4, 4, 4, 9] * 2  # three alone, padded; the other three share a call of nine rows, beyond the last bucket


def test_calls_are_padded_to_buckets_with_the_last_row() -> None:
    seen: list[Tensor] = []

    def network(x: Tensor) -> Tensor:
        seen.append(x)
        return x + 1

    engine = Engine({"add": network}, max_rows=8, buckets=(2, 8))
    jobs = [engine.submit(mean_task(1, value)) for value in (5.0, 6.0, 7.0)]
    engine.run()
    assert seen[0].shape == (8, 3)
    assert seen[0][:, 0].tolist() == [5, 6, 7, 7, 7, 7, 7, 7]
    assert [float(job.result[0]) for job in jobs if job.result is not None] == [6, 7, 8]


def test_columns_of_numbers_tuples_and_none() -> None:
    class Pair(NamedTuple):
        a: Tensor
        b: float | None

    def network(x: Tensor, level: Tensor, pair: Pair, nothing: None) -> Tensor:
        assert nothing is None
        assert isinstance(pair, Pair)
        assert pair.b is None
        assert level.dtype == torch.float32
        assert level.shape == (len(x),)
        return x * level[:, None] + pair.a

    def task(level: float) -> Task:
        (out,) = yield Work("n", [(torch.ones(2), level, Pair(torch.full((2,), 0.5), None), None)])
        return out

    engine = Engine({"n": network})
    jobs = [engine.submit(task(level)) for level in (2.0, 3, 4.0)]
    engine.run()
    assert engine.calls == 1
    assert [job.result.tolist() for job in jobs if job.result is not None] == [[2.5, 2.5], [3.5, 3.5], [4.5, 4.5]]


def test_rows_of_one_work_run_together_even_beyond_max_rows() -> None:
    network, sizes = counting(99, RuntimeError)
    engine = Engine({"add": network}, max_rows=4, buckets=(1,))
    for rows in (3, 7, 2, 1):
        engine.submit(mean_task(1, rows=rows))
    engine.run()
    assert sizes == [4, 7, 2]  # 3 and 1 fit in one call; 7 is alone; 2 had no room in the first


def test_different_shapes_dtypes_and_networks_never_share_a_call() -> None:
    def task(width: int, dtype: torch.dtype, model: str) -> Task:
        (x,) = yield Work(model, [(torch.zeros(width, dtype=dtype),)])
        return x

    engine = Engine({"add": add, "other": add})
    kinds = [(width, dtype, model) for width in (2, 3) for dtype in (torch.float32, torch.float64) for model in ("add", "other")]
    jobs = [engine.submit(task(*kind)) for kind in kinds * 2]
    engine.run()
    assert engine.calls == len(kinds) == 8
    assert [job.result.dtype for job in jobs if job.result is not None] == [dtype for _, dtype, _ in kinds * 2]


def test_longest_waiting_first() -> None:
    engine = Engine({"add": add}, max_rows=2)
    jobs = [engine.submit(mean_task(4)) for _ in range(7)]
    while engine.tick():
        calls = [job.calls for job in jobs]
        assert max(calls) - min(calls) <= 1
    assert engine.calls == 14


def test_a_lone_kind_is_not_starved_by_a_crowd() -> None:
    engine = Engine({"add": add, "other": add})
    crowd = [engine.submit(mean_task(50)) for _ in range(5)]
    lone = engine.submit(mean_task(5, model="other"))
    for _ in range(10):
        engine.tick()
    assert lone.state == "done"
    assert [job.calls for job in crowd] == [5] * 5


def test_priority_is_a_head_start_not_a_monopoly() -> None:
    engine = Engine({"add": add}, max_rows=1)
    low, high = engine.submit(mean_task(99)), engine.submit(mean_task(99), priority=3)
    order = []
    for _ in range(10):
        before = high.calls
        engine.tick()
        order.append("high" if high.calls > before else "low")
    assert order == ["high", "high", "high", "low"] * 2 + ["high"] * 2
    assert low.calls == 2


def test_submit_while_running_joins_the_next_call() -> None:
    engine = Engine({"add": add})
    first = engine.submit(mean_task(5))
    engine.tick()
    engine.tick()
    second = engine.submit(mean_task(5))
    engine.run()
    assert first.state == second.state == "done"
    assert engine.calls == 7  # 5 + 5 - 3 shared


def test_a_task_may_submit_another() -> None:
    engine = Engine({"add": add})
    children = []

    def parent() -> Task:
        (x,) = yield Work("add", [(torch.zeros(1),)])
        children.append(engine.submit(mean_task(2)))
        return x

    engine.submit(parent())
    engine.run()
    assert children[0].state == "done"


def test_pause_resume_preview() -> None:
    engine = Engine({"add": add})
    a, b = engine.submit(mean_task(4, 0.0)), engine.submit(mean_task(4, 10.0))
    assert a.preview is None
    engine.tick()
    b.pause()
    assert b.state == "paused"
    assert b.preview is not None
    assert b.preview.tolist() == [11, 11, 11]
    engine.run()
    assert a.state == "done"
    assert b.state == "paused"
    assert b.calls == 1
    assert engine.jobs == [b]
    b.resume()
    engine.run()
    assert b.state == "done"
    assert b.result is not None
    assert b.result.tolist() == [14, 14, 14]
    b.pause()
    b.cancel()
    assert b.state == "done"


def test_cancel_closes_the_task() -> None:
    closed = []

    def task() -> Task:
        try:
            yield from mean_task(5)
        finally:
            closed.append(True)
        raise AssertionError

    engine = Engine({"add": add})
    job, other = engine.submit(task()), engine.submit(mean_task(3))
    engine.tick()
    job.cancel()
    assert closed == [True]
    assert job.state == "cancelled"
    assert job.result is None
    assert engine.jobs == [other]
    engine.run()
    assert job.calls == 1
    assert other.state == "done"


def test_cancelled_by_a_neighbour_of_the_same_call_and_by_itself() -> None:
    engine = Engine({"add": add})

    def killer() -> Task:
        (x,) = yield Work("add", [(torch.zeros(3),)])
        victim.cancel()
        me.cancel()
        (x,) = yield Work("add", [(x,)])
        return x

    me = engine.submit(killer())
    victim, other = engine.submit(mean_task(3)), engine.submit(mean_task(3))
    engine.run()
    assert (me.state, victim.state, other.state) == ("cancelled", "cancelled", "done")
    assert me.error is None
    assert victim.calls == 0
    assert other.calls == 3
    assert other.result is not None
    assert other.result.tolist() == [4, 4, 4]


def test_a_task_that_ticks_fails_alone() -> None:
    engine = Engine({"add": add})

    def task() -> Task:
        (x,) = yield Work("add", [(torch.zeros(3),)])
        engine.tick()
        return x

    bad, good = engine.submit(task()), engine.submit(mean_task(3))
    engine.run()
    assert bad.state == "failed"
    assert "yields its work" in str(bad.error)
    assert good.state == "done"


def test_replies_are_plain_tensors_of_their_own() -> None:
    kept = []

    def task() -> Task:
        a, b = yield Work("add", [(torch.zeros(3),), (torch.zeros(3),)])
        kept.append((a, b))
        a.mul_(5).requires_grad_()
        (a * a).sum().backward()
        return b

    engine = Engine({"add": add})
    job = engine.submit(task())
    engine.run()
    a, b = kept[0]
    assert a.grad is not None
    assert a.tolist() == [5, 5, 5]
    assert b.tolist() == [1, 1, 1]
    assert a.untyped_storage().nbytes() == 12  # not a view that keeps the whole batch alive
    assert job.replies[0].rows[0].tolist() == [1, 1, 1]  # the record is not what the task wrote over


def test_networks_run_in_inference_mode_and_tasks_do_not() -> None:
    seen = []

    def network(x: Tensor) -> Tensor:
        seen.append(torch.is_inference_mode_enabled())
        return x

    def task() -> Task:
        (x,) = yield Work("n", [(torch.zeros(1),)])
        seen.append(torch.is_inference_mode_enabled())
        return x

    engine = Engine({"n": network})
    engine.submit(task())
    engine.run()
    run(task(), {"n": network})
    assert seen == [True, False, True, False]


@pytest.mark.parametrize("limits", [{"a": 1}, {"add": 0}, {"add": 1, "b": 2}, 0])
def test_limits_must_fit_the_networks(limits: dict[str, int] | int) -> None:
    with pytest.raises(ValueError, match=r"max_rows .*name the networks \['add'\]"):
        Engine({"add": add}, max_rows=limits)


def test_limits_for_each_network() -> None:
    engine = Engine({"add": add, "other": add}, max_rows={"add": 4, "other": 1})
    for model in ("add", "other"):
        for _ in range(4):
            engine.submit(mean_task(1, model=model))
    engine.run()
    assert engine.calls == 1 + 4
