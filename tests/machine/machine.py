"""Random lives on the real database: two workers, two projects, every move, in any order.

Hypothesis picks the moves, right ones and stale ones; each is made through the ledger, as a worker
makes it, and on the oracle, and their answers must agree. After each step the judge looks at the
tables. The rules are few, and each has several ways, because Hypothesis leaves out rules at random.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from models.states import State
from tests.machine.judge import agrees, judge, look
from tests.machine.oracle import AGENTS, Life
from tests.machine.world import LEASE, WORKERS, Driver, Held
from worker.errors import IdempotencyConflictError, NotFoundError
from worker.ledger import Failure, Progress, Release
from worker.ledger.records import Cancellation

Value = TypeVar("Value")
Rule = TypeVar("Rule", bound=Callable[..., None])

HOUR = 3600
UNKNOWN_AGENT = "translate"
MOST_UNFINISHED = 4
FINAL_ENDINGS = ["complete", "complete", "fail", "cancel"]
OTHER_ENDINGS = ["retry", "retry later", "release", "snooze"]
DRAFTS = st.lists(st.sampled_from(["article", "notes"]), unique=True)


def _one(pick: Callable[["Lives"], Sequence[Value]]) -> st.SearchStrategy[Value]:
    return st.runner().flatmap(lambda machine: st.sampled_from(pick(machine)))


def _some(pick: Callable[["Lives"], Sequence[Value]]) -> st.SearchStrategy[list[Value]]:
    return st.runner().flatmap(
        lambda machine: st.lists(st.sampled_from(pick(machine)), min_size=1, max_size=4)
    )


def _when(pick: Callable[["Lives"], Sequence[object]]) -> Callable[[Rule], Rule]:
    given: Callable[[Rule], Rule] = precondition(lambda machine: bool(pick(machine)))
    return given


def _lives(machine: "Lives") -> list[Life]:
    return machine.lives


def _room(machine: "Lives") -> list[int]:
    # A few executions with long lives come into more trouble than many with short ones.
    unfinished = [life for life in machine.lives if not life.status.is_final]
    return list(range(MOST_UNFINISHED - len(unfinished)))


def _to_be_found(machine: "Lives") -> list[Life]:
    return [life for life in machine.lives if life.claimable or life.abandoned]


def _likely(machine: "Lives") -> list[Life]:
    # What a worker may take up, more often than what it may not.
    return [*_to_be_found(machine) * 3, *machine.lives]


def _dead(machine: "Lives") -> list[Life]:
    return [life for life in machine.lives if life.status in {State.FAILED, State.CANCELLED}]


def _stoppable(machine: "Lives") -> list[Life]:
    return [*(held.life for held in _current(machine) * 3), *machine.lives]


def _passing(machine: "Lives") -> list[Life]:
    return [
        life
        for life in machine.lives
        if life.status is State.RUNNING or (life.status is State.PENDING and not life.due)
    ]


def _current(machine: "Lives") -> list[Held]:
    return [held for held in machine.held if held.current]


def _held(machine: "Lives") -> list[Held]:
    # Attempts that run, more often than what they could be taken for, and than what is over.
    return [*_current(machine) * 3, *_rivals(machine), *machine.held[-3:]]


def _rivals(machine: "Lives") -> list[Held]:
    # What a fence has to tell from the attempt that runs: earlier ones, and another's.
    others = {worker: other for worker in WORKERS for other in WORKERS if worker != other}
    impostors = [Held(h.life, others[h.worker], h.attempt) for h in _current(machine)]
    late = [h for h in machine.held if h.life.status is State.RUNNING and not h.current]
    return impostors + late


class Lives(Driver):
    """The rules: who may do what, at any moment at which it means something."""

    # -- callers

    @_when(_room)
    @rule(which=st.integers(0, 1), worker=st.sampled_from(WORKERS))
    def start(self, which: int, worker: str) -> None:
        """A caller asks for an execution, and its hint arrives at once."""
        life = self.enqueue_one(self.request(which, "revise"))
        self.claim_some(worker, life.project, [life])

    @_when(_room)
    @rule(
        which=st.integers(0, 1),
        agent=st.sampled_from(["review", "review", "revise", "revise", UNKNOWN_AGENT]),
        attempts=st.none() | st.integers(1, 5),
        later=st.sampled_from([False, False, False, True]),
    )
    def enqueue(self, which: int, agent: str, attempts: int | None, later: bool) -> None:
        """A caller asks for an execution, now or in an hour."""
        not_before = datetime.now(UTC) + LEASE if later else None
        self.enqueue_one(self.request(which, agent, max_attempts=attempts, not_before=not_before))

    @_when(_room)
    @rule(which=st.integers(0, 1), key=st.sampled_from("kl"), priority=st.integers(0, 1))
    def enqueue_under_a_key(self, which: int, key: str, priority: int) -> None:
        """The same key is the same execution, another request under it a conflict."""
        project = self.projects[which]
        again = self.request(which, "review", idempotency_key=key, priority=priority)
        known = self.oracle.keys.get((project, key))
        if known is None:
            self.oracle.keys[project, key] = (priority, self.enqueue_one(again))
            return
        if known[0] != priority:
            with pytest.raises(IdempotencyConflictError):
                self.world.run(self.anyone.enqueue(again))
            return
        answer = self.world.run(self.anyone.enqueue(again))
        assert (answer.execution_id, answer.created) == (known[1].id, False)

    @_when(_lives)
    @rule(life=_one(_stoppable))
    def request_cancel(self, life: Life) -> None:
        """A caller wants it stopped."""
        self.oracle.request_cancel(life)
        status = self.world.run(self.anyone.request_cancel(life.project, life.id, "enough"))
        assert status == life.status

    @_when(_dead)
    @rule(dead=_one(_dead), others=_some(_lives))
    def retry(self, dead: Life, others: list[Life]) -> None:
        """A person asks again for what ended badly; what else is named is left alone."""
        self.retry_some(dead.project, [dead, *others])

    # -- time

    @_when(_passing)
    @rule(life=_one(_passing))
    def time_passes(self, life: Life) -> None:
        """An hour that was waited for is over, or a lease that nobody renewed."""
        if life.status is State.RUNNING:
            self.lease_over(life)
        else:
            self.due_now(life)

    # -- workers

    @_when(_lives)
    @rule(
        worker=st.sampled_from(WORKERS),
        lives=_some(_likely),
        again=st.sampled_from([False, False, True]),
    )
    def claim(self, worker: str, lives: list[Life], again: bool) -> None:
        """A worker heeds a hint, which may be old, or asks again since it was not answered."""
        self.claim_some(worker, lives[0].project, lives, again=again)

    @_when(_to_be_found)
    @rule(worker=st.sampled_from(WORKERS))
    def sweep(self, worker: str) -> None:
        """A worker looks for abandoned and due work in all projects, and takes it up."""
        expired = self.world.run(self.world.dispatch.find_expired(100_000))
        mine = {found.execution_id for found in expired} & set(self.oracle.lives)
        assert mine == {life.id for life in self.lives if life.abandoned}
        self.rescue_some([self.oracle.lives[id_] for id_ in mine])
        due = self.world.run(
            self.world.dispatch.find_due(
                list(AGENTS), after=UUID(int=0), projects=100_000, per_project=100_000
            )
        )
        found = [self.oracle.lives[f.execution_id] for f in due if f.project_id in self.projects]
        assert {life.id for life in found} == {life.id for life in self.lives if life.claimable}
        for project in self.projects:
            self.claim_some(worker, project, [life for life in found if life.project == project])

    @_when(_held)
    @rule(several=_some(_held), ended=st.sampled_from([None, None, *WORKERS]))
    def rescue(self, several: list[Held], ended: str | None) -> None:
        """A sweep acts on what it saw a while ago; a worker's next life gives back what it held."""
        self.rescue_some([held.life for held in several], ended=ended)

    @_when(_held)
    @rule(held=_one(_held), how=st.sampled_from(FINAL_ENDINGS), drafts=DRAFTS)
    def end(self, held: Held, how: str, drafts: list[str]) -> None:
        """An attempt comes to its end, or one that is over believes so."""
        self.say(held, how, drafts)

    @_when(_held)
    @rule(held=_one(_held), how=st.sampled_from(OTHER_ENDINGS))
    def give_back(self, held: Held, how: str) -> None:
        """An attempt is to be followed by another, now or later."""
        self.say(held, how, [])

    def say(self, held: Held, how: str, drafts: list[str]) -> None:
        """Let a worker say its last word about an attempt."""
        project, id_, attempt = held.life.project, held.life.id, held.attempt
        ledger = self.world.ledgers[held.worker]
        who = (held.life, held.worker, attempt)
        match how:
            case "complete":
                self.complete_all([held], drafts, 1)
            case "fail" | "retry" | "retry later":
                delay = {"fail": None, "retry": 0, "retry later": HOUR}[how]
                wait = None if delay is None else timedelta(seconds=delay)
                failure = Failure(id_, attempt, "down", "no answer", wait)
                expected = self.oracle.fail(*who, "down", delay)
                self.compare(ledger.fail(project, failure), held, expected=expected)
            case "release" | "snooze":
                due_at = datetime.now(UTC) + LEASE if how == "snooze" else None
                expected = self.oracle.release(*who, snooze=how == "snooze")
                back = Release(id_, attempt, "not now", due_at)
                self.compare(ledger.release(project, back), held, expected=expected)
            case "cancel":
                expected = self.oracle.cancel_attempt(*who)
                stopped = Cancellation(id_, attempt, "no point")
                self.compare(ledger.cancel_attempt(project, stopped), held, expected=expected)
        self.last_end = (held, how)

    @precondition(lambda self: self.last_end)
    @rule()
    def end_again(self) -> None:
        """The answer to a worker's last word was lost, so it says it again."""
        assert self.last_end
        held, how = self.last_end
        self.say(held, how, ["notes"])

    @_when(_held)
    @rule(several=_some(_held), drafts=DRAFTS)
    def complete_together(self, several: list[Held], drafts: list[str]) -> None:
        """Attempts of a worker that end at the same moment share a call."""
        first = several[0]
        # An execution may be there twice, as a late attempt and as its successor.
        together = [
            held
            for held in dict.fromkeys(several)
            if (held.worker, held.life.project) == (first.worker, first.life.project)
        ]
        self.complete_all(together, drafts, 0)

    @_when(_held)
    @rule(held=_one(_held), worker=st.sampled_from(WORKERS))
    def go_on(self, held: Held, worker: str) -> None:
        """An agent reports progress; a worker renews the last attempts it was given."""
        self.oracle.progress(held.life, held.worker, held.attempt)
        report = Progress(held.life.id, held.attempt, 0.5, "half")
        self.world.run(self.world.ledgers[held.worker].progress(held.life.project, [report]))
        self.heartbeat({h.life.id: h.attempt for h in self.held if h.worker == worker}, worker)
        self.heartbeat({held.life.id: held.attempt}, held.worker)

    @_when(_current)
    @rule(held=_one(_current), worker=st.sampled_from(WORKERS))
    def take_over(self, held: Held, worker: str) -> None:
        """A worker stalls, is rescued from, and wakes up behind its successor, maybe itself."""
        self.lease_over(held.life)
        self.rescue_some([held.life])
        self.claim_some(worker, held.life.project, [held.life])
        before = (held.life.status, held.life.attempt, held.life.failures)
        for how in (*FINAL_ENDINGS, *OTHER_ENDINGS):
            self.say(held, how, ["article"])
        assert (held.life.status, held.life.attempt, held.life.failures) == before

    # -- strangers

    @_when(_current)
    @rule(held=_one(_current))
    def trespass(self, held: Held) -> None:
        """Under the other project's name no move finds anything, not even something to refuse."""
        [other] = [project for project in self.projects if project != held.life.project]
        ledger, id_, attempt = self.world.ledgers[held.worker], held.life.id, held.attempt
        for move in (
            ledger.complete(other, self.completion(held, ["article"], 1)),
            ledger.fail(other, Failure(id_, attempt, "down", "no answer", None)),
            ledger.release(other, Release(id_, attempt, "not now")),
            ledger.cancel_attempt(other, Cancellation(id_, attempt, "no point")),
        ):
            ended = self.world.run(move)
            assert (ended.accepted, ended.status) == (False, None)
        assert self.world.run(ledger.claim(other, [id_], LEASE, AGENTS)) == []
        assert self.world.run(ledger.rescue(other, [id_])) == {}
        assert self.world.run(ledger.retry(other, [id_], None)) == []
        self.world.run(ledger.progress(other, [Progress(id_, attempt, None, "")]))
        with pytest.raises(NotFoundError):
            self.world.run(ledger.request_cancel(other, id_, "enough"))

    # -- after every step

    @invariant()
    def holds(self) -> None:
        """The tables are sound in themselves, and are what the oracle expects."""
        view = self.world.run(look(self.world.superuser, self.projects))
        judge(view, self.projects)
        agrees(view, self.oracle)
