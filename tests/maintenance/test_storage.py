"""How the busy tables are stored: room on the page for what an execution becomes."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from tests.support.databases import DatabaseUrls
from tests.support.ones_own import own_postgres
from worker.ledger import Dispatch, Ledger, MovePool
from worker.requests import EnqueueRequest

LEASE = timedelta(minutes=5)
COUNTS = (
    "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'agent_executions'"
)


@pytest.fixture
async def database(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DatabaseUrls]:
    """Give a cluster of the test's own.

    A transaction that stays open in any database of a cluster keeps dead rows from being pruned.
    """
    async with own_postgres(tmp_path_factory.mktemp("own")) as server:
        yield server.database


async def test_renewed_leases_stay_on_their_page(
    database: DatabaseUrls, project: UUID, user: UUID
) -> None:
    """A heartbeat of a full worker touches no index: nine of ten updates are HOT, before vacuum."""
    fields = {"agent_type": "echo", "requested_by": user, "project_id": project}
    ask = EnqueueRequest.checked({**fields, "input": {"text": "x" * 500}})
    async with MovePool(database.app, size=1) as app, MovePool(database.dispatch, size=1) as role:
        ledger, dispatch = Ledger(app, worker="w", input_limit=10_000), Dispatch(role)

        async def updates() -> tuple[int, int]:
            for pool in (app, role):
                await pool.call("SELECT pg_stat_force_next_flush()")
            [row] = await database.ask(COUNTS)
            return row["n_tup_upd"], row["n_tup_hot_upd"]

        made = [await ledger.enqueue_many([ask] * 100) for _ in range(4)]
        ids = [each.execution_id for some in made for each in some]
        await ledger.claim(project, ids, LEASE, {"echo": 3})
        before = await updates()
        for _ in range(5):
            await dispatch.extend("w", dict.fromkeys(ids, 1), LEASE)
        after = await updates()
    renewed, hot = after[0] - before[0], after[1] - before[1]
    assert renewed == 5 * len(ids)
    assert hot >= 0.9 * renewed, (hot, renewed)
