"""What the machine drives: the database through two workers' ledgers, and the oracle beside it.

All examples share one database and one event loop; each has two projects of its own.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import asyncpg
from hypothesis.stateful import RuleBasedStateMachine, initialize

from tests.machine.judge import text_of
from tests.machine.oracle import AGENTS, Life, Oracle
from tests.support.databases import DatabaseUrls
from worker.ledger import Completion, Dispatch, Ended, Ledger, MovePool
from worker.ledger.records import DraftRow, ExportRow
from worker.requests import EnqueueRequest

Value = TypeVar("Value")

LEASE = timedelta(hours=1)
WORKERS = ("w1", "w2")


class World:
    """The database, the moves of two workers, and the one event loop that all of it lives on."""

    def __init__(self, database: DatabaseUrls) -> None:
        self._loop = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.database = database
        self._pool = MovePool(database.app, size=2)
        self._control = MovePool(database.dispatch, size=1)
        self.dispatch = Dispatch(self._control)
        self.ledgers = {
            name: Ledger(self._pool, worker=name, input_limit=10_000) for name in WORKERS
        }
        self.user = self.run(database.add_user())
        self.superuser: asyncpg.Connection = self.run(asyncpg.connect(database.admin))

    def run(self, work: Coroutine[Any, Any, Value]) -> Value:
        """See a coroutine through."""
        return self._loop.run(work)

    def close(self) -> None:
        """Close the connections and the loop."""
        self.run(self.superuser.close())
        self.run(self._pool.close())
        self.run(self._control.close())
        self._loop.close()


@dataclass(frozen=True)
class Held:
    """An attempt that a worker was given; whether it still is its own is what is in question."""

    life: Life
    worker: str
    attempt: int

    @property
    def current(self) -> bool:
        """Whether the attempt still runs."""
        return self.life.is_of(self.worker, self.attempt)


class Driver(RuleBasedStateMachine):
    """Makes each move twice, on the database and on the oracle, and compares the answers."""

    world: ClassVar[World]
    """Set by whoever runs the machine."""

    projects: list[UUID]
    oracle: Oracle
    held: list[Held]
    last_end: tuple[Held, str] | None

    @initialize()
    def begin(self) -> None:
        """Make two projects, in each of which an attempt is running."""
        add, user = self.world.database.add_project, self.world.user
        self.projects = [self.world.run(add(user)) for _ in range(2)]
        self.oracle = Oracle()
        self.held = []
        self.last_end = None
        for which, worker in enumerate(WORKERS):
            life = self.enqueue_one(self.request(which, "revise"))
            self.claim_some(worker, life.project, [life])

    @property
    def lives(self) -> list[Life]:
        """All executions of the example."""
        return list(self.oracle.lives.values())

    @property
    def anyone(self) -> Ledger:
        """The moves of which it does not matter who makes them."""
        return self.world.ledgers[WORKERS[0]]

    def lease_over(self, life: Life) -> None:
        """Let the lease of a running execution be over."""
        statement = (
            "UPDATE agent_executions SET lease_expires_at = now() - interval '1 second' "
            "WHERE id = $1"
        )
        self.world.run(self.world.superuser.execute(statement, life.id))
        life.lease_over = True

    def due_now(self, life: Life) -> None:
        """Let the time come for which an execution waits."""
        statement = (
            "UPDATE agent_executions SET scheduled_at = now() - interval '1 second' WHERE id = $1"
        )
        self.world.run(self.world.superuser.execute(statement, life.id))
        life.due = True

    def request(self, which: int, agent: str, **fields: Any) -> EnqueueRequest:
        """Return a request in one of the projects; its input tells which."""
        project = self.projects[which]
        given = {"project_id": project, "agent_type": agent, "requested_by": self.world.user}
        return EnqueueRequest.checked({**given, "input": {"of": str(project)}, **fields})

    def enqueue_one(self, request: EnqueueRequest) -> Life:
        """Record an execution that is new."""
        answer = self.world.run(self.anyone.enqueue(request))
        assert answer.created
        life = Life(
            request.project_id,
            answer.execution_id,
            request.agent_type,
            due=request.not_before is None,
            asked_attempts=request.max_attempts,
        )
        self.oracle.enqueue(life)
        return life

    def claim_some(
        self, worker: str, project: UUID, lives: Sequence[Life], *, again: bool = False
    ) -> None:
        """Claim in a project; what is another's is not even answered."""
        ids = list(dict.fromkeys(life.id for life in lives))
        answers = self.world.run(
            self.world.ledgers[worker].claim(project, ids, LEASE, AGENTS, again=again)
        )
        own = [self.oracle.lives[id_] for id_ in ids if self.oracle.lives[id_].project == project]
        assert [answer.execution_id for answer in answers] == [life.id for life in own]
        for answer, life in zip(answers, own, strict=True):
            assert answer.claimed == self.oracle.claim(life, worker, again=again)
            assert (answer.status, answer.attempt) == (life.status, life.attempt)
            assert answer.input == ({"of": str(project)} if answer.claimed else None)
            held = Held(life, worker, answer.attempt)
            if answer.claimed and held not in self.held:
                self.held.append(held)

    def rescue_some(self, lives: Sequence[Life], *, ended: str | None = None) -> None:
        """Rescue what is abandoned of these, or held by a worker that is over; a call a project."""
        for project in self.projects:
            mine = {life.id: life for life in lives if life.project == project}
            expected = {life.id for life in mine.values() if self.oracle.rescue(life, ended)}
            answer = self.world.run(self.anyone.rescue(project, list(mine), ended=ended))
            assert answer == {id_: mine[id_].status for id_ in expected}

    def retry_some(self, project: UUID, lives: Sequence[Life]) -> None:
        """Ask again for what has ended badly of these in a project."""
        own = {life.id: life for life in lives if life.project == project}
        expected = {life.id for life in own.values() if self.oracle.may_retry(life)}
        ids = [life.id for life in lives]
        answers = self.world.run(self.anyone.retry(project, ids, self.world.user))
        assert {answer.retry_of for answer in answers} == expected
        for answer in answers:
            old = own[answer.retry_of]
            again = Life(project, answer.execution_id, old.agent, True, old.max_attempts, old.id)
            self.oracle.enqueue(again)

    def heartbeat(self, attempts: dict[UUID, int], worker: str) -> None:
        """Renew leases; what is no longer the worker's is missing from the answer."""
        expected = {
            id_: (attempt, self.oracle.lives[id_].cancel)
            for id_, attempt in attempts.items()
            if self.oracle.extend(self.oracle.lives[id_], worker, attempt)
        }
        answer = self.world.run(self.world.dispatch.extend(worker, attempts, LEASE))
        assert {id_: (a.attempt, a.cancel_requested) for id_, a in answer.items()} == expected

    def completion(self, held: Held, drafts: Sequence[str], exports: int) -> Completion:
        """Return what an attempt would file; its name is in all of it."""
        text = text_of(held.life.project, held.life.id, held.attempt)
        return Completion(
            held.life.id,
            held.attempt,
            f'{{"by": "{text}"}}',
            tuple(DraftRow(draft, text, "{}", None, None, None) for draft in drafts),
            tuple(ExportRow(text, "{}", LEASE) for _ in range(exports)),
        )

    def complete_all(self, several: Sequence[Held], drafts: Sequence[str], exports: int) -> None:
        """Complete attempts of one worker and project at the same moment."""
        project = several[0].life.project
        ledger = self.world.ledgers[several[0].worker]

        async def together() -> list[Ended]:
            return await asyncio.gather(
                *(ledger.complete(project, self.completion(h, drafts, exports)) for h in several)
            )

        answers = dict(zip(several, self.world.run(together()), strict=True))
        # A call writes what it may, and then puts the rest on record.
        for held in sorted(several, key=lambda held: not held.current):
            expected = self.oracle.complete(held.life, held.worker, held.attempt, drafts, exports)
            assert answers[held].accepted == expected
        assert all(ended.status == held.life.status for held, ended in answers.items())

    def compare(self, move: Coroutine[Any, Any, Ended], held: Held, *, expected: bool) -> None:
        """Make a worker's move and compare the answer."""
        ended = self.world.run(move)
        assert (ended.accepted, ended.status) == (expected, held.life.status)
