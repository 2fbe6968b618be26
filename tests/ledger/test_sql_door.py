"""A service that knows only SQL: `SELECT enqueue_execution(...)` in a transaction of its own."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.support.databases import DatabaseUrls
from tests.support.workers import running_worker
from worker.client import Client
from worker.settings import Settings

ENQUEUE = "SELECT enqueue_execution($1, $2, $3::jsonb, $4)"
REVIEW = '{"document_type": "plan"}'


@pytest.fixture
async def service(database: DatabaseUrls) -> AsyncIterator[asyncpg.Connection]:
    """Connect as any service would: the app role, a plain driver."""
    connection = await asyncpg.connect(database.app)
    yield connection
    await connection.close()


async def refusal(connection: asyncpg.Connection, statement: str, *arguments: Any) -> str | None:
    """Return the SQLSTATE a statement is refused with."""
    with pytest.raises(asyncpg.PostgresError) as refused:
        await connection.fetch(statement, *arguments)
    state: str | None = refused.value.sqlstate
    return state


async def test_the_row_stands_or_falls_with_the_services_own_work(
    service: asyncpg.Connection, database: DatabaseUrls, project: UUID, user: UUID
) -> None:
    """Rolled back it was never there; committed it is pending, with its event."""
    doomed = service.transaction()
    await doomed.start()
    await service.fetchval(ENQUEUE, project, "review", REVIEW, user)
    await doomed.rollback()
    assert await database.ask("SELECT 1 FROM agent_executions") == []

    async with service.transaction():
        execution = await service.fetchval(ENQUEUE, project, "review", REVIEW, user)

    [row] = await database.ask(
        "SELECT e.id, e.status, x.event FROM agent_executions e "
        "JOIN execution_events x ON x.execution_id = e.id"
    )
    assert tuple(row) == (execution, "pending", "enqueued")


async def test_a_job_from_sql_alone_runs(
    service: asyncpg.Connection, settings: Settings, client: Client, project: UUID, user: UUID
) -> None:
    """No hint is sent, so a sweep finds it: the guarantee."""
    correlation = uuid4()
    payload = '{"document_type": "plan", "content": "# A plan\\n"}'
    async with running_worker(settings):
        await service.execute(
            "SELECT enqueue_execution($1, 'import_document', $2::jsonb, $3, $4)",
            project,
            payload,
            user,
            correlation,
        )
        report = await client.wait(project, correlation, timeout=20)

    assert [execution.status for execution in report.executions] == ["completed"]
    assert (await client.document(project, "plan")).content == "# A plan\n"


async def test_a_repeat_from_another_time_zone_is_the_same_request(
    service: asyncpg.Connection, project: UUID, user: UUID
) -> None:
    """A moment is a moment, however the session writes it."""
    later = datetime.now(UTC) + timedelta(hours=1)
    asked = (
        "SELECT enqueue_execution($1, 'review', '{}', $2, p_idempotency_key => 'order-1', "
        "p_not_before => $3)"
    )
    first = await service.fetchval(asked, project, user, later)
    await service.execute("SET timezone = 'Asia/Kathmandu'")
    assert await service.fetchval(asked, project, user, later) == first


async def test_a_transaction_has_one_project(
    service: asyncpg.Connection, database: DatabaseUrls, project: UUID, user: UUID
) -> None:
    """The first call binds it; a second project, or a scope set by hand, is a conflict."""
    elsewhere = await database.add_project(user)
    transaction = service.transaction()
    await transaction.start()
    await service.fetchval(ENQUEUE, project, "review", REVIEW, user)
    assert await refusal(service, ENQUEUE, elsewhere, "review", REVIEW, user) == "CD002"
    await transaction.rollback()

    transaction = service.transaction()
    await transaction.start()
    await service.execute("SELECT set_config('app.project_id', $1, true)", str(elsewhere))
    assert await refusal(service, ENQUEUE, project, "review", REVIEW, user) == "CD002"
    await transaction.rollback()

    assert await database.ask("SELECT 1 FROM agent_executions") == []


async def test_the_binding_ends_with_the_transaction(
    service: asyncpg.Connection, database: DatabaseUrls, project: UUID, user: UUID
) -> None:
    """On the same connection the next transaction may serve another project."""
    elsewhere = await database.add_project(user)

    for each in (project, elsewhere):
        async with service.transaction():
            await service.fetchval(ENQUEUE, each, "review", REVIEW, user)

    rows = await database.ask("SELECT project_id FROM agent_executions")
    assert {row["project_id"] for row in rows} == {project, elsewhere}


async def test_the_dispatch_role_cannot_enqueue(
    database: DatabaseUrls, project: UUID, user: UUID
) -> None:
    """The door is the app role's alone."""
    connection = await asyncpg.connect(database.dispatch)
    assert await refusal(connection, ENQUEUE, project, "review", REVIEW, user) == "42501"
    await connection.close()
