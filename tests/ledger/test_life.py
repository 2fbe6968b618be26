"""The lock of a life: held from begin to end, taken again where its link is lost."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from tests.ledger.desk import Desk
from tests.support.waiting import until
from worker.errors import DatabaseUnavailableError
from worker.ledger import Life, MovePool, session_name

BEFORE, NOW = "desk-0:1:stable-0a0b0c0d", "desk-0:2:stable-00ff00ff"


class Silent:
    """A connection on which nothing is answered any more."""

    def __init__(self, real: Any) -> None:
        self._real = real

    async def fetchval(self, *_arguments: object) -> None:
        """Wait in vain, quickly."""
        raise TimeoutError

    def terminate(self) -> None:
        """Give the real one up."""
        self._real.terminate()


def life_of(desk: Desk, worker: str) -> Life:
    """Return a life that looks at its link all the time."""
    return Life(
        desk.database.dispatch,
        worker=worker,
        name="desk-0",
        dispatch=desk.dispatch,
        ledger=desk.worker(worker),
        every=0.02,
    )


@pytest.fixture
async def before(desk: Desk) -> AsyncIterator[Life]:
    """The former life, with its lock."""
    life = life_of(desk, BEFORE)
    await life.begin()
    yield life
    await life.end()


@pytest.fixture
async def now(desk: Desk) -> AsyncIterator[Life]:
    """The life that began later under the same name."""
    life = life_of(desk, NOW)
    await life.begin()
    yield life
    await life.end()


async def holders(desk: Desk) -> list[Any]:
    """Return the sessions that hold an advisory lock, and when each last was asked something."""
    return await desk.database.ask(
        "SELECT l.pid, a.query_start FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
        "WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()"
    )


@pytest.mark.usefixtures("before")
async def test_what_a_living_life_holds_is_left_alone(desk: Desk, now: Life) -> None:
    """Its lock cannot be had."""
    claim = await desk.running(BEFORE)
    assert await now.recover() == 0
    assert (await desk.row(claim.execution_id))["worker"] == BEFORE
    assert await desk.events(claim.execution_id) == ["enqueued", "claimed"]


async def test_what_a_life_held_that_has_ended_is_given_back(
    desk: Desk, before: Life, now: Life
) -> None:
    """With its connection its lock has gone; afterwards nobody holds it."""
    claim = await desk.running(BEFORE)
    await before.end()
    await until(lambda: _alone(desk))

    assert await now.recover() == 1

    assert (await desk.row(claim.execution_id))["status"] == "pending"
    assert await _alone(desk)


async def test_a_life_that_lost_its_lock_and_still_has_a_session_is_left_alone(
    desk: Desk, before: Life, now: Life
) -> None:
    """The lock's link broke and is not back, but the worker's other links tell that it lives."""
    claim = await desk.running(BEFORE)
    async with MovePool(desk.database.dispatch, size=1, name=session_name(BEFORE)) as others:
        await others.call("SELECT 1")
        await before.end()
        await until(lambda: _alone(desk))

        assert await now.recover() == 0

    assert (await desk.row(claim.execution_id))["worker"] == BEFORE
    assert await _alone(desk)


async def test_a_session_of_a_worker_with_a_long_name_still_tells_whose_it_is(desk: Desk) -> None:
    """PostgreSQL cuts an application_name after 63 bytes; two lives of one name stay apart."""
    name = "n" * 150
    async with MovePool(
        desk.database.dispatch, size=1, name=session_name(f"{name}:1:stable-0a0b0c0d")
    ) as pool:
        [shown] = await pool.call(
            "SELECT application_name AS name FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        )
    assert shown["name"].startswith("copydesk 1:stable-0a0b0c0d nnn")
    assert len(shown["name"]) == 63


async def _alone(desk: Desk) -> bool:
    return len(await holders(desk)) == 1


async def test_a_life_that_lost_its_link_without_noticing_takes_its_lock_again_once(
    desk: Desk, before: Life
) -> None:
    """A link on which nothing is answered is given up; the next one is kept."""
    [first] = await holders(desk)
    before._connection = Silent(before._connection)
    keeping = asyncio.create_task(before.keep())

    async def another() -> Any:
        return next((h for h in await holders(desk) if h["pid"] != first["pid"]), None)

    second = await until(another)

    async def much_later() -> bool:
        found = await another()
        assert found["pid"] == second["pid"]
        return bool(found["query_start"] - second["query_start"] > timedelta(seconds=0.5))

    await until(much_later)
    keeping.cancel()
    await asyncio.wait([keeping])


@pytest.mark.usefixtures("before")
async def test_a_lock_that_is_not_given_is_no_life(desk: Desk) -> None:
    """Nothing may be claimed by a worker that could be taken for dead."""
    with pytest.raises(DatabaseUnavailableError, match="still held"):
        await life_of(desk, BEFORE).begin()
