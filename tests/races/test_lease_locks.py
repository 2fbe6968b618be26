"""A heartbeat and rows that somebody holds: one locked row costs no other its lease."""

import asyncio
from datetime import timedelta
from uuid import UUID

from tests.support.databases import DatabaseUrls
from worker.ledger import Dispatch, MovePool

LEASE = timedelta(minutes=5)


async def test_a_locked_row_is_still_mine_and_holds_no_other_up(
    database: DatabaseUrls, project: UUID, user: UUID
) -> None:
    """While somebody holds one row, the beat renews the others at once and loses none."""
    rows = await database.ask(
        "INSERT INTO agent_executions (project_id, agent_type, correlation_id, requested_by,"
        " status, attempt, worker, lease_expires_at)"
        " SELECT $1, 'echo', uuidv7(), $2, 'running', 1, 'w', now() + interval '1 second'"
        " FROM generate_series(1, 2) RETURNING id",
        project,
        user,
    )
    held, free = (row["id"] for row in rows)
    async with MovePool(database.dispatch, size=1) as pool, database.oracle() as holder:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("SELECT 1 FROM agent_executions WHERE id = $1 FOR UPDATE", held)
        async with asyncio.timeout(5):
            answer = await Dispatch(pool).extend("w", {held: 1, free: 1}, LEASE)
        await transaction.rollback()
    assert set(answer) == {held, free}
    leases = await database.ask(
        "SELECT id, lease_expires_at > now() + interval '1 minute' AS renewed FROM agent_executions"
    )
    assert {row["id"]: row["renewed"] for row in leases} == {held: False, free: True}
