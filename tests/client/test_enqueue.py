"""Enqueue: accepted means committed, the same key means the same execution, errors have types."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from models.states import State
from tests.support.databases import DatabaseUrls
from tests.support.desk import Desk
from tests.support.workers import running_worker
from worker.client import Client
from worker.errors import (
    CopydeskError,
    DatabaseUnavailableError,
    InputInvalidError,
    NotFoundError,
    ScopeConflictError,
    SettingsError,
)
from worker.queue.connection import open_redis
from worker.settings import Settings, secret


async def queued(settings: Settings) -> set[str]:
    """Return the ids in arq's queue."""
    redis = open_redis(secret(settings.redis_url), queue_name=settings.queue_name)
    try:
        return {id_.decode() for id_ in await redis.zrange(settings.queue_name, 0, -1)}
    finally:
        await redis.aclose()


async def test_an_accepted_execution_is_a_committed_row_and_a_hint(
    client: Client, desk: Desk, settings: Settings
) -> None:
    """Everything the caller chose stands in the row; Redis carries the id."""
    correlation, later = uuid4(), datetime.now(UTC) + timedelta(hours=1)
    recorded = await client.enqueue(
        desk.project,
        "echo",
        {"value": ["ä", 2**70]},
        requested_by=desk.user,
        correlation_id=correlation,
        idempotency_key="once",
        not_before=later,
        priority=7,
        max_attempts=9,
    )
    assert (recorded.status, recorded.created) == (State.PENDING, True)
    assert (recorded.correlation_id, recorded.scheduled_at) == (correlation, later)
    report = await client.execution(desk.project, recorded.execution_id)
    assert (report.priority, report.max_attempts, report.attempt) == (7, 9, 0)
    assert (report.agent_type, report.requested_by) == ("echo", desk.user)
    assert str(recorded.execution_id) in await queued(settings)


async def test_enqueue_many_is_all_or_none(client: Client, desk: Desk) -> None:
    """One transaction; one bad request and nothing of it is there."""
    good = [
        {"agent_type": "echo", "input": {"value": n}, "requested_by": desk.user} for n in (1, 2)
    ]
    recorded = await client.enqueue_many(desk.project, good)
    assert [answer.created for answer in recorded] == [True, True]
    for bad, error in (
        ({"agent_type": "Echo", "requested_by": desk.user}, InputInvalidError),
        ({"agent_type": "echo", "requested_by": uuid4()}, NotFoundError),
        ({"agent_type": "echo", "requested_by": desk.user, "input": {"a": "\x00"}}, CopydeskError),
    ):
        with pytest.raises(error):
            await client.enqueue_many(desk.project, [*good, bad])
    assert len(await desk.database.ask("SELECT FROM agent_executions")) == 2
    assert await client.enqueue_many(desk.project, []) == []
    with pytest.raises(InputInvalidError, match="at most 10,000"):
        await client.enqueue_many(desk.project, [{}] * 10_001)


async def test_a_database_that_does_not_answer_is_worth_another_try(
    desk: Desk, database: DatabaseUrls, settings: Settings
) -> None:
    """Not accepted as far as is known; afterwards the same client goes on."""
    async with database.oracle() as connection:
        await connection.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")
        async with Client(settings) as client:
            for call in (
                client.enqueue(desk.project, "echo", requested_by=desk.user),
                client.status(desk.project, uuid4()),
                client.documents(desk.project),
                client.cancel(desk.project, uuid4()),
            ):
                with pytest.raises(DatabaseUnavailableError) as caught:
                    await call
                assert caught.value.retryable
            await connection.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT -1")
            assert (await client.enqueue(desk.project, "echo", requested_by=desk.user)).created


def test_a_client_without_its_urls_is_refused() -> None:
    """One clear line, without what was given."""
    with pytest.raises(SettingsError, match="COPYDESK_DATABASE_URL"):
        Client.connect(database_url="mysql://me:hunter2@host/db", redis_url="redis://host")


async def test_joined_to_the_callers_transaction_it_commits_or_vanishes_with_it(
    client: Client, desk: Desk, database: DatabaseUrls, settings: Settings
) -> None:
    """The row is the caller's; the hint goes out after the commit, and only then."""
    engine = create_async_engine(database.app.replace("postgresql:", "postgresql+asyncpg:", 1))
    try:
        async with AsyncSession(engine) as session:
            lost = await client.enqueue_in(
                session, desk.project, "echo", {"value": 1}, requested_by=desk.user
            )
            await session.rollback()
            kept = await client.enqueue_in(
                session, desk.project, "echo", {"value": 2}, requested_by=desk.user
            )
            assert await desk.database.ask("SELECT FROM agent_executions") == []
            assert str(kept.execution_id) not in await queued(settings)
            await session.commit()
            other = await client.create_project(name="Other", created_by=desk.user)
            await client.enqueue_in(session, desk.project, "echo", requested_by=desk.user)
            with pytest.raises(ScopeConflictError):
                await client.enqueue_in(session, other, "echo", requested_by=desk.user)
            await session.rollback()
            await session.execute(text("SELECT 1"))
    finally:
        await engine.dispose()
    async with running_worker(settings):
        report = await desk.final(kept.execution_id)
    assert report.output == {"value": 2}
    with pytest.raises(NotFoundError):
        await client.execution(desk.project, lost.execution_id)
    assert await _count(desk, desk.project) == 1


async def _count(desk: Desk, project: UUID) -> int:
    rows = await desk.database.ask("SELECT FROM agent_executions WHERE project_id = $1", project)
    return len(rows)
