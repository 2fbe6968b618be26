"""Presence: a worker's "I am here" in the table `workers`, for display; it decides nothing."""

from importlib.metadata import version

from worker.errors import CopydeskError
from worker.ledger import MovePool


class Presence:
    """This worker's row: written when it starts and with every heartbeat, removed when it stops."""

    def __init__(
        self, pool: MovePool, *, worker: str, name: str, agent_types: tuple[str, ...], slots: int
    ) -> None:
        self._pool = pool
        self._worker = worker
        self._name = name
        self._agent_types = list(agent_types)
        self._slots = slots

    async def here(self, running: int) -> None:
        """Say that the worker is here and how many attempts it runs."""
        await self._quietly(
            """
            INSERT INTO workers (id, name, version, agent_types, concurrency, running)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (id) DO UPDATE SET seen_at = now(), running = excluded.running
            """,
            self._worker,
            self._name,
            version("copydesk"),
            self._agent_types,
            self._slots,
            running,
        )

    async def gone(self) -> None:
        """Remove the row."""
        await self._quietly("DELETE FROM workers WHERE id = $1", self._worker)

    async def _quietly(self, statement: str, *arguments: object) -> None:
        try:
            await self._pool.call(statement, *arguments)
        except CopydeskError:
            # Whoever has to know that the database is away is told by the heartbeat.
            return
