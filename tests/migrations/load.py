"""A load that goes on while the schema moves: callers, what they saw, and who held up whom.

Callers enqueue with an idempotency key and ask again where an error says that this may help, as the
client's documentation tells them to. Anything else they are told ends the test.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from uuid import UUID

import asyncpg

from models.roles import APP, DISPATCH
from tests.support.databases import DatabaseUrls
from worker.client import Client
from worker.errors import CopydeskError

PAUSE = 0.02
AGAIN = 0.05
LOOK = 0.02

_PLANT = """
    INSERT INTO agent_executions (project_id, agent_type, correlation_id, requested_by, input_data,
        output_data, status, attempt, worker, completed_at)
    SELECT $1, 'echo', uuidv7(), $2, jsonb_build_object('value', n),
           jsonb_build_object('a', n, 'b', n % 1000, 'c', n % 100, 'd', md5(n::text), 'e', -n),
           'completed', 1, 'before', now()
    FROM generate_series(1, $3) AS n
"""
_PLANTED = """
    SELECT count(*) AS rows, md5(string_agg(e::text, '' ORDER BY e.id)) AS digest
    FROM agent_executions e WHERE worker = 'before'
"""
# Waits of workers and callers that a migration is the cause of, in seconds.
_HELD_UP = """
    SELECT max(extract(epoch FROM clock_timestamp() - l.waitstart))::float
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE NOT l.granted AND a.usename = ANY ($1) AND EXISTS (
        SELECT FROM pg_stat_activity m
        WHERE m.application_name = 'copydesk migrate' AND m.pid = ANY (pg_blocking_pids(l.pid)))
"""


async def plant(database: DatabaseUrls, project: UUID, user: UUID, rows: int) -> None:
    """Put completed executions into the database, each with an output."""
    await database.ask(_PLANT, project, user, rows)


async def planted(database: DatabaseUrls) -> tuple[int, str]:
    """Return how many there are of these, and a digest of all that stands in them."""
    [row] = await database.ask(_PLANTED)
    return row["rows"], row["digest"]


class Callers:
    """Callers of one project, until `stop`; each waits for an answer before it asks again."""

    def __init__(self, client: Client, project: UUID, user: UUID) -> None:
        self._client = client
        self._project = project
        self._user = user
        self._stopping = False
        self.accepted: dict[str, UUID] = {}
        self.asked_again: Counter[str] = Counter()
        self.slowest = 0.0

    async def run(self, name: str) -> None:
        """Enqueue one execution after the other."""
        number = 0
        while not self._stopping:
            number += 1
            await self._accepted(f"{name}-{number}")
            await asyncio.sleep(PAUSE)

    def stop(self) -> None:
        """Let each caller end with the answer it waits for."""
        self._stopping = True

    async def _accepted(self, key: str) -> None:
        since = monotonic()
        while key not in self.accepted:
            try:
                recorded = await self._client.enqueue(
                    self._project,
                    "echo",
                    {"value": 1, "document_type": "notes"},
                    requested_by=self._user,
                    idempotency_key=key,
                )
            except CopydeskError as error:
                if not error.retryable:
                    raise
                self.asked_again[error.code] += 1
                await asyncio.sleep(AGAIN)
            else:
                self.accepted[key] = recorded.execution_id
        self.slowest = max(self.slowest, monotonic() - since)


class Watch:
    """Looks who waits for a migration, and keeps the longest wait it saw."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.looks = 0

    async def run(self, connection: asyncpg.Connection) -> None:
        """Look until cancelled."""
        while True:
            held_up = await connection.fetchval(_HELD_UP, [APP, DISPATCH])
            self.longest = max(self.longest, held_up or 0.0)
            self.looks += 1
            await asyncio.sleep(LOOK)


@asynccontextmanager
async def watching(database: DatabaseUrls) -> AsyncIterator[Watch]:
    """Watch for as long as this lasts."""
    watch = Watch()
    async with database.oracle() as connection:
        task = asyncio.create_task(watch.run(connection))
        try:
            yield watch
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
