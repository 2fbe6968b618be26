"""Locks of migrations: taken in turns, waited for a short while, and taken anew after a cut.

Migrations run as processes of their own here, as they do in life; what holds them up are plain
transactions of somebody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic

import asyncpg
import pytest
from asyncpg.transaction import Transaction

from migrations.session import TABLE_LOCK_WAIT
from tests.migrations.schemas import copydesk_db, said
from tests.support.databases import DatabaseUrls
from tests.support.waiting import until
from worker import migrate

BEFORE, BUILDS = "0002_fence_by_place", "0003_write_less"
"""A revision that builds indexes beside the table, and the one it comes from."""

WRITER = "UPDATE agent_executions SET priority = 1"
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
_LEFT_BEHIND = """
    SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE NOT i.indisvalid OR c.relname ~ '_(next|former)$'
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


async def add_execution(database: DatabaseUrls) -> None:
    """Record one execution that is pending."""
    user = await database.add_user()
    await database.ask(
        "SELECT enqueue_execution($1, 'review', '{}', $2)", await database.add_project(user), user
    )


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


async def test_who_waits_for_its_turn_is_not_waited_for(database: DatabaseUrls) -> None:
    """An index is built to the end while a second upgrader waits for the first.

    A build waits for every snapshot that is older; one kept by a waiting upgrader would be a
    deadlock of the two.
    """
    await migrate.downgrade(database.admin, BEFORE)
    await add_execution(database)
    upgrader = partial(copydesk_db, database.admin, "upgrade")
    async with transaction(database.admin, WRITER) as writer, upgrader() as first:
        await until(lambda: held_up(database, "CREATE INDEX%"))
        async with upgrader() as second:
            await until(lambda: sessions(database, 2))
            await writer.rollback()
            answers = await asyncio.gather(said(first), said(second))
    assert [*answers] == [(0, f"at {migrate.head_revision()}\n")] * 2


async def test_a_migration_that_does_not_get_a_table_says_so_and_tries_again(
    database: DatabaseUrls,
) -> None:
    """It gives up after a short while, so that nobody waits behind it for long, and comes again."""
    await migrate.downgrade(database.admin, BEFORE)  # from here on, without builds
    async with copydesk_db(database.admin, "downgrade", "base") as down:
        async with transaction(database.admin, READER):
            await until(lambda: held_up(database, "DROP %"))
            assert down.stderr is not None
            told = (await down.stderr.readline()).decode()
        code, rest = await said(down)
    again = "somebody else's transaction kept a table locked; trying again in 1 s"
    assert told == f"copydesk: {again}\n"
    assert (code, rest) == (0, "at base\n")


async def test_whoever_comes_behind_a_waiting_migration_waits_no_longer_than_it_does(
    database: DatabaseUrls,
) -> None:
    """The migration waits for a reader, the writer for the migration, until that gives up."""
    await migrate.downgrade(database.admin, BEFORE)
    async with (
        transaction(database.admin, READER),
        copydesk_db(database.admin, "downgrade", "base"),
        database.oracle() as writer,
    ):
        await until(lambda: held_up(database, "DROP %"))
        since = monotonic()
        await writer.execute(WRITER)
        waited = monotonic() - since
    assert waited < float(TABLE_LOCK_WAIT.removesuffix("s")) + 1.5


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


@pytest.mark.parametrize("direction", ["upgrade", "downgrade"])
@pytest.mark.parametrize(
    ("holds", "cut_in"), [(WRITER, "CREATE INDEX%"), (READER, "DROP INDEX%")], ids=["build", "drop"]
)
async def test_a_migration_that_was_killed_while_it_built_an_index_is_run_again(
    database: DatabaseUrls, direction: str, holds: str, cut_in: str
) -> None:
    """Killed with an index half built, or with the old one still there: the next run ends well.

    A build waits for those who write, the drop of the old index for those who read as well.
    """
    begin, goal = (BEFORE, BUILDS) if direction == "upgrade" else (BUILDS, BEFORE)
    await migrate.downgrade(database.admin, begin)
    await add_execution(database)
    async with (
        transaction(database.admin, holds),
        copydesk_db(database.admin, direction, goal) as cut,
    ):
        await until(lambda: held_up(database, cut_in))
        cut.kill()
        # The server finds out by itself, while the other transaction is still there.
        await until(lambda: sessions(database, 0))
    assert await database.ask(_LEFT_BEHIND) != []

    async with copydesk_db(database.admin, direction, goal) as again:
        assert await said(again) == (0, f"at {goal}\n")
    assert await database.ask(_LEFT_BEHIND) == []
    await migrate.upgrade(database.admin)
    assert await migrate.check(database.admin) == []
