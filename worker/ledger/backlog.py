"""How much work waits, is held or has failed, across projects, as the dispatch role sees it.

Counts, times and ids, by what that role may see: control columns. Each statement goes by an index
of few rows and stops at a bound, so that asking costs little on a table of any size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from worker.ledger.pool import MovePool

BOUND = 1000
_IDS = 3

_ABANDONED = """
    SELECT count(*)::int AS number,
           extract(epoch FROM clock_timestamp() - min(lease_expires_at))::float8 AS seconds,
           (array_agg(id::text ORDER BY lease_expires_at))[:$3] AS ids
    FROM (SELECT id, lease_expires_at FROM agent_executions
          WHERE status = 'running' AND lease_expires_at < clock_timestamp() - $1::interval
          ORDER BY worker LIMIT $2) AS abandoned
"""

# In the order of the index on pending rows, which has the time too: rows that are not due yet are
# passed over without a look at the table.
_DUE = """
    SELECT agent_type, count(*)::int AS number,
           extract(epoch FROM clock_timestamp() - min(scheduled_at))::float8 AS seconds,
           (array_agg(id::text ORDER BY scheduled_at))[:$3] AS ids
    FROM (SELECT id, agent_type, scheduled_at FROM agent_executions
          WHERE status = 'pending' AND scheduled_at < clock_timestamp() - $1::interval
          ORDER BY project_id, priority DESC, scheduled_at, id LIMIT $2) AS due
    GROUP BY agent_type
    ORDER BY seconds DESC
"""

_FAILED = """
    SELECT count(*)::int AS number
    FROM (SELECT FROM agent_executions WHERE status = 'failed'
          ORDER BY project_id, started_at DESC LIMIT $1) AS failed
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Executions that wait for something.

    Attributes:
        agent_type: the agent they are for; empty where they are of several.
        number: how many, at most `BOUND` + 1: nobody counts further.
        seconds: how long the longest of them has waited.
        ids: of those that have waited longest.
    """

    agent_type: str
    number: int
    seconds: float
    ids: Sequence[str]


class Backlog:
    """The dispatch role's three figures."""

    def __init__(self, pool: MovePool) -> None:
        self._pool = pool

    async def abandoned(self, since: timedelta) -> Waiting | None:
        """Return what is running though its lease ran out so long ago; None where nothing is."""
        [row] = await self._pool.call(_ABANDONED, since, BOUND + 1, _IDS)
        return Waiting("", row["number"], row["seconds"], row["ids"]) if row["number"] else None

    async def due(self, since: timedelta) -> list[Waiting]:
        """Return what has been due for so long, by agent, longest first."""
        rows = await self._pool.call(_DUE, since, BOUND + 1, _IDS)
        return [Waiting(**dict(row)) for row in rows]

    async def failed(self) -> int:
        """Return how many executions have failed for good, at most `BOUND` + 1."""
        [row] = await self._pool.call(_FAILED, BOUND + 1)
        return int(row["number"])
