"""The connections of the moves: so many and no more, in turn, and never a spoilt one twice."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.support.databases import DatabaseUrls
from tests.support.waiting import until
from worker.errors import CopydeskError, DatabaseUnavailableError
from worker.ledger import MovePool

PID = "SELECT pg_backend_pid() AS pid"
SLEEP = "SELECT pg_backend_pid() AS pid, pg_sleep($1)"


@pytest.fixture
async def pool(database: DatabaseUrls) -> AsyncIterator[MovePool]:
    """Two connections at most."""
    async with MovePool(database.app, size=2, timeout=10, name="pool under test") as pool:
        yield pool


async def sessions(database: DatabaseUrls) -> int:
    """Return how many sessions the pool has."""
    [row] = await database.ask(
        "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'pool under test' "
        "AND datname = current_database()"
    )
    return int(row["n"])


async def sleeping(database: DatabaseUrls, number: int) -> None:
    """Wait until so many of them sleep."""

    async def so_many() -> bool:
        [row] = await database.ask(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event = 'PgSleep' "
            "AND datname = current_database()"
        )
        return bool(row["n"] == number)

    await until(so_many)


async def test_one_after_the_other_they_share_one_connection(
    pool: MovePool, database: DatabaseUrls
) -> None:
    """The one that was used last is used again."""
    pids = {(await pool.call(PID))[0]["pid"] for _ in range(5)}
    assert len(pids) == 1
    assert await sessions(database) == 1


async def test_no_more_than_its_size_are_open_and_those_who_wait_come_in_turn(
    pool: MovePool, database: DatabaseUrls
) -> None:
    """Ten calls at once over two connections; the answers come in the order of the calls."""
    order: list[int] = []

    async def call(number: int) -> int:
        [row] = await pool.call("SELECT pg_backend_pid() AS pid, pg_sleep(0.01)")
        order.append(number)
        return int(row["pid"])

    pids = await asyncio.gather(*(call(number) for number in range(10)))
    assert len(set(pids)) == 2
    assert await sessions(database) == 2
    assert all(abs(number - place) <= 1 for place, number in enumerate(order))


async def test_who_gives_up_waiting_takes_nobodys_turn(
    pool: MovePool, database: DatabaseUrls
) -> None:
    """One that is cancelled while it waits leaves the connection to the next."""
    busy = [asyncio.create_task(pool.call(SLEEP, 0.3)) for _ in range(2)]
    await sleeping(database, 2)
    impatient, patient = (asyncio.create_task(pool.call(PID)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(*busy)
    assert (await patient)[0]["pid"]
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert await sessions(database) == 2


async def test_who_is_cancelled_in_the_very_moment_of_its_turn_passes_it_on(
    database: DatabaseUrls,
) -> None:
    """The connection that was handed to it goes to the next, and is not lost."""
    async with MovePool(database.app, size=1, timeout=10) as pool:
        busy = asyncio.create_task(pool.call(SLEEP, 0.1))
        await sleeping(database, 1)
        first, second = (asyncio.create_task(pool.call(PID)) for _ in range(2))
        busy.add_done_callback(lambda _: first.cancel())
        await busy
        assert (await asyncio.wait_for(second, 5))[0]["pid"]


async def test_a_call_that_is_cancelled_takes_its_connection_along(
    pool: MovePool, database: DatabaseUrls
) -> None:
    """What is still under way on it must not meet the next call."""
    call = asyncio.create_task(pool.call(SLEEP, 60))
    await sleeping(database, 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await pool.call(PID))[0]["pid"]


async def test_a_call_that_takes_too_long_is_given_up(database: DatabaseUrls) -> None:
    """It counts as unanswered, and the next call has a connection of its own."""
    async with MovePool(database.app, size=1, timeout=0.4) as pool:
        with pytest.raises(DatabaseUnavailableError) as given_up:
            await pool.call(SLEEP, 60)
        assert given_up.value.retryable
        assert (await pool.call(PID))[0]["pid"]


async def test_waiting_for_a_connection_has_the_same_limit(database: DatabaseUrls) -> None:
    """Nobody waits for ever behind calls that do not end."""
    async with MovePool(database.app, size=1, timeout=0.4) as pool:
        calls = [asyncio.create_task(pool.call(SLEEP, 60)) for _ in range(3)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DatabaseUnavailableError] * 3


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        ("SELECT 1/0", True),
        ("SELECT * FROM nowhere", True),
        ("SELECT pg_terminate_backend(pg_backend_pid())", False),
        ("CREATE TEMP TABLE t AS SELECT 1", True),
    ],
)
async def test_a_refusal_leaves_the_connection_an_end_takes_it(
    pool: MovePool, statement: str, kept: bool
) -> None:
    """What PostgreSQL merely says no to costs no new connection."""
    [before] = await pool.call(PID)
    with pytest.raises(CopydeskError):
        await pool.call(statement)
    [after] = await pool.call(PID)
    assert (before["pid"] == after["pid"]) is kept


async def test_what_the_check_refuses_is_undone_on_a_connection_that_stays(
    pool: MovePool, database: DatabaseUrls
) -> None:
    """Its error comes back as it is; nothing was committed."""

    def refuse(_rows: list[Any]) -> None:
        raise CopydeskError("not so", code="refused")

    [before] = await pool.call(PID)
    with pytest.raises(CopydeskError, match="not so"):
        await pool.call("INSERT INTO users (email, name) VALUES ('a@b', 'A')", check=refuse)
    [after] = await pool.call(PID)
    assert before == after
    assert await database.ask("SELECT FROM users") == []


async def test_while_nobody_is_let_in_waiting_calls_fail_one_by_one(
    database: DatabaseUrls,
) -> None:
    """The place of a connection that could not be opened goes to the next who tries."""
    async with (
        MovePool(database.app, size=1, timeout=5) as pool,
        database.oracle() as judge,
    ):
        await judge.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")
        calls = [asyncio.create_task(pool.call(PID)) for _ in range(4)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        await judge.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT -1")
        assert [type(outcome) for outcome in outcomes] == [DatabaseUnavailableError] * 4
        assert (await pool.call(PID))[0]["pid"]


async def test_closing_waits_for_what_is_under_way(
    database: DatabaseUrls,
) -> None:
    """A move that was sent is answered; afterwards no session is left."""
    pool = MovePool(database.app, size=2, timeout=10, name="pool under test")
    call = asyncio.create_task(pool.call(SLEEP, 0.2))
    await sleeping(database, 1)
    await pool.close()
    assert (await call)[0]["pid"]

    async def none() -> bool:
        return await sessions(database) == 0

    await until(none)


async def test_what_nobody_has_used_for_long_is_closed(
    pool: MovePool, database: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst does not keep its connections for good."""
    monkeypatch.setattr("worker.ledger.pool._IDLE_AT_MOST", 0.1)
    monkeypatch.setattr(pool, "_timeout", 0.4)
    await asyncio.gather(*(pool.call(SLEEP, 0.05) for _ in range(2)))
    assert await sessions(database) == 2

    async def none() -> bool:
        return await sessions(database) == 0

    await until(none)
    assert (await pool.call(PID))[0]["pid"]


async def test_a_link_that_is_cut_between_two_steps_of_a_call_is_an_ordinary_fault(
    pool: MovePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver looks up types it has not met in a step of its own, and stumbles if it is cut."""
    look_up = asyncpg.Connection._introspect_types

    async def cut(connection: asyncpg.Connection, *types: Any) -> Any:
        connection.terminate()
        return await look_up(connection, *types)

    statement = "SELECT NULL::information_schema.sql_identifier[] AS of_a_type_of_its_own"
    with monkeypatch.context() as patch:
        patch.setattr(asyncpg.Connection, "_introspect_types", cut)
        with pytest.raises(DatabaseUnavailableError):
            await pool.call(statement)
    assert len(await pool.call(statement)) == 1
