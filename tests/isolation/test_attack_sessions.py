"""Sessions and pools: a binding, or what was done under it, that outlives its transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from tests.isolation.attack import Ground, intruder
from tests.ledger.desk import INPUT_LIMIT
from worker.client import Client
from worker.database import Database
from worker.errors import CopydeskError, ScopeConflictError
from worker.ledger import Ledger, MovePool
from worker.settings import read_settings

pytestmark = pytest.mark.usefixtures("untouched")

PROJECTS = text("SELECT DISTINCT project_id FROM agent_executions")
BIND = text("SELECT set_config('app.project_id', :project, :local)")


@pytest.fixture
async def narrow(ground: Ground) -> AsyncIterator[Database]:
    """Give an engine with a single connection: whoever comes next is on the same one."""
    database = Database(ground.database.app, size=1)
    yield database
    await database.close()


@pytest.fixture
async def service(ground: Ground) -> AsyncIterator[AsyncSession]:
    """Give a session of a service's own engine, with a single connection."""
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(ground.database.app),
        pool_size=1,
        max_overflow=0,
    )
    async with AsyncSession(engine) as session:
        yield session
    await engine.dispose()


@pytest.fixture
async def client(ground: Ground, redis_url: str) -> AsyncIterator[Client]:
    """Give a client whose pools have a single connection each."""
    settings = read_settings(
        database_url=ground.database.app, redis_url=redis_url, pool_size=1, lease=3, heartbeat=0.5
    )
    async with Client(settings) as client:
        yield client


async def assert_unbound(session: AsyncSession) -> None:
    """Whatever the session asks for of a project is refused."""
    with pytest.raises(DBAPIError):
        await session.execute(PROJECTS)
    await session.rollback()


async def test_a_commit_ends_the_binding_of_a_services_session(
    service: AsyncSession, client: Client, ground: Ground
) -> None:
    """Hopes that what a session begins by itself after a commit goes on under the old binding."""
    await client.enqueue_in(service, ground.mine.project, "dormant", requested_by=ground.user)
    assert (await service.execute(PROJECTS)).scalars().all() == [ground.mine.project]
    await service.commit()
    await assert_unbound(service)


async def test_a_commit_inside_a_project_transaction_does_not_lead_out_of_it(
    narrow: Database, ground: Ground
) -> None:
    """Hopes that a commit or rollback halfway leaves the rest without a project, or in another."""
    async with narrow.project(ground.mine.project) as session:
        await session.commit()
        assert (await session.execute(PROJECTS)).scalars().all() == [ground.mine.project]
        await session.rollback()
        with pytest.raises(InvalidRequestError, match="closed transaction"):
            await session.execute(PROJECTS)


async def test_a_savepoint_that_is_rolled_back_keeps_the_binding(
    narrow: Database, ground: Ground
) -> None:
    """Hopes that the binding goes with the savepoint; it was made before it."""
    async with narrow.project(ground.mine.project) as session:
        savepoint = await session.begin_nested()
        with pytest.raises(DBAPIError):
            await session.execute(text("SELECT 1 / 0"))
        await savepoint.rollback()
        assert (await session.execute(PROJECTS)).scalars().all() == [ground.mine.project]


async def test_a_binding_made_in_a_savepoint_goes_with_it(
    service: AsyncSession, client: Client, ground: Ground
) -> None:
    """Hopes that after the rollback the session stays bound, or is bound to nothing and sees all.

    The transaction is free again then, and what a second project does in it stands alone.
    """
    savepoint = await service.begin_nested()
    await client.enqueue_in(service, ground.mine.project, "dormant", requested_by=ground.user)
    await savepoint.rollback()
    outer = await service.begin_nested()
    with pytest.raises(DBAPIError):
        await service.execute(PROJECTS)
    await outer.rollback()
    await client.enqueue_in(service, ground.mine.project, "dormant", requested_by=ground.user)
    with pytest.raises(ScopeConflictError):
        await client.enqueue_in(service, ground.theirs.project, "dormant", requested_by=ground.user)
    await service.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "RESET app.project_id",
        "SET LOCAL app.project_id TO DEFAULT",
        "SET LOCAL app.project_id = ''",
        "SELECT set_config('app.project_id', NULL, true)",
        "RESET ALL",
    ],
)
async def test_a_binding_that_is_taken_off_leaves_nothing_to_see(
    statement: str, ground: Ground
) -> None:
    """Hopes that without its binding a transaction sees everything."""
    async with intruder(ground) as attempt:
        await attempt.rows(statement)
        assert await attempt.refused("SELECT 1 FROM agent_executions") in {"22P02", "42704"}
        assert await attempt.refused("UPDATE projects SET name = 'x'") in {"22P02", "42704"}


@pytest.mark.parametrize("given", ["%", "*", "null", "true", "' OR true --", "{}", "0", "all"])
async def test_a_binding_that_names_no_project_sees_none(given: str, ground: Ground) -> None:
    """Hopes for a word that stands for every project."""
    async with intruder(ground) as attempt:
        await attempt.rows("SELECT set_config('app.project_id', $1, true)", given)
        assert await attempt.refused("SELECT 1 FROM agent_executions") == "22P02"
    async with intruder(ground, scope=uuid4()) as attempt:
        assert await attempt.rows("SELECT 1 FROM agent_executions") == []
    async with intruder(ground, scope=UUID(int=0)) as attempt:
        assert await attempt.rows("SELECT 1 FROM projects") == []


async def test_a_session_that_was_bound_by_mistake_lends_it_to_nobody(
    narrow: Database, ground: Ground
) -> None:
    """Hopes to follow, on a pooled connection, somebody who bound the session for good."""
    async with narrow.project(ground.theirs.project) as session:
        await session.execute(BIND, {"project": str(ground.theirs.project), "local": False})

    async with narrow.project(ground.mine.project) as session:
        assert (await session.execute(PROJECTS)).scalars().all() == [ground.mine.project]
    with pytest.raises(CopydeskError) as refused:
        async with narrow.unscoped() as connection:
            await connection.execute(PROJECTS)
    assert refused.value.code == "project_required"


async def test_a_move_on_a_session_that_was_bound_by_mistake_is_refused(ground: Ground) -> None:
    """Hopes that a move takes over the binding it finds; it refuses to go on under two."""
    async with MovePool(ground.database.app, size=1) as pool:
        await pool.call(
            "SELECT set_config('app.project_id', $1, false)", str(ground.theirs.project)
        )
        ledger = Ledger(pool, worker="w1", input_limit=INPUT_LIMIT)
        with pytest.raises(ScopeConflictError):
            await ledger.rescue(ground.mine.project, [ground.theirs.running])


async def test_a_statement_prepared_under_one_project_serves_the_next_its_own_rows(
    narrow: Database, ground: Ground
) -> None:
    """Hopes that a plan which was kept on the connection kept the project with it."""
    for side in (ground.theirs, ground.mine) * 4:  # the fifth time a plan is made for good
        async with narrow.project(side.project) as session:
            await session.execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
            assert (await session.execute(PROJECTS)).scalars().all() == [side.project]
    async with narrow.unscoped() as connection:
        plans = await connection.execute(
            text("SELECT sum(generic_plans) FROM pg_prepared_statements")
        )
        assert plans.scalar_one() > 0


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * INTO TEMPORARY stolen FROM document_versions",
        "CREATE TEMPORARY TABLE stolen AS SELECT * FROM document_versions",
        "CREATE TEMPORARY VIEW stolen AS SELECT * FROM document_versions",
        "CREATE TEMPORARY SEQUENCE stolen",
        "CREATE TABLE stolen AS SELECT * FROM document_versions",
        "CREATE MATERIALIZED VIEW stolen AS SELECT * FROM document_versions",
        "CREATE VIEW stolen AS SELECT * FROM document_versions",
        "CREATE FUNCTION pg_temp.stolen() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE STATISTICS stolen ON project_id, agent_type FROM agent_executions",
        "CREATE PUBLICATION stolen FOR TABLE document_versions",
    ],
)
async def test_nothing_can_be_put_by_for_whoever_comes_next(statement: str, ground: Ground) -> None:
    """Hopes to leave rows on the connection, or in the schema, for a transaction of another."""
    async with intruder(ground) as attempt:
        assert await attempt.refused(statement) == "42501"


async def test_a_whole_life_leaves_nothing_on_its_pooled_connections(
    client: Client, ground: Ground
) -> None:
    """Hopes to find settings, cursors, locks, channels or values of whoever was here before."""
    side = ground.theirs
    await client.status(side.project, side.correlation)
    await client.execution(side.project, side.completed)
    await client.documents(side.project)
    await client.document(side.project, side.document_type)
    await client.dead_letters.list(side.project)
    ledger = client._ledger
    await ledger.rescue(side.project, [side.completed])
    async with client._database.unscoped() as connection:
        left = [(await connection.execute(text(query))).all() for query in LEFT]
        texts = str((await connection.execute(text(PREPARED))).all())
    left += [await client._pool.call(query) for query in LEFT]
    texts += str(await client._pool.call(PREPARED))
    assert [rows for rows in left if rows] == []
    assert "agent_executions" in texts
    assert "rescue_executions" in texts
    assert side.canary not in texts
    assert str(side.project) not in texts


PREPARED = "SELECT statement FROM pg_prepared_statements"
LEFT = (
    # asyncpg switches jit off and on again; the others are the transaction's own.
    "SELECT name FROM pg_settings WHERE source = 'session' AND name !~ '^transaction_|^jit$'",
    "SELECT 1 WHERE coalesce(current_setting('app.project_id', true), '') <> ''",
    "SELECT name FROM pg_cursors WHERE is_holdable",
    "SELECT pg_listening_channels()",
    "SELECT locktype FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'",
    "SELECT relname FROM pg_class WHERE relpersistence = 't'",
)


async def test_many_at_once_over_few_connections_see_themselves_alone(
    ground: Ground,
) -> None:
    """Hopes that in a crowd somebody is handed a connection while another's binding is on it."""
    database = Database(ground.database.app, size=2)

    async def look(project: UUID, *, fail: bool) -> None:
        with suppress(CopydeskError):
            async with database.project(project, snapshot=fail) as session:
                for _ in range(3):
                    assert (await session.execute(PROJECTS)).scalars().all() == [project]
                    await asyncio.sleep(0)
                if fail:
                    await session.execute(text("SELECT 1 / 0"))

    async with asyncio.TaskGroup() as group:
        for number in range(40):
            side = ground.theirs if number % 2 else ground.mine
            group.create_task(look(side.project, fail=number % 3 == 0))
    await database.close()
