"""Locks of migrations: taken in turns, and waited for a short while.

Migrations run as processes of their own here, as they do in life; what holds them up are plain
transactions of somebody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from asyncpg.transaction import Transaction

from tests.migrations.schemas import copydesk_db, said
from tests.support.databases import DatabaseUrls
from tests.support.waiting import until
from worker import migrate

BEFORE = "0002_fence_by_place"

READER = "SELECT count(*) FROM agent_executions"

_SESSIONS = """
    SELECT count(*) AS n FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'copydesk migrate' AND query <> ''
"""
_HELD_UP = """
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'copydesk migrate'
        AND wait_event_type = 'Lock' AND query LIKE $1
"""


async def sessions(database: DatabaseUrls, number: int) -> bool:
    """Whether so many migrations are connected, and have begun to ask for their turn."""
    [row] = await database.ask(_SESSIONS)
    return bool(row["n"] == number)


async def held_up(database: DatabaseUrls, statement: str) -> bool:
    """Whether a migration waits for a lock in a statement like this."""
    return await database.ask(_HELD_UP, statement) != []


@asynccontextmanager
async def transaction(url: str, statement: str) -> AsyncIterator[Transaction]:
    """Leave a transaction open after a statement, as the superuser; rolled back at the end."""
    connection = await asyncpg.connect(url)
    try:
        left_open = connection.transaction()
        await left_open.start()
        await connection.execute(statement)
        yield left_open
    finally:
        await connection.close()


async def test_two_upgraders_take_turns(empty_database: str) -> None:
    """The second waits for the first one's lock, and then finds the work done."""
    holder = await asyncpg.connect(empty_database)
    await holder.execute("SELECT pg_advisory_lock($1)", migrate.LOCK)
    upgrade = asyncio.create_task(migrate.upgrade(empty_database))
    await until(lambda: sessions(DatabaseUrls("", empty_database), 1))
    assert not upgrade.done()
    assert await migrate.current(empty_database) is None
    await holder.close()
    await upgrade
    assert await migrate.current(empty_database) == migrate.head_revision()


async def test_a_migration_that_does_not_get_a_table_says_so_and_tries_again(
    database: DatabaseUrls,
) -> None:
    """It gives up after a short while, so that nobody waits behind it for long, and comes again."""
    await migrate.downgrade(database.admin, BEFORE)
    async with copydesk_db(database.admin, "downgrade", "base") as down:
        async with transaction(database.admin, READER):
            await until(lambda: held_up(database, "DROP %"))
            assert down.stderr is not None
            told = (await down.stderr.readline()).decode()
        code, rest = await said(down)
    again = "somebody else's transaction kept a table locked; trying again in 1 s"
    assert told == f"copydesk: {again}\n"
    assert (code, rest) == (0, "at base\n")


async def test_a_table_that_stays_locked_ends_the_command_with_not_now(
    database: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last try the error says what was in the way, and that trying again may help."""
    monkeypatch.setattr(migrate, "AGAIN", (0, 0))
    await migrate.downgrade(database.admin, BEFORE)
    told: list[str] = []
    async with transaction(database.admin, READER):
        with pytest.raises(migrate.TableLockedError) as locked:
            await migrate.downgrade(database.admin, "base", say=told.append)
    assert len(told) == 2
    assert locked.value.retryable
