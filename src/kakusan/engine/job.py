"""A job: one task on its way through the engine, with the replies it has had so far."""

from collections.abc import Callable, Iterable
from inspect import GEN_RUNNING, getgeneratorstate
from typing import Any, Literal, NamedTuple, Protocol

from torch import Tensor

from ..errors import KakusanError
from ..types import Task, Work
from .rows import Kind, kind

State = Literal["waiting", "paused", "done", "failed", "cancelled"]


class Reply(NamedTuple):
    """What a network gave for one Work: a tensor for each of its rows."""

    model: str
    rows: list[Tensor]


class Record(Protocol):
    """Where a job writes its replies down; `engine.journal.Journal` is one."""

    def append(self, reply: Reply) -> None:
        """Write one reply, before the task sees it."""


class Job:
    """A task and where it stands. Building a job runs the task to its first Work.

    state: waiting (for a network call), paused, done, failed or cancelled; the last three are final ("settled").
    result: what the task returned. error: why it failed. calls: how many replies it has had.
    replies: those replies, enough to rebuild the job (`replay`); stays empty with record=False.
    priority: counts as that many ticks of waiting. reproducible: its work shares no call, so neighbours change no bit.
    """

    def __init__(
        self, task: Task, *, priority: float = 0, reproducible: bool = False, record: bool = True, journal: Record | None = None
    ) -> None:
        self.task, self.priority, self.reproducible, self.record, self.journal = task, priority, reproducible, record, journal
        self.state: State = "waiting"
        self.result: Tensor | None = None
        self.error: BaseException | None = None
        self.calls = 0
        self.waited = 0  # ticks in which the current Work was passed over
        self.turn = 0  # place in the queue among those that waited as long
        self.replies: list[Reply] = []
        self.last: Reply | None = None
        self.work: Work | None = None
        self.kind: Kind | None = None
        self._shown: Callable[[list[Tensor]], Tensor] | None = None
        self._advance(None)

    @property
    def settled(self) -> bool:
        """Whether the job is over: done, failed or cancelled."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def ready(self) -> bool:
        """Whether the engine may run its Work now."""
        return self.state == "waiting" and self.work is not None

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The rows of the Work it waits for; none where it waits for nothing."""
        return self.work.rows if self.work else []

    @property
    def preview(self) -> Tensor | None:
        """What the last reply shows, its first row: for a guided U-Net step, the clean latent as estimated under the prompt."""
        if self.last is None:
            return None
        return self.last.rows[0] if self._shown is None else self._shown(self.last.rows)

    def pause(self) -> None:
        """Keep the job out of calls until `resume`; a settled job stays as it is."""
        if self.state == "waiting":
            self.state = "paused"

    def resume(self) -> None:
        """Let a paused job run on."""
        if self.state == "paused":
            self.state = "waiting"

    def cancel(self) -> None:
        """End the job and close its task; nothing happens to a settled one."""
        self._settle("cancelled")

    def fail(self, error: BaseException) -> None:
        """End the job because of an error, and close its task."""
        self._settle("failed", error=error)

    def take(self, rows: list[Tensor]) -> None:
        """Hand the task the reply to its Work, and run it to its next Work or its end. The tensors become the task's own."""
        if self.work is None:
            return  # settled by a neighbour of the same call
        reply = Reply(self.work.model, [row.clone() for row in rows])  # a task may change its rows in place: the record may not
        if self.journal:
            try:
                self.journal.append(reply)
            except KakusanError as error:
                return self.fail(error)
        self.calls, self.last, self._shown = self.calls + 1, reply, self.work.shown
        if self.record:
            self.replies.append(reply)
        self._advance(rows)

    def _advance(self, rows: list[Tensor] | None) -> None:
        self.work, self.kind, self.waited = None, None, 0
        try:
            work = next(self.task) if rows is None else self.task.send(rows)
            if self.settled:  # the task cancelled its own job, and could not be closed while it ran
                self.task.close()
                return
            self.kind, self.work = kind(work), work
        except StopIteration as stop:
            self._settle("done", result=stop.value)
        except BaseException as error:
            self.fail(error)
            if not isinstance(error, Exception):
                raise  # Ctrl-C belongs to the caller, but this task cannot run on

    def _settle(self, state: State, result: Tensor | None = None, error: BaseException | None = None) -> None:
        if self.settled:
            return
        self.state, self.result, self.error, self.work, self.kind = state, result, error, None, None
        try:
            if getgeneratorstate(self.task) != GEN_RUNNING:  # one that is running is closed when it yields
                self.task.close()
        except Exception as late:  # from the task's own clean-up: worth telling, not worth stopping others
            self.error = self.error or late


def replay(
    make_task: Callable[[], Task],
    replies: Iterable[Reply],
    *,
    priority: float = 0,
    reproducible: bool = False,
    journal: Record | None = None,
) -> Job:
    """A job as it stood after these replies, rebuilt without a network call: generators cannot be pickled, replies can.

    All replies of a job rebuild it; the first k, given to another task, fork it at step k. A journal given here is
    written from the first reply on, so that a fork has a journal of its own.
    Raises KakusanError if the task asks for something else than what was recorded.
    """
    job = Job(make_task(), priority=priority, reproducible=reproducible, journal=journal)
    for number, reply in enumerate(replies, start=1):
        asked = (job.work.model, len(job.work.rows)) if job.work else None
        if asked != (reply.model, len(reply.rows)):
            given = f"{len(reply.rows)} x {reply.model!r}"
            wanted = f"{asked[1]} x {asked[0]!r}" if asked else f"nothing ({job.state})"
            raise KakusanError(
                f"reply {number} is {given}, but the task asks for {wanted}; replay into the task it came from",
                f"{number} 番目の返答は {given} ですが、タスクは {wanted} を求めています。元のタスクで再生してください",
            ) from job.error
        job.take([row.clone() for row in reply.rows])
    return job
