"""A run can be rebuilt from its replies, in memory and from disk, wherever it was cut off."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor
from toy_tasks import SAMPLERS, Networks, mean_task, picture

from kakusan.engine import Engine, Job, Journal, Reply, replay, resume
from kakusan.engine.journal import MAGIC, frame, read
from kakusan.errors import FileError, KakusanError
from kakusan.run import run
from kakusan.types import Task

RECIPE: dict[str, Any] = {"prompt": "赤 red", "steps": 5, "seed": 4, "sampler": 2}


def make(recipe: dict[str, Any]) -> Task:
    return picture(recipe["prompt"], recipe["steps"], seed=recipe["seed"], sampler=recipe["sampler"])


def add(x: Tensor) -> Tensor:
    return x + 1


def bits(job: Job) -> bytes:
    assert job.state == "done"
    assert job.result is not None
    return bytes(job.result.contiguous().numpy().tobytes())


def same(a: list[Reply], b: list[Reply]) -> bool:
    return len(a) == len(b) and all(
        x.model == y.model and all(torch.equal(p, q) for p, q in zip(x.rows, y.rows, strict=True)) for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("sampler", range(len(SAMPLERS)))
def test_replay_from_every_step_is_bit_equal(sampler: int) -> None:
    def task() -> Task:
        return picture("red", 4, seed=3, sampler=sampler)

    engine = Engine(Networks())
    job = engine.submit(task())
    engine.run()
    assert job.calls == len(job.replies) >= 6
    for k in range(job.calls + 1):
        networks = Networks()
        engine = Engine(networks)
        again = engine.add(replay(task, job.replies[:k]))
        assert again.calls == k
        assert networks.calls == []
        engine.run()
        assert len(networks.calls) == job.calls - k
        assert bits(again) == bits(job)
        assert same(again.replies, job.replies)


def test_fork_at_a_step_takes_another_way_from_there() -> None:
    engine = Engine(Networks())
    trunk = engine.submit(picture("red", 6, seed=1, sampler=0))
    for _ in range(4):
        engine.tick()
    kept = [[row.clone() for row in reply.rows] for reply in trunk.replies]
    branch = engine.add(replay(lambda: picture("red", 6, seed=1, sampler=3), trunk.replies[:3]))
    twin = engine.add(replay(lambda: picture("red", 6, seed=1, sampler=0), trunk.replies[:3]))
    engine.run()
    torch.testing.assert_close(twin.result, trunk.result, rtol=1e-6, atol=1e-6)
    assert branch.result is not None
    assert trunk.result is not None
    assert not torch.allclose(branch.result, trunk.result, atol=1e-3)
    assert all(torch.equal(a, b) for x, y in zip(kept, trunk.replies, strict=False) for a, b in zip(x, y.rows, strict=True))


def test_replay_refuses_replies_of_another_task() -> None:
    replies = [Reply("add", [torch.zeros(3)])] * 2
    with pytest.raises(KakusanError, match=r"reply 1 is 1 x 'add', but the task asks for 2 x 'add'"):
        replay(lambda: mean_task(3, rows=2), replies)
    with pytest.raises(KakusanError, match=r"reply 1 is 1 x 'add', but the task asks for 1 x 'other'"):
        replay(lambda: mean_task(3, model="other"), replies)
    with pytest.raises(KakusanError, match=r"reply 2 is 1 x 'add', but the task asks for nothing \(done\)"):
        replay(lambda: mean_task(1), replies)


def test_record_false_keeps_only_the_preview() -> None:
    engine = Engine({"add": add})
    job = engine.submit(mean_task(3), record=False)
    engine.run()
    assert job.replies == []
    assert job.calls == 3
    assert job.preview is not None
    assert job.preview.tolist() == [4, 4, 4]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[tuple[Path, Job]]:
    """A journal of a finished job, and the job."""
    engine = Engine(Networks())
    job = engine.submit(make(RECIPE), journal=Journal.create(tmp_path / "job", RECIPE))
    engine.run()
    return tmp_path / "job", job


def test_journal_round_trip(journal: tuple[Path, Job]) -> None:
    path, job = journal
    recorded = read(path)
    assert recorded.recipe == RECIPE
    assert same(recorded.replies, job.replies)
    assert (recorded.end, recorded.torn) == (path.stat().st_size, 0)
    before = path.read_bytes()
    again = resume(path, make)
    assert bits(again) == bits(job)
    assert path.read_bytes() == before


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.bool])
def test_journal_keeps_dtypes_and_shapes(tmp_path: Path, dtype: torch.dtype) -> None:
    rows = [torch.arange(12).reshape(3, 4).T.to(dtype), torch.tensor(1).to(dtype), torch.zeros(0, 2, dtype=dtype)]
    rows = [row.clone() for _ in range(4) for row in rows]
    Journal.create(tmp_path / "j", {}).append(Reply("n", rows))
    (reply,) = read(tmp_path / "j").replies
    assert [row.dtype for row in reply.rows] == [dtype] * 12
    assert all(torch.equal(a, b) for a, b in zip(reply.rows, rows, strict=True))


def test_cut_at_every_byte(tmp_path: Path) -> None:
    """Whatever is left of the file: whole replies survive, the rest is dropped, and the resumed run ends bit-equal."""
    path = tmp_path / "job"
    engine = Engine({"add": add})
    job = engine.submit(mean_task(4, rows=2), journal=Journal.create(path, {"steps": 4}))
    ends = [path.stat().st_size]
    while engine.tick():
        ends.append(path.stat().st_size)
    data = path.read_bytes()
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        if cut < ends[0]:
            with pytest.raises(FileError, match="not a journal, or one without its first record"):
                read(path)
            continue
        whole = sum(end <= cut for end in ends) - 1
        recorded = read(path)
        assert (len(recorded.replies), recorded.end, recorded.torn) == (whole, ends[whole], cut - ends[whole])
        again = resume(path, lambda recipe: mean_task(recipe["steps"], rows=2))
        assert again.calls == whole
        engine = Engine({"add": add})
        engine.add(again)
        engine.run()
        assert bits(again) == bits(job)
        assert path.read_bytes() == data


def test_damage_at_every_byte_of_the_last_two_records(tmp_path: Path) -> None:
    path = tmp_path / "job"
    engine = Engine({"add": add})
    engine.submit(mean_task(4), journal=Journal.create(path, {}))
    ends = [path.stat().st_size]
    while engine.tick():
        ends.append(path.stat().st_size)
    data = path.read_bytes()
    for at in range(ends[2], len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
        assert len(read(path).replies) == sum(end <= at for end in ends) - 1


@pytest.mark.parametrize("tail", [b"\0" * 4096, b"\xff" * 100, b"\0" * 11])
def test_a_tail_of_nothing_is_dropped(journal: tuple[Path, Job], tail: bytes) -> None:
    path, job = journal
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + tail)
    recorded = read(path)
    assert (recorded.end, recorded.torn, len(recorded.replies)) == (size, len(tail), job.calls)


GARBAGE = {
    "empty": b"",
    "text": b"not a journal at all, but long enough to hold one" * 9,
    "another version": b"kakusan journal 2\n" + frame(b"{}"),
    "recipe not JSON": MAGIC + frame(b"{"),
    "recipe not UTF-8": MAGIC + frame(b"\xff\xfe\xff"),
    "recipe not a table": MAGIC + frame(b"[1, 2]"),
    "damaged recipe": MAGIC + frame(b'{"steps": 4}').replace(b"4", b"5"),
    "reply not safetensors": MAGIC + frame(b"{}") + frame(b"hello"),
    "reply without a network": MAGIC + frame(b"{}") + frame(b"\x02\0\0\0\0\0\0\0{}"),
    "reply with other names": MAGIC + frame(b"{}") + frame(safetensors.torch.save({"a": torch.zeros(1)}, {"model": "n"})),
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "job"
    path.write_bytes(data)
    with pytest.raises(FileError, match=r"job: .*start the job anew"):
        resume(path, lambda recipe: mean_task(1))
    assert path.read_bytes() == data


def test_paths_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        read(tmp_path / "none")
    with pytest.raises(FileError, match="cannot be read"):
        read(tmp_path)
    with pytest.raises(FileError, match="cannot be written"):
        Journal.create(tmp_path / "none" / "job", {})
    (tmp_path / "job").write_text("precious")
    with pytest.raises(FileError, match="cannot be written"):
        Journal.create(tmp_path / "job", {})
    with pytest.raises(TypeError, match="JSON"):
        Journal.create(tmp_path / "new", {"a": object()})
    assert (tmp_path / "job").read_text() == "precious"
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_fails_the_job_alone() -> None:
    full = Journal(Path("/dev/full"))
    engine = Engine({"add": add})
    bad, good = engine.submit(mean_task(3), journal=full), engine.submit(mean_task(3))
    engine.run()
    assert isinstance(bad.error, FileError)
    assert "No space left" in bad.error.en
    assert bad.calls == 0
    assert good.state == "done"


@pytest.mark.parametrize(("every", "syncs"), [(0, 0), (1, 7), (3, 2), (7, 1), (8, 0)])
def test_sync_every(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int, syncs: int) -> None:
    seen = []
    monkeypatch.setattr(os, "fsync", seen.append)
    engine = Engine({"add": add})
    engine.submit(mean_task(6), journal=Journal.create(tmp_path / "j", {}, sync_every=every))
    engine.run()
    assert len(seen) == syncs


def test_a_journal_that_was_deleted_fails_the_job(tmp_path: Path) -> None:
    engine = Engine({"add": add})
    job = engine.submit(mean_task(3), journal=Journal.create(tmp_path / "j", {}))
    engine.tick()
    (tmp_path / "j").unlink()
    engine.run()
    assert isinstance(job.error, FileError)
    assert job.calls == 1
    assert not (tmp_path / "j").exists()


def test_thousands_of_jobs_may_have_a_journal(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, before[1]))
    try:
        engine = Engine({"add": add}, max_rows=500)
        jobs = [engine.submit(mean_task(1), journal=Journal.create(tmp_path / str(i), {})) for i in range(500)]
        engine.run()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert {job.state for job in jobs} == {"done"}


def test_a_fork_has_its_own_journal(tmp_path: Path) -> None:
    engine = Engine({"add": add})
    trunk = engine.submit(mean_task(4), journal=Journal.create(tmp_path / "trunk", {}))
    engine.tick()
    engine.tick()
    branch = replay(lambda: mean_task(3), trunk.replies, journal=Journal.create(tmp_path / "branch", {"steps": 3}))
    trunk.cancel()
    engine.add(branch)
    engine.run()
    assert len(read(tmp_path / "trunk").replies) == 2
    assert len(read(tmp_path / "branch").replies) == 3


KILLED = """
import sys, time
import torch
from test_journal import RECIPE, make
from toy_tasks import Networks, picture
from kakusan.engine import Engine, Journal
torch.set_num_threads(1)
networks = Networks()
unet = networks["unet"]
networks["unet"] = lambda *columns: (time.sleep(0.02), unet(*columns))[1]
engine = Engine(networks)
engine.submit(make({**RECIPE, "steps": 150}), journal=Journal.create(sys.argv[1], {**RECIPE, "steps": 150}), reproducible=True)
engine.submit(picture("neighbour", 150))
engine.run()
"""


def test_killed_in_the_middle_and_resumed_is_never_killed(tmp_path: Path) -> None:
    path = tmp_path / "job"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(KILLED), str(path)], env=env)
    try:
        deadline = time.monotonic() + 120
        while not (path.exists() and path.stat().st_size > 10_000) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    job = resume(path, make, reproducible=True)
    assert 2 < job.calls < 290
    engine = Engine(Networks())
    engine.submit(picture("another neighbour", 20))
    engine.add(job)
    engine.run()
    straight = Engine(Networks())
    whole = straight.submit(make({**RECIPE, "steps": 150}), reproducible=True)
    straight.run()
    assert bits(job) == bits(whole)
    assert same(read(path).replies, whole.replies)


def test_resumed_equals_the_one_request_driver(journal: tuple[Path, Job]) -> None:
    path, _ = journal
    torch.testing.assert_close(resume(path, make).result, run(make(RECIPE), Networks()), rtol=1e-6, atol=1e-6)
