"""The natural way: an arq worker that uses SQLAlchemy's ORM, with row level security and events.

It does what copydesk does for the same unit of work: a scope for each transaction, a row that is
locked and moves from pending to running to completed, a fence on the attempt, numbered versions,
and an event for each step; three transactions for each execution, one of them the enqueue.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from arq import create_pool
from arq.connections import ArqRedis
from arq.worker import Worker, func
from sqlalchemy import func as sql
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from benchmarks.work import CONTENT, DOCUMENT_TYPE, OUTPUT, Text
from models import tables  # noqa: F401 - the ORM has to know every table that a key points at
from models.documents import DocumentVersion
from models.executions import AgentExecution, ExecutionEvent
from worker.queue.connection import to_arq_settings

QUEUE = "bench:natural"
WORKER = "natural"


def engine(url: str, size: int = 20) -> AsyncEngine:
    """Return an engine of a URL as asyncpg reads it."""
    import asyncpg  # noqa: PLC0415 - as the driver of SQLAlchemy

    async def connect() -> Any:  # noqa: ANN401 - a connection of asyncpg
        return await asyncpg.connect(url)

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, pool_size=size)


@asynccontextmanager
async def in_project(on: AsyncEngine, project: UUID) -> AsyncIterator[AsyncSession]:
    """Begin a transaction in a project; commit it at the end."""
    async with AsyncSession(on, expire_on_commit=False) as session, session.begin():
        await session.execute(
            text("SELECT set_config('app.project_id', :project, true)"), {"project": str(project)}
        )
        yield session


async def enqueue(
    on: AsyncEngine, redis: ArqRedis | None, project: UUID, user: UUID, payload: dict[str, Any]
) -> UUID:
    """Record an execution and its event, then tell arq."""
    async with in_project(on, project) as session:
        execution = AgentExecution(
            id=uuid4(),
            project_id=project,
            agent_type="draft",
            correlation_id=uuid4(),
            input_data=payload,
            requested_by=user,
        )
        session.add(execution)
        await session.flush()
        session.add(_event(execution, "enqueued"))
    if redis is not None:
        await redis.enqueue_job("run", str(project), str(execution.id), _queue_name=QUEUE)
    return execution.id


async def run(ctx: dict[str, Any], project_id: str, execution_id: str) -> None:
    """Claim an execution, run its agent, and complete it."""
    on, project = ctx["engine"], UUID(project_id)
    async with in_project(on, project) as session:
        execution = await session.get_one(AgentExecution, UUID(execution_id), with_for_update=True)
        if execution.status != "pending":
            return
        execution.status, execution.worker = "running", WORKER
        execution.attempt += 1
        execution.started_at = datetime.now(UTC)
        execution.lease_expires_at = datetime.now(UTC) + timedelta(seconds=30)
        session.add(_event(execution, "claimed"))
        attempt, payload = execution.attempt, execution.input_data
    Text.model_validate(payload)
    async with in_project(on, project) as session:
        execution = await session.get_one(AgentExecution, UUID(execution_id), with_for_update=True)
        if (execution.status, execution.attempt) != ("running", attempt):
            return
        await session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
            {"name": f"{project}:{DOCUMENT_TYPE}"},
        )
        latest = await session.scalar(
            select(sql.max(DocumentVersion.version)).where(
                DocumentVersion.project_id == project,
                DocumentVersion.document_type == DOCUMENT_TYPE,
            )
        )
        session.add(
            DocumentVersion(
                project_id=project,
                document_type=DOCUMENT_TYPE,
                version=(latest or 0) + 1,
                content=CONTENT,
                created_by=execution.requested_by,
                execution_id=execution.id,
                attempt=attempt,
            )
        )
        execution.status, execution.output_data = "completed", OUTPUT
        execution.completed_at, execution.lease_expires_at = datetime.now(UTC), None
        session.add(_event(execution, "completed"))


def _event(execution: AgentExecution, name: str) -> ExecutionEvent:
    return ExecutionEvent(
        project_id=execution.project_id,
        execution_id=execution.id,
        event=name,
        attempt=execution.attempt or 0,
        worker=execution.worker,
    )


async def fill_queue(redis_url: str, places: Sequence[tuple[UUID, UUID]]) -> None:
    """Tell arq of executions that stand in the database, (project, execution)."""
    redis = await create_pool(to_arq_settings(redis_url))
    for project, execution in places:
        await redis.enqueue_job("run", str(project), str(execution), _queue_name=QUEUE)
    await redis.aclose(close_connection_pool=True)


async def main(concurrency: int) -> None:
    """Work as arq's worker does, until told to stop."""
    on = engine(os.environ["COPYDESK_DATABASE_URL"])
    worker = Worker(
        [func(run, name="run")],
        queue_name=QUEUE,
        redis_settings=to_arq_settings(os.environ["COPYDESK_REDIS_URL"]),
        max_jobs=concurrency,
        ctx={"engine": on},
        keep_result=0,
    )
    await worker.async_run()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
