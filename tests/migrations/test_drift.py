"""`check` sees whatever was changed by hand, and a generated migration puts it right."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from models.comparison import Change, Plan, compare, plan
from models.declarations import statements
from models.roles import OWNER
from models.tables import Base
from tests.migrations.drifts import REPAIRED, REPORTED, SURROUNDING, Drift
from tests.support.databases import DatabaseUrls
from worker import migrate

NOTHING = Plan([], [], frozenset(), frozenset())


@pytest.fixture
async def connection(database: DatabaseUrls) -> AsyncIterator[AsyncConnection]:
    """Open a connection that acts as the owner, in a transaction that is rolled back."""
    async with migrate.owner_session(database.admin) as connection:
        yield connection
        await connection.rollback()


def by_hand(connection: Connection, drift: Drift) -> None:
    """Make the change as the superuser, then be the owner again."""
    for statement in ("RESET ROLE", *drift.statements, f"SET LOCAL ROLE {OWNER}"):
        connection.exec_driver_sql(statement)


def planned(connection: Connection) -> Plan:
    """Plan the way back to the declared state, leaving nothing to Alembic."""
    impl = MigrationContext.configure(connection).impl
    version_table = impl.version_table_impl(
        version_table="alembic_version", version_table_schema=None, version_table_pk=True
    )
    return plan(compare(connection, Base.metadata, statements(), version_table), frozenset())


def execute(connection: Connection, changes: list[Change]) -> None:
    """Do the steps as the owner; only a superuser can take a table from another."""
    for change in changes:
        connection.exec_driver_sql(
            "RESET ROLE" if change.part.kind == "owner" else f"SET LOCAL ROLE {OWNER}"
        )
        for statement in change.statements:
            connection.exec_driver_sql(statement)
    connection.exec_driver_sql(f"SET LOCAL ROLE {OWNER}")


async def test_a_migrated_database_is_clean(database: DatabaseUrls) -> None:
    """What the migrations make is what the models declare."""
    assert await migrate.check(database.admin) == []


@pytest.mark.parametrize("drift", [*REPAIRED.values()], ids=[*REPAIRED])
async def test_what_was_changed_by_hand_is_told_and_put_right_and_can_be_put_back(
    connection: AsyncConnection, drift: Drift
) -> None:
    """A generated migration goes up to the declared state, and down to the drifted one."""
    await connection.run_sync(by_hand, drift)
    told = await connection.run_sync(migrate.differences)
    assert any(sentence.startswith(drift.told) for sentence in told), told

    way_back = await connection.run_sync(planned)
    first, last = way_back.up()
    await connection.run_sync(execute, [*first, *last])
    assert await connection.run_sync(planned) == NOTHING

    first, last = way_back.down()
    await connection.run_sync(execute, [*first, *last])
    assert await connection.run_sync(planned) == way_back


@pytest.mark.parametrize("drift", [*REPORTED.values()], ids=[*REPORTED])
async def test_what_a_table_holds_is_told(connection: AsyncConnection, drift: Drift) -> None:
    """Tables, columns, keys and indexes are compared with all their properties."""
    await connection.run_sync(by_hand, drift)
    told = await connection.run_sync(migrate.differences)
    assert any(drift.told in sentence for sentence in told), told


@pytest.mark.parametrize("drift", [*SURROUNDING.values()], ids=[*SURROUNDING])
async def test_what_surrounds_the_schema_is_told(connection: AsyncConnection, drift: Drift) -> None:
    """Roles, the database and the schema itself are not to allow more, or less, than declared."""
    await connection.run_sync(by_hand, drift)
    told = await connection.run_sync(migrate.differences)
    assert any(sentence.startswith(drift.told) for sentence in told), told


async def test_comparing_leaves_nothing_behind_and_waits_for_no_writer(
    database: DatabaseUrls, connection: AsyncConnection
) -> None:
    """The declared state is built beside the live one, which others go on writing to."""
    await connection.exec_driver_sql("SET LOCAL lock_timeout = '100ms'")
    async with database.oracle() as writer, writer.transaction():
        for table in Base.metadata.tables:
            await writer.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")
        assert await connection.run_sync(migrate.differences) == []
    schemas = await connection.exec_driver_sql(
        "SELECT count(*) FROM pg_namespace WHERE nspname = 'copydesk_declared'"
    )
    assert schemas.scalar_one() == 0
