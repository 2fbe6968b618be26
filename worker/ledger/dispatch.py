"""What crosses projects, for the dispatch role: where work is, and one heartbeat for all of it.

Only control columns are seen here, ids and times, never content. What is found is moved by the
scoped moves of the ledger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from worker.ledger.pool import MovePool


@dataclass(frozen=True, slots=True)
class Held:
    """An attempt whose lease was renewed, and whether somebody asked to cancel it."""

    execution_id: UUID
    attempt: int
    cancel_requested: bool


@dataclass(frozen=True, slots=True)
class Found:
    """An execution that is due, or whose lease has run out, and its project."""

    project_id: UUID
    execution_id: UUID


@dataclass(frozen=True, slots=True)
class Former:
    """An execution that another life of a stable name holds, and that life's worker id."""

    project_id: UUID
    execution_id: UUID
    worker: str


class Dispatch:
    """The dispatch role's four statements."""

    def __init__(self, pool: MovePool) -> None:
        self._pool = pool

    async def extend(
        self, worker: str, attempts: Mapping[UUID, int], lease: timedelta
    ) -> dict[UUID, Held]:
        """Renew the leases of the attempts (execution -> attempt); what is missing was lost."""
        if not attempts:
            return {}
        rows = await self._pool.call(
            "SELECT * FROM extend_leases($1, $2, $3, $4)",
            worker,
            list(attempts),
            list(attempts.values()),
            lease,
        )
        return {
            row["execution_id"]: Held(row["execution_id"], row["attempt"], row["cancel_requested"])
            for row in rows
        }

    async def find_due(
        self, agent_types: Sequence[str], *, after: UUID, projects: int, per_project: int
    ) -> list[Found]:
        """Return due executions of up to `projects` projects behind `after`, a few of each."""
        rows = await self._pool.call(
            "SELECT * FROM find_due($1, $2, $3, $4)",
            list(agent_types),
            after,
            projects,
            per_project,
        )
        return [Found(row["project_id"], row["execution_id"]) for row in rows]

    async def find_expired(self, limit: int) -> list[Found]:
        """Return up to `limit` executions whose lease has run out, oldest first."""
        rows = await self._pool.call("SELECT * FROM find_expired($1)", limit)
        return [Found(row["project_id"], row["execution_id"]) for row in rows]

    async def find_former(self, name: str, worker: str) -> list[Former]:
        """Return what other lives of a stable name hold than `worker`, which asks."""
        rows = await self._pool.call("SELECT * FROM find_former($1, $2)", name, worker)
        return [Former(row["project_id"], row["execution_id"], row["worker"]) for row in rows]
