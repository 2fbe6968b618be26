"""Every reading and every move, each with the pages it may touch, on a project of any size."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from tests.ledger.desk import AGENTS, LEASE
from worker import readings
from worker.database import Database
from worker.documents import ProjectReader
from worker.ledger import Completion, Dispatch, Failure, Ledger, MovePool, Progress, Release
from worker.ledger.records import Cancellation, Claim, DraftRow
from worker.requests import EnqueueRequest

AGENT = "draft"


@dataclass(frozen=True)
class Site:
    """A project in a database, and all that may be asked of it."""

    database: Database
    pool: MovePool
    ledger: Ledger
    dispatch: Dispatch
    reader: ProjectReader
    project: UUID
    user: UUID
    correlation: UUID
    execution: UUID

    async def read(self, read: Callable[[AsyncSession], Awaitable[Any]]) -> Any:
        """Read in a transaction of the project."""
        async with self.database.project(self.project, snapshot=True) as session:
            return await read(session)

    async def enqueue(self, **options: Any) -> UUID:
        """Enqueue one execution."""
        fields = {"project_id": self.project, "agent_type": AGENT, "requested_by": self.user}
        request = EnqueueRequest.checked({**fields, **options})
        return (await self.ledger.enqueue(request)).execution_id

    async def claimed(self) -> Claim:
        """Enqueue and claim one."""
        [claim] = await self.ledger.claim(
            self.project, [await self.enqueue()], LEASE, {**AGENTS, AGENT: 3}
        )
        return claim


Step = Callable[[Site], Awaitable[Any]]


def _reads(name: str, *given: Any, **options: Any) -> Step:
    return lambda site: site.read(
        lambda session: getattr(readings, name)(session, site.project, *given, **options)
    )


_SINCE = datetime.now(UTC) - timedelta(days=300)
_DRAFT = DraftRow("note", "# text", "{}", None, None, None)
_LETTERS = {"agent_type": None, "since": None, "limit": 20}

# name -> how it is asked, and how many pages it may touch at most.
READINGS: dict[str, list[tuple[Step, int]]] = {
    "read_status": [
        (lambda site: readings.read_status(site.pool, site.project, site.correlation), 60),
        (lambda site: readings.read_status(site.pool, site.project, uuid4()), 20),
    ],
    "read_execution": [
        (lambda site: readings.read_execution(site.pool, site.project, site.execution), 60),
    ],
    "list_documents": [(_reads("list_documents"), 300)],
    "read_document": [
        (_reads("read_document", "article_1", None), 40),
        (_reads("read_document", "article_1", 3), 40),
        (_reads("read_document", "nowhere", None), 20),
    ],
    "list_failed": [
        (_reads("list_failed", **_LETTERS), 250),
        # Where the planner takes the project for small, it sorts all that failed there.
        (_reads("list_failed", **_LETTERS | {"agent_type": AGENT}), 2500),
        (_reads("list_failed", **_LETTERS | {"since": _SINCE}), 250),
    ],
    "find_versions": [
        (_reads("find_versions", '{"done": true}', 20), 1600),
        (_reads("find_versions", '{"nothing": 1}', 20), 3000),
    ],
    "find_executions": [
        (_reads("find_executions", '{"done": true}', 20), 1600),
        (_reads("find_executions", '{"nothing": 1}', 20), 3000),
    ],
    "find_text": [(_reads("find_text", "quick fox", 20), 200)],
}
# What reads every execution of the project: pages for each of them, and a few.
IN_PROPORTION: dict[str, Step] = {"read_statistics": _reads("read_statistics")}


async def _complete(site: Site) -> Any:
    claim = await site.claimed()
    done = Completion(claim.execution_id, 1, json.dumps({"place": -1}), (_DRAFT,))
    return await site.ledger.complete(site.project, done)


async def _complete_late(site: Site) -> Any:
    late = Completion(site.execution, 99, "{}", (_DRAFT,))
    return await site.ledger.complete(site.project, late)


async def _fail(site: Site) -> Any:
    claim = await site.claimed()
    return await site.ledger.fail(
        site.project, Failure(claim.execution_id, 1, "agent_error", "no", None)
    )


async def _retry(site: Site) -> Any:
    claim = await site.claimed()
    await site.ledger.fail(site.project, Failure(claim.execution_id, 1, "agent_error", "no", None))
    return await site.ledger.retry(site.project, [claim.execution_id], None)


async def _release(site: Site) -> Any:
    claim = await site.claimed()
    return await site.ledger.release(site.project, Release(claim.execution_id, 1, ""))


async def _cancel_attempt(site: Site) -> Any:
    claim = await site.claimed()
    return await site.ledger.cancel_attempt(site.project, Cancellation(claim.execution_id, 1, ""))


async def _request_cancel(site: Site) -> Any:
    return await site.ledger.request_cancel(site.project, await site.enqueue(), "")


async def _progress(site: Site) -> Any:
    claim = await site.claimed()
    return await site.ledger.progress(site.project, [Progress(claim.execution_id, 1, 0.5, "")])


async def _extend(site: Site) -> Any:
    claims = [await site.claimed() for _ in range(3)]
    return await site.dispatch.extend(
        site.ledger._worker, {claim.execution_id: 1 for claim in claims}, LEASE
    )


MOVES: dict[str, list[tuple[Step, int]]] = {
    "enqueue": [
        (lambda site: site.enqueue(), 150),
        (lambda site: site.enqueue(idempotency_key=f"k-{uuid4().hex}"), 150),
        (lambda site: site.enqueue(idempotency_key="the-same"), 250),
    ],
    "enqueue_many": [
        (
            lambda site: site.ledger.enqueue_many(
                [
                    EnqueueRequest.checked(
                        {
                            "project_id": site.project,
                            "agent_type": AGENT,
                            "requested_by": site.user,
                        }
                    )
                    for _ in range(10)
                ]
            ),
            1000,
        )
    ],
    "claim": [(lambda site: site.claimed(), 150)],
    "complete": [(_complete, 250), (_complete_late, 150)],
    "fail": [(_fail, 150)],
    "release": [(_release, 150)],
    "cancel_attempt": [(_cancel_attempt, 150)],
    "request_cancel": [(_request_cancel, 150)],
    "rescue": [(lambda site: site.ledger.rescue(site.project, [site.execution]), 60)],
    "retry": [(_retry, 150)],
    "progress": [(_progress, 150)],
}
READER: dict[str, list[tuple[Step, int]]] = {
    "document": [
        (lambda site: site.reader.document("article_1", None), 40),
        (lambda site: site.reader.document("article_1", 3), 40),
        (lambda site: site.reader.document("nowhere", None), 20),
    ],
    "latest_documents": [(lambda site: site.reader.latest_documents(), 300)],
}
DISPATCH: dict[str, list[tuple[Step, int]]] = {
    "extend": [(_extend, 250)],
    "find_due": [
        (
            lambda site: site.dispatch.find_due(
                [AGENT], after=UUID(int=0), projects=50, per_project=4
            ),
            1500,
        ),
    ],
    "find_expired": [(lambda site: site.dispatch.find_expired(100), 1500)],
    "find_former": [(lambda site: site.dispatch.find_former("w", "w:1:stable-a"), 1500)],
}
