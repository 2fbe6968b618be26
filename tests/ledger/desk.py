"""A desk for the ledger's tests: one project, and the moves as any worker would make them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from tests.support.databases import DatabaseUrls
from tests.support.waiting import until
from worker.ledger import Claim, Completion, Dispatch, Enqueued, Failure, Ledger, MovePool, Release
from worker.ledger.records import DraftRow, ExportRow
from worker.requests import EnqueueRequest

LEASE = timedelta(seconds=30)
AGENTS = {"review": 3, "revise": 3}
INPUT_LIMIT = 100_000


class Desk:
    """One project and its user; `ledger` is worker w1, `worker(...)` gives others."""

    def __init__(self, database: DatabaseUrls, project: UUID, user: UUID) -> None:
        self.database = database
        self.project = project
        self.user = user
        self.pool = MovePool(database.app, size=6)
        self.control = MovePool(database.dispatch, size=2)
        self.dispatch = Dispatch(self.control)
        self.ledger = self.worker("w1")

    def worker(self, name: str) -> Ledger:
        """Return the moves in the name of a worker."""
        return Ledger(self.pool, worker=name, input_limit=INPUT_LIMIT)

    async def close(self) -> None:
        """Close the connections."""
        await self.pool.close()
        await self.control.close()

    def request(self, **fields: Any) -> EnqueueRequest:
        """Return a request for a review in the project, with other fields where given."""
        given = {"project_id": self.project, "agent_type": "review", "requested_by": self.user}
        return EnqueueRequest.checked({**given, **fields})

    async def enqueue(self, **fields: Any) -> Enqueued:
        """Record an execution."""
        return await self.ledger.enqueue(self.request(**fields))

    async def claim(
        self, *execution_ids: UUID, worker: str = "w1", lease: timedelta = LEASE
    ) -> list[Claim]:
        """Claim executions of the project for a worker."""
        return await self.worker(worker).claim(self.project, execution_ids, lease, AGENTS)

    async def running(self, worker: str = "w1", **fields: Any) -> Claim:
        """Record an execution and claim it."""
        recorded = await self.enqueue(**fields)
        [claim] = await self.claim(recorded.execution_id, worker=worker)
        assert claim.claimed
        return claim

    async def abandoned(self, worker: str = "lost", **fields: Any) -> Claim:
        """Return a claim whose lease has run out."""
        claim = await self.running(worker, **fields)
        await self.expire(claim.execution_id)
        return claim

    async def failed(self) -> Claim:
        """Return the last attempt of an execution that has failed for good."""
        claim = await self.running(input={"document_type": "plan"}, priority=4)
        await self.ledger.fail(self.project, failure(claim, delay=None))
        return claim

    async def expire(self, execution_id: UUID) -> None:
        """Let the lease of a running execution be over."""
        await self.database.ask(
            "UPDATE agent_executions SET lease_expires_at = now() - interval '1 second' "
            "WHERE id = $1",
            execution_id,
        )

    async def row(self, execution_id: UUID) -> dict[str, Any]:
        """Return the row of an execution as it stands."""
        [row] = await self.database.ask(
            "SELECT * FROM agent_executions WHERE id = $1", execution_id
        )
        return dict(row)

    async def rows(self) -> int:
        """Return how many executions there are, in all projects."""
        [row] = await self.database.ask("SELECT count(*) AS n FROM agent_executions")
        return int(row["n"])

    async def events(self, execution_id: UUID) -> list[str]:
        """Return the names of an execution's events, oldest first."""
        rows = await self.database.ask(
            "SELECT event FROM execution_events WHERE execution_id = $1 ORDER BY id", execution_id
        )
        return [row["event"] for row in rows]

    async def last_event(self, execution_id: UUID) -> dict[str, Any]:
        """Return the latest event of an execution, its detail as JSON text."""
        rows = await self.database.ask(
            "SELECT * FROM execution_events WHERE execution_id = $1 ORDER BY id DESC LIMIT 1",
            execution_id,
        )
        return dict(rows[0])

    async def waiting_for_locks(self, number: int) -> None:
        """Wait until `number` connections of this database wait for a lock."""
        await self._waiting("Lock", number)

    async def sleeping(self, number: int) -> None:
        """Wait until `number` connections of this database are in pg_sleep."""
        await self._waiting("Timeout", number)

    async def _waiting(self, kind: str, number: int) -> None:
        async def as_many() -> bool:
            [row] = await self.database.ask(
                "SELECT count(*) AS n FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = $1",
                kind,
            )
            return bool(row["n"] == number)

        await until(as_many, what=f"{number} connections waiting ({kind})")

    async def versions(self, document_type: str = "article") -> list[int]:
        """Return the version numbers of a document."""
        rows = await self.database.ask(
            "SELECT version FROM document_versions WHERE project_id = $1 AND document_type = $2 "
            "ORDER BY version",
            self.project,
            document_type,
        )
        return [row["version"] for row in rows]


def draft(content: str = "# Text\n", document_type: str = "article", **fields: Any) -> DraftRow:
    """Return a draft row."""
    given: dict[str, Any] = {
        "metadata": "{}",
        "readability_score": None,
        "grammar_score": None,
        "base_version": None,
    }
    return DraftRow(document_type=document_type, content=content, **{**given, **fields})


def completion(
    claim: Claim,
    *drafts: DraftRow,
    output: str = '{"ok": true}',
    exports: Sequence[ExportRow] = (),
    attempt: int | None = None,
) -> Completion:
    """Return the completion of a claim, of another attempt where one is given."""
    number = claim.attempt if attempt is None else attempt
    return Completion(claim.execution_id, number, output, drafts, tuple(exports))


def failure(claim: Claim, *, delay: float | None = 0, code: str = "provider_down") -> Failure:
    """Return the failure of a claim; `delay` in seconds, None is final."""
    wait = None if delay is None else timedelta(seconds=delay)
    return Failure(claim.execution_id, claim.attempt, code, "it did not answer", wait)


def release(claim: Claim, reason: str = "the worker is shutting down") -> Release:
    """Return the release of a claim."""
    return Release(claim.execution_id, claim.attempt, reason)


def unknown() -> UUID:
    """Return an id that stands for nothing."""
    return uuid4()
