"""Enqueues under one idempotency key that meet: one execution, and nobody waits in a circle."""

import asyncio

from tests.ledger.desk import INPUT_LIMIT, Desk
from worker.ledger import Ledger, MovePool


async def test_one_of_many_concurrent_repeats_is_recorded(desk: Desk) -> None:
    """Callers that race with one key, over connections of their own, get one execution."""
    pools = [MovePool(desk.database.app, size=1) for _ in range(5)]
    ledgers = [Ledger(pool, input_limit=INPUT_LIMIT) for pool in pools]
    request = desk.request(idempotency_key="order-1")

    answers = await asyncio.gather(*(ledger.enqueue(request) for ledger in ledgers))
    for pool in pools:
        await pool.close()

    assert len({answer.execution_id for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1
    assert await desk.rows() == 1


async def test_keys_in_opposite_order_do_not_deadlock(desk: Desk) -> None:
    """Two transactions that insert the same keys in opposite order wait, and never in a circle."""
    pools = [MovePool(desk.database.app, size=1) for _ in range(2)]
    one, other = (Ledger(pool, input_limit=INPUT_LIMIT) for pool in pools)
    requests = [desk.request(idempotency_key=f"key-{n}") for n in range(9)]

    async with desk.database.oracle() as holder:
        holding = holder.transaction()
        await holding.start()
        await holder.execute(
            "SELECT enqueue_execution($1, 'review', '{}', $2, p_idempotency_key => 'key-4')",
            desk.project,
            desk.user,
        )
        both = asyncio.gather(one.enqueue_many(requests), other.enqueue_many(requests[::-1]))
        await desk.waiting_for_locks(2)
        await holding.rollback()
        here, there = await both
    for pool in pools:
        await pool.close()

    assert [e.execution_id for e in here] == [e.execution_id for e in there[::-1]]
    assert await desk.rows() == len(requests)
