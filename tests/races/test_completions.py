"""Completions that meet: versions without gaps, and nobody waits in a circle."""

import asyncio

from tests.ledger.desk import INPUT_LIMIT, Desk, completion, draft
from worker.ledger import Completion, Ledger, MovePool


async def test_versions_are_numbered_without_gaps_under_concurrency(desk: Desk) -> None:
    """Fifty workers completing the same document at once get 1 to 50, each exactly once."""
    claims = [await desk.running(f"w{n}") for n in range(50)]

    answers = await asyncio.gather(
        *(
            desk.worker(f"w{n}").complete(desk.project, completion(claim, draft(f"text {n}")))
            for n, claim in enumerate(claims)
        )
    )

    assert all(answer.accepted for answer in answers)
    assert await desk.versions() == list(range(1, 51))


async def test_overlapping_completions_in_opposite_order_do_not_deadlock(desk: Desk) -> None:
    """Rows and documents are locked in one order, whatever order they are named in."""
    head, tail = [await desk.running("w1") for _ in range(2)]
    claims = [await desk.running("w1") for _ in range(30)]
    said = [completion(c, draft(document_type=f"t{n}")) for n, c in enumerate(claims)]
    pools = [MovePool(desk.database.app, size=1) for _ in range(2)]
    one, other = (Ledger(pool, worker="w1", input_limit=INPUT_LIMIT) for pool in pools)

    async def all_of(ledger: Ledger, first: Completion, items: list[Completion]) -> list[bool]:
        answers = await asyncio.gather(
            *(ledger.complete(desk.project, item) for item in [first, *items])
        )
        return [answer.accepted for answer in answers]

    async with desk.database.oracle() as holder:
        async with holder.transaction():
            await holder.fetch(
                "SELECT 1 FROM agent_executions WHERE id = $1 FOR UPDATE", claims[15].execution_id
            )
            both = asyncio.gather(
                all_of(one, completion(head), said), all_of(other, completion(tail), said[::-1])
            )
            await desk.waiting_for_locks(2)
        here, there = await both
    for pool in pools:
        await pool.close()

    assert here == there == [True] * 31
    rows = await desk.database.ask("SELECT version FROM document_versions")
    assert [row["version"] for row in rows] == [1] * 30
