"""Whether monthly partitions of `execution_events` would pay: the table as it is, and partitioned.

Both hold the same events of a year, with row level security and foreign keys. Measured, as the
roles that do it: inserting as moves do, reading one execution's events, and getting rid of the
oldest month, by DELETE in batches and by dropping a partition.
`python -m benchmarks.partitions` prints the table of decision 0018.
"""

import sys
from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter
from typing import Any
from uuid import UUID

import asyncpg
import uvloop

from benchmarks.figures import markdown
from benchmarks.stage import Ground, Stage, opened_stage
from worker.settings import secret

_MONTHS = 12
_PROJECTS = 100
_EXECUTIONS = 500_000
_EACH = 6  # events of an execution
_BATCH = 500
_SAMPLES = 400
_PLAIN, _PARTED = "execution_events", "parted_events"

_FILL = (
    """
    INSERT INTO agent_executions (project_id, agent_type, correlation_id, requested_by, status,
        started_at, completed_at, created_at, attempt)
    SELECT p.id, 'draft', gen_random_uuid(), $2, 'completed', t.at, t.at, t.at, 1
    FROM generate_series(1, $1::int) n
        JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM projects) p
            ON p.place = n % (SELECT count(*) FROM projects)
        CROSS JOIN LATERAL (
            SELECT date_trunc('month', now()) - interval '1 year'
                + (n - 1) * (interval '1 year' / $1::int) AS at) t
    """,
    """
    INSERT INTO execution_events (project_id, execution_id, event, attempt, worker, at, detail)
    SELECT project_id, id, 'progress', 1, 'worker-1', created_at + x * interval '1 second',
        '{"fraction": 0.5, "message": "half of it"}'
    FROM agent_executions CROSS JOIN generate_series(1, $1::int) x
    """,
)

_PARTITIONED = """
    CREATE TABLE parted_events (
        project_id uuid NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
        execution_id uuid NOT NULL,
        id bigint GENERATED ALWAYS AS IDENTITY,
        event varchar(50) NOT NULL,
        attempt integer NOT NULL,
        worker varchar(200),
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        detail jsonb NOT NULL DEFAULT '{}',
        PRIMARY KEY (project_id, execution_id, id, at),
        FOREIGN KEY (project_id, execution_id) REFERENCES agent_executions (project_id, id)
            ON DELETE CASCADE
    ) PARTITION BY RANGE (at);
    DO $$ BEGIN
        FOR month IN 0..%(months)s LOOP
            EXECUTE format('CREATE TABLE parted_%%s PARTITION OF parted_events '
                'FOR VALUES FROM (%%L) TO (%%L)', month,
                date_trunc('month', now()) + (month - 12) * interval '1 month',
                date_trunc('month', now()) + (month - 11) * interval '1 month');
        END LOOP;
    END $$;
    ALTER TABLE parted_events ENABLE ROW LEVEL SECURITY;
    ALTER TABLE parted_events FORCE ROW LEVEL SECURITY;
    CREATE POLICY project_access ON parted_events TO copydesk_app, copydesk_maintenance
        USING (project_id = (SELECT current_setting('app.project_id')::uuid))
        WITH CHECK (project_id = (SELECT current_setting('app.project_id')::uuid));
    GRANT SELECT, INSERT ON parted_events TO copydesk_app;
    GRANT SELECT, DELETE ON parted_events TO copydesk_maintenance;
    INSERT INTO parted_events (project_id, execution_id, event, attempt, worker, at, detail)
    SELECT project_id, execution_id, event, attempt, worker, at, detail FROM execution_events;
"""

_INSERT = """
    INSERT INTO {table} (project_id, execution_id, event, attempt, worker, detail)
    SELECT $1, id, 'claimed', 1, 'worker-1', '{{}}' FROM unnest($2::uuid[]) id
"""
_READ = "SELECT * FROM {table} WHERE project_id = $1 AND execution_id = $2 ORDER BY id"
_LOCKS = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"
_OLDEST = """
    SELECT id FROM agent_executions
    WHERE project_id = $1
        AND created_at < date_trunc('month', now()) - interval '11 months'
"""
_DELETE = "DELETE FROM {table} WHERE project_id = $1 AND execution_id = ANY ($2)"
_CASCADE = "DELETE FROM {table} WHERE project_id = $1 AND execution_id = $2"


async def _timed(call: Callable[..., Awaitable[Any]], *arguments: object) -> float:
    began = perf_counter()
    await call(*arguments)
    return perf_counter() - began


class Bench:
    """The figures of one table, as the roles that work on it."""

    def __init__(self, ground: Ground, table: str, *, months: int) -> None:
        self._ground = ground
        self._table = table
        self._months = months

    async def row(self) -> tuple[str, ...]:
        """Measure, and return a row of the table of results."""
        app = await asyncpg.connect(secret(self._ground.settings.database_url))
        maintenance = await asyncpg.connect(secret(self._ground.settings.maintenance_url))
        try:
            rate = await self._insert(app)
            reading, locks = await self._read(app)
            cascade = await self._cascade(maintenance)
            pruning = await self._prune(maintenance)
        finally:
            await app.close()
            await maintenance.close()
        dropping = await self._drop()
        return (
            "as it is" if self._table == _PLAIN else f"{self._months} partitions",
            f"{rate:,.0f}/s",
            f"{reading * 1000:.2f} ms",
            str(locks),
            f"{cascade * 1000:.2f} ms",
            f"{pruning:.1f} s",
            f"{dropping * 1000:.0f} ms" if dropping else "-",
        )

    async def _ids(self, project: UUID, number: int) -> list[UUID]:
        rows = await self._ground.oracle.fetch(
            "SELECT id FROM agent_executions WHERE project_id = $1 ORDER BY md5(id::text) LIMIT $2",
            project,
            number,
        )
        return [row["id"] for row in rows]

    async def _insert(self, app: asyncpg.Connection) -> float:
        """Return events a second, sixteen in each transaction as moves do in batches."""
        project = self._ground.projects[0]
        ids = await self._ids(project, 16)
        statement = _INSERT.format(table=self._table)

        async def insert() -> None:
            async with app.transaction():
                await _bind(app, project)
                await app.execute(statement, project, ids)

        took = [await _timed(insert) for _ in range(_SAMPLES)]
        return len(ids) / median(took)

    async def _read(self, app: asyncpg.Connection) -> tuple[float, int]:
        project = self._ground.projects[1]
        statement = _READ.format(table=self._table)
        took = []
        locks = 0
        for id_ in await self._ids(project, _SAMPLES):
            async with app.transaction():
                await _bind(app, project)
                took.append(await _timed(app.fetch, statement, project, id_))
                locks = locks or int(await app.fetchval(_LOCKS)) - 1
        return median(took), locks

    async def _cascade(self, maintenance: asyncpg.Connection) -> float:
        """Return what the cascade of one deleted execution costs."""
        project = self._ground.projects[2]
        statement = _CASCADE.format(table=self._table)
        took = []
        for id_ in await self._ids(project, _SAMPLES):
            async with maintenance.transaction():
                await _bind(maintenance, project)
                took.append(await _timed(maintenance.execute, statement, project, id_))
        return median(took)

    async def _prune(self, maintenance: asyncpg.Connection) -> float:
        """Return the seconds it takes to delete the events of the oldest month, in batches."""
        statement = _DELETE.format(table=self._table)
        began = perf_counter()
        for project in self._ground.projects:
            ids = [row["id"] for row in await self._ground.oracle.fetch(_OLDEST, project)]
            for start in range(0, len(ids), _BATCH):
                async with maintenance.transaction():
                    await _bind(maintenance, project)
                    await maintenance.execute(statement, project, ids[start : start + _BATCH])
        return perf_counter() - began

    async def _drop(self) -> float:
        """Return the seconds it takes to drop a whole month; none where there is no partition."""
        if self._table == _PLAIN:
            return 0.0
        return await _timed(self._ground.oracle.execute, "DROP TABLE parted_1")


async def _bind(connection: asyncpg.Connection, project: UUID) -> None:
    await connection.execute("SELECT set_config('app.project_id', $1, true)", str(project))


async def measure(stage: Stage) -> list[tuple[str, ...]]:
    """Measure the table as it is, with a year of partitions, and with five."""
    await stage.prepare()
    rows = []
    for table, months in ((_PLAIN, 0), (_PARTED, 12), (_PARTED, 60)):
        async with stage.ground(projects=_PROJECTS) as ground:
            oracle = ground.oracle
            await oracle.execute(_FILL[0], _EXECUTIONS, ground.user)
            await oracle.execute(_FILL[1], _EACH)
            if table == _PARTED:
                await oracle.execute(_PARTITIONED % {"months": months})
            await oracle.execute("VACUUM ANALYZE")
            await oracle.execute("CHECKPOINT")
            rows.append(await Bench(ground, table, months=months).row())
        print("  ".join(rows[-1]), flush=True)  # noqa: T201 - a benchmark talks
    return rows


def main() -> int:
    """Measure and print."""
    with opened_stage() as stage:
        rows = uvloop.run(measure(stage))
    headings = (
        *("events", "insert", "read one execution", "locks it takes"),
        *("delete one execution's", "delete the oldest month", "drop a month"),
    )
    print(f"{_EXECUTIONS * _EACH:,} events of {_EXECUTIONS:,} executions in {_MONTHS} months\n")  # noqa: T201
    print(markdown(headings, rows))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
