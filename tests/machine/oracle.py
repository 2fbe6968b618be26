"""What should be: the lives of executions, move by move, in plain Python.

It repeats the table of moves in as few words as it can, and knows nothing of SQL. A move that names
an attempt is refused unless that attempt runs, and is this worker's; the refusal is an event.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from models.states import Event, State

AGENTS = {"review": 3, "revise": 5}
"""The agents that the workers know, with their max_attempts; `translate` is nobody's."""

# The events by which a worker's move ends an attempt.
FAILS = {Event.RETRY_SCHEDULED, Event.FAILED, Event.CANCELLED}
RELEASES = {Event.RELEASED, Event.SNOOZED, Event.CANCELLED}
CANCELS = {Event.CANCELLED}

Draft = str
"""A document type; the content names the attempt that wrote it."""


@dataclass(eq=False)
class Life:
    """One execution, as it should stand."""

    project: UUID
    id: UUID
    agent: str
    due: bool
    asked_attempts: int | None
    retry_of: UUID | None = None
    max_attempts: int | None = None
    status: State = State.PENDING
    attempt: int = 0
    failures: int = 0
    worker: str | None = None
    lease_over: bool = False
    cancel: bool = False
    error_code: str | None = None
    versions: list[tuple[str, int]] = field(default_factory=list)
    exports: int = 0
    events: list[tuple[str, int, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.max_attempts = self.asked_attempts
        self.note(Event.ENQUEUED, worker=None, attempt=0)

    def __repr__(self) -> str:
        return f"<{self.status} {str(self.id)[-6:]} attempt {self.attempt}>"

    @property
    def abandoned(self) -> bool:
        """Whether a sweep may rescue it."""
        return self.status is State.RUNNING and self.lease_over

    @property
    def claimable(self) -> bool:
        """Whether a worker that knows its agent may claim it."""
        return self.status is State.PENDING and self.due and self.agent in AGENTS

    def note(self, event: Event, *, worker: str | None, attempt: int | None = None) -> None:
        """Append an event."""
        self.events.append((event, self.attempt if attempt is None else attempt, worker))

    def is_of(self, worker: str, attempt: int) -> bool:
        """Whether this attempt runs, and is this worker's."""
        return (self.status, self.worker, self.attempt) == (State.RUNNING, worker, attempt)

    def repeats(self, worker: str, attempt: int, events: set[Event]) -> bool:
        """Answer a move that finds its attempt over.

        True where this worker itself has ended it so: the first answer was lost. Otherwise the
        late write is put on record, and nothing else comes of it.
        """
        told = {event for event, number, by in self.events if (number, by) == (attempt, worker)}
        if told & events and Event.RESCUED not in told:
            return True
        self.note(Event.WRITE_REJECTED, worker=worker, attempt=attempt)
        return False

    def leave(self, status: State, *, due: bool | None = None) -> None:
        """Stop running, and wait again or end."""
        self.status, self.lease_over = status, False
        if due is not None and status is State.PENDING:
            self.due = due


@dataclass
class Oracle:
    """All lives of the projects, and the moves."""

    lives: dict[UUID, Life] = field(default_factory=dict)
    keys: dict[tuple[UUID, str], tuple[object, Life]] = field(default_factory=dict)
    latest: Counter[tuple[UUID, Draft]] = field(default_factory=Counter)

    def of(self, project: UUID) -> list[Life]:
        """Return the lives of a project."""
        return [life for life in self.lives.values() if life.project == project]

    def enqueue(self, life: Life) -> None:
        """Take up a new execution."""
        self.lives[life.id] = life

    def claim(self, life: Life, worker: str, *, again: bool) -> bool:
        """Begin the next attempt, where it is due; a repeat finds what the first one began."""
        if again and life.status is State.RUNNING and life.worker == worker:
            life.lease_over = False
            return True
        if not life.claimable:
            return False
        life.status, life.worker, life.lease_over = State.RUNNING, worker, False
        life.attempt += 1
        life.max_attempts = life.max_attempts or AGENTS[life.agent]
        life.note(Event.CLAIMED, worker=worker)
        return True

    def extend(self, life: Life, worker: str, attempt: int) -> bool:
        """Renew a lease, also one that is over and was not noticed."""
        if not life.is_of(worker, attempt):
            return False
        life.lease_over = False
        return True

    def complete(
        self, life: Life, worker: str, attempt: int, drafts: Sequence[Draft], exports: int
    ) -> bool:
        """File the drafts and end; a repeat is accepted and changes nothing."""
        if not life.is_of(worker, attempt):
            return life.repeats(worker, attempt, {Event.COMPLETED})
        for draft in drafts:
            self.latest[life.project, draft] += 1
            life.versions.append((draft, self.latest[life.project, draft]))
        life.exports, life.error_code = exports, None
        life.leave(State.COMPLETED)
        life.note(Event.COMPLETED, worker=worker)
        return True

    def fail(self, life: Life, worker: str, attempt: int, code: str, delay: int | None) -> bool:
        """Count a failure: another try after `delay` seconds, or the end."""
        if not life.is_of(worker, attempt):
            return life.repeats(worker, attempt, FAILS)
        life.failures += 1
        life.error_code = code
        assert life.max_attempts
        if delay is None or life.failures >= life.max_attempts:
            status, event = State.FAILED, Event.FAILED
        elif life.cancel:
            status, event = State.CANCELLED, Event.CANCELLED
        else:
            status, event = State.PENDING, Event.RETRY_SCHEDULED
        life.leave(status, due=not delay)
        life.note(event, worker=worker)
        return True

    def release(self, life: Life, worker: str, attempt: int, *, snooze: bool) -> bool:
        """Give an attempt back; no failure is counted."""
        if not life.is_of(worker, attempt):
            return life.repeats(worker, attempt, RELEASES)
        waits = Event.SNOOZED if snooze else Event.RELEASED
        event = Event.CANCELLED if life.cancel else waits
        life.leave(State.CANCELLED if life.cancel else State.PENDING, due=not snooze)
        life.note(event, worker=worker)
        return True

    def cancel_attempt(self, life: Life, worker: str, attempt: int) -> bool:
        """End as cancelled, by the attempt itself."""
        if not life.is_of(worker, attempt):
            return life.repeats(worker, attempt, CANCELS)
        life.leave(State.CANCELLED)
        life.note(Event.CANCELLED, worker=worker)
        return True

    def request_cancel(self, life: Life) -> None:
        """Cancel what waits; flag what runs, once; leave what has ended alone."""
        if life.status is State.PENDING:
            life.cancel = True
            life.leave(State.CANCELLED)
            life.note(Event.CANCELLED, worker=None)
        elif life.status is State.RUNNING and not life.cancel:
            life.cancel = True
            life.note(Event.CANCEL_REQUESTED, worker=None)

    def rescue(self, life: Life, ended: str | None = None) -> bool:
        """Count a lost worker, and make its work claimable again, or end it."""
        if not life.abandoned and not (life.status is State.RUNNING and life.worker == ended):
            return False
        life.failures += 1
        life.error_code = "worker_lost"
        assert life.max_attempts
        life.note(Event.RESCUED, worker=life.worker)
        if life.cancel:
            life.leave(State.CANCELLED)
            life.note(Event.CANCELLED, worker=life.worker)
        elif life.failures >= life.max_attempts:
            life.leave(State.FAILED)
            life.note(Event.FAILED, worker=life.worker)
        else:
            life.leave(State.PENDING, due=True)
        return True

    def may_retry(self, life: Life) -> bool:
        """Whether a person may ask again: it ended badly, with no successor under way or done."""
        successors = [other for other in self.lives.values() if other.retry_of == life.id]
        return life.status in {State.FAILED, State.CANCELLED} and all(
            other.status in {State.FAILED, State.CANCELLED} for other in successors
        )

    def progress(self, life: Life, worker: str, attempt: int) -> None:
        """Note a report of the attempt that runs; others leave no trace."""
        if life.is_of(worker, attempt):
            life.note(Event.PROGRESS, worker=worker)
