"""Enqueue inside a caller's own transaction: the row stands or falls with it, the hint follows."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis as sync_redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from tests.support.databases import DatabaseUrls
from worker.client import Client
from worker.errors import (
    IdempotencyConflictError,
    InputInvalidError,
    NotFoundError,
    ScopeConflictError,
)
from worker.ledger import Enqueued


@pytest.fixture
async def engine(database: DatabaseUrls) -> AsyncIterator[AsyncEngine]:
    """Give the engine of a service that knows nothing of copydesk but its role."""
    url = database.app.replace("postgresql://", "postgresql+asyncpg://", 1)
    engine = create_async_engine(url)
    yield engine
    await engine.dispose()


class Service:
    """A service with transactions of its own, and an eye on the queue."""

    def __init__(self, client: Client, redis_url: str, project: UUID, user: UUID) -> None:
        self._client = client
        self._redis = sync_redis.Redis.from_url(redis_url)
        self._project = project
        self._user = user

    async def enqueue(self, session: AsyncSession, **options: object) -> Enqueued:
        """Record an execution in the session's transaction."""
        given: dict[str, Any] = {"requested_by": self._user, **options}
        project = given.pop("project_id", self._project)
        return await self._client.enqueue_in(
            session, project, "review", {"document_type": "plan"}, **given
        )

    async def hints(self) -> set[str]:
        """Return the ids in the queue, once no hint is under way any more."""
        await self._client._hints.settle()
        members: Any = self._redis.zrange("arq:queue", 0, -1)
        return {member.decode() for member in members}

    def close(self) -> None:
        """Leave the queue."""
        self._redis.close()


@pytest.fixture
async def service(
    client: Client, redis_url: str, project: UUID, user: UUID
) -> AsyncIterator[Service]:
    """Give the service."""
    service = Service(client, redis_url, project, user)
    yield service
    service.close()


async def recorded(database: DatabaseUrls) -> set[str]:
    """Return the ids of all executions."""
    return {str(row["id"]) for row in await database.ask("SELECT id FROM agent_executions")}


async def test_the_row_commits_with_the_callers_work_and_the_hint_follows(
    engine: AsyncEngine, service: Service, database: DatabaseUrls
) -> None:
    """Before the commit nobody sees the row, and nobody is told."""
    async with AsyncSession(engine) as session:
        execution = await service.enqueue(session, correlation_id=uuid4(), priority=3)
        await session.execute(text("UPDATE projects SET name = 'Begun'"))
        assert await recorded(database) == set()
        assert await service.hints() == set()

        await session.commit()

    assert await recorded(database) == {str(execution.execution_id)}
    assert await service.hints() == {str(execution.execution_id)}
    [row] = await database.ask("SELECT name FROM projects")
    assert row["name"] == "Begun"
    [row] = await database.ask("SELECT event FROM execution_events")
    assert row["event"] == "enqueued"


async def test_the_row_vanishes_with_a_rollback_and_no_hint_is_sent(
    engine: AsyncEngine, service: Service, database: DatabaseUrls
) -> None:
    """A later transaction of the same session does not send it either."""
    async with AsyncSession(engine) as session:
        await service.enqueue(session)
        await session.rollback()
        await session.execute(text("SELECT 1"))
        await session.commit()

    assert await recorded(database) == set()
    assert await service.hints() == set()


async def test_a_session_that_is_closed_without_a_commit_sends_no_hint(
    engine: AsyncEngine, service: Service, database: DatabaseUrls
) -> None:
    """Walking away is a rollback."""
    async with AsyncSession(engine) as session:
        await service.enqueue(session)

    assert await recorded(database) == set()
    assert await service.hints() == set()


async def test_a_savepoint_that_is_released_does_not_send_the_hint(
    engine: AsyncEngine, service: Service
) -> None:
    """Only the outermost commit makes the row visible, so only it may wake a worker."""
    async with AsyncSession(engine) as session:
        async with session.begin_nested():
            execution = await service.enqueue(session)
        assert await service.hints() == set()

        await session.commit()

    assert await service.hints() == {str(execution.execution_id)}


async def test_a_savepoint_that_is_rolled_back_takes_its_hint_along(
    engine: AsyncEngine, service: Service, database: DatabaseUrls
) -> None:
    """What was recorded around it commits, and is hinted, all the same."""
    async with AsyncSession(engine) as session:
        before = await service.enqueue(session)
        outer = await session.begin_nested()
        async with session.begin_nested():
            await service.enqueue(session)
        await outer.rollback()
        after = await service.enqueue(session)
        await session.commit()

    kept = {str(before.execution_id), str(after.execution_id)}
    assert await recorded(database) == kept
    assert await service.hints() == kept


async def test_many_in_one_transaction_are_all_hinted(
    engine: AsyncEngine, service: Service, database: DatabaseUrls
) -> None:
    """Each has its own hint after the one commit, and the next transaction starts afresh."""
    async with AsyncSession(engine) as session:
        first = [await service.enqueue(session) for _ in range(3)]
        await session.commit()
        assert await service.hints() == {str(e.execution_id) for e in first}
        second = await service.enqueue(session)
        await session.commit()

    assert await service.hints() == {str(e.execution_id) for e in [*first, second]}
    assert len(await recorded(database)) == 4


async def test_the_transaction_is_bound_to_the_project_and_to_no_other(
    engine: AsyncEngine, service: Service, database: DatabaseUrls, user: UUID
) -> None:
    """One transaction, one project: a second is refused, and nothing of either is recorded."""
    elsewhere = await database.add_project(user)
    async with AsyncSession(engine) as session:
        await service.enqueue(session)
        with pytest.raises(ScopeConflictError, match="bound to another project"):
            await service.enqueue(session, project_id=elsewhere)
        await session.rollback()

    assert await recorded(database) == set()


async def test_refusals_are_the_same_as_anywhere_else(
    engine: AsyncEngine, service: Service
) -> None:
    """Typed errors by field and rule, whichever door a request came through."""
    for fault, options in (
        (NotFoundError, {"requested_by": uuid4()}),
        (NotFoundError, {"project_id": uuid4()}),
        (InputInvalidError, {"priority": 101}),
    ):
        async with AsyncSession(engine) as session:
            with pytest.raises(fault):
                await service.enqueue(session, **options)


async def test_a_conflict_leaves_the_callers_transaction_usable(
    engine: AsyncEngine, service: Service, database: DatabaseUrls
) -> None:
    """A known key is answered, another request under it refused, and the caller may go on."""
    async with AsyncSession(engine) as session:
        first = await service.enqueue(session, idempotency_key="order-1")
        again = await service.enqueue(session, idempotency_key="order-1")
        with pytest.raises(IdempotencyConflictError):
            await service.enqueue(session, idempotency_key="order-1", priority=9)
        await session.commit()

    assert again.execution_id == first.execution_id
    assert await recorded(database) == {str(first.execution_id)}
