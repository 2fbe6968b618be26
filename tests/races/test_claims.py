"""Claims, rescues and second tries that meet: whoever comes second passes by."""

import asyncio

from tests.ledger.desk import Desk, failure


async def test_a_locked_row_is_passed_over_at_once(desk: Desk) -> None:
    """A claim never waits for a row that somebody else is moving."""
    locked, free = await desk.enqueue(), await desk.enqueue()
    async with desk.database.oracle() as other, other.transaction():
        await other.fetch(
            "SELECT 1 FROM agent_executions WHERE id = $1 FOR UPDATE", locked.execution_id
        )
        passed, taken = await desk.claim(locked.execution_id, free.execution_id)

    assert (passed.claimed, taken.claimed) == (False, True)
    [now] = await desk.claim(locked.execution_id)
    assert now.claimed


async def test_a_row_somebody_is_moving_is_passed_over_by_a_rescue(desk: Desk) -> None:
    """Two sweeps that meet do not wait for each other."""
    lost = await desk.abandoned()
    async with desk.database.oracle() as other, other.transaction():
        await other.fetch(
            "SELECT 1 FROM agent_executions WHERE id = $1 FOR UPDATE", lost.execution_id
        )
        assert await desk.ledger.rescue(desk.project, [lost.execution_id]) == {}

    assert await desk.ledger.rescue(desk.project, [lost.execution_id]) != {}


async def test_asking_many_times_at_once_is_asking_once(desk: Desk) -> None:
    """One successor, until that one has ended badly too."""
    dead = await desk.failed()

    answers = await asyncio.gather(
        *(desk.ledger.retry(desk.project, [dead.execution_id], None) for _ in range(5))
    )

    [[again]] = [answer for answer in answers if answer]
    [claim] = await desk.claim(again.execution_id)
    await desk.ledger.fail(desk.project, failure(claim, delay=None))
    assert len(await desk.ledger.retry(desk.project, [dead.execution_id], None)) == 1
