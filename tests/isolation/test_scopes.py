"""Scopes and pooled connections: a transaction's binding ends with it, however it ends."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import text

from tests.isolation.canaries import Seeded
from tests.ledger.desk import INPUT_LIMIT
from worker.database import Database
from worker.errors import CopydeskError, ProjectRequiredError
from worker.ledger import Ledger, MovePool

COUNT = "SELECT count(*) AS n FROM agent_executions"
SCOPE = "SELECT coalesce(current_setting('app.project_id', true), '') AS scope"


@pytest.fixture
async def pool(victim: Seeded) -> AsyncIterator[MovePool]:
    """Give a move pool with a single connection, so that every call is on the same one."""
    async with MovePool(victim.desk.database.app, size=1) as pool:
        yield pool


@pytest.fixture
async def narrow(victim: Seeded) -> AsyncIterator[Database]:
    """Give an engine with a single connection."""
    database = Database(victim.desk.database.app, size=1)
    yield database
    await database.close()


async def test_a_move_leaves_no_scope_on_its_connection(victim: Seeded, pool: MovePool) -> None:
    """Connections go back without a reset, because there is nothing to reset."""
    ledger = Ledger(pool, worker="w1", input_limit=INPUT_LIMIT)

    await ledger.rescue(victim.project, [victim.running.execution_id])

    assert (await pool.call(SCOPE))[0]["scope"] == ""
    with pytest.raises(CopydeskError) as refused:
        await pool.call(COUNT)
    assert refused.value.code == "project_required"


async def test_a_move_that_was_refused_leaves_no_scope_either(
    victim: Seeded, pool: MovePool
) -> None:
    """A failed transaction takes its binding along."""
    with pytest.raises(CopydeskError):
        await pool.call("SELECT enter_project($1), 1 / 0", victim.project)

    assert (await pool.call(SCOPE))[0]["scope"] == ""


async def test_a_move_that_is_cancelled_leaves_no_scope(victim: Seeded, pool: MovePool) -> None:
    """So does a caller who walks away in the middle."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(
            pool.call("SELECT enter_project($1), pg_sleep(30)", victim.project)
        )
        await victim.desk.sleeping(1)
        task.cancel()

    assert (await pool.call(SCOPE))[0]["scope"] == ""


async def test_a_project_transaction_leaves_no_scope_on_its_connection(
    victim: Seeded, narrow: Database
) -> None:
    """What comes next on the pooled connection sees nothing until it names its project."""
    async with narrow.project(victim.project) as session:
        seen = (await session.execute(text(COUNT))).scalar_one()
        process = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    assert seen > 0

    async with narrow.unscoped() as connection:
        same = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        assert (await connection.execute(text(SCOPE))).scalar_one() == ""
    assert same == process
    with pytest.raises(CopydeskError) as refused:
        async with narrow.unscoped() as connection:
            await connection.execute(text(COUNT))
    assert refused.value.code == "project_required"


async def broken(database: Database, project: UUID) -> None:
    """Fail in the middle of a project transaction."""
    async with database.project(project) as session:
        await session.execute(text(COUNT))
        raise ZeroDivisionError


async def test_a_transaction_that_failed_leaves_no_scope(victim: Seeded, narrow: Database) -> None:
    """A rollback ends the binding as a commit does."""
    with pytest.raises(ZeroDivisionError):
        await broken(narrow, victim.project)

    async with narrow.unscoped() as connection:
        assert (await connection.execute(text(SCOPE))).scalar_one() == ""


async def test_each_transaction_sees_its_own_project(
    victim: Seeded, stranger: Seeded, narrow: Database
) -> None:
    """Two projects in turn over one connection, each with its own rows only."""
    for seeded in (victim, stranger, victim):
        async with narrow.project(seeded.project) as session:
            rows = await session.execute(text("SELECT DISTINCT project_id FROM agent_executions"))
            assert rows.scalars().all() == [seeded.project]


@pytest.mark.parametrize("given", [None, "", " ", "no-id", str(UUID(int=0)), 7, "{x}", b"x" * 16])
async def test_no_project_is_no_transaction(given: object) -> None:
    """There is no default, and nothing but a canonical id is taken for one."""
    database = Database("postgresql://nobody@127.0.0.1:1/nowhere", size=1)
    with pytest.raises(ProjectRequiredError, match=r"^project_id: "):
        async with database.project(given):  # type: ignore[arg-type]
            raise AssertionError("a transaction began without a project")


async def test_a_snapshot_is_read_only(victim: Seeded, narrow: Database) -> None:
    """A reading cannot write, and the next transaction on the connection can."""
    with pytest.raises(CopydeskError):
        async with narrow.project(victim.project, snapshot=True) as session:
            await session.execute(text("UPDATE projects SET name = 'x'"))

    async with narrow.project(victim.project) as session:
        await session.execute(text("UPDATE projects SET name = 'x'"))
