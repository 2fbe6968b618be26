"""Does it get slower as rows gather? Claim, complete and status, empty and with a million rows."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import perf_counter
from typing import Any
from uuid import UUID

from benchmarks.figures import Figure
from benchmarks.sizes import Size
from benchmarks.stage import Ground, Stage
from benchmarks.work import CONTENT, DOCUMENT_TYPE, INPUT, OUTPUT, prose
from worker.client import Client
from worker.ledger import Completion, Ledger, MovePool
from worker.ledger.records import DraftRow
from worker.requests import EnqueueRequest
from worker.settings import secret

_SAMPLES = 300
_PROJECTS = 200
_DRAFT = DraftRow(DOCUMENT_TYPE, CONTENT, "{}", None, None, None)
_LEASE = timedelta(minutes=10)


async def run(stage: Stage, size: Size) -> list[Figure]:
    """Measure on an empty database, and on one with the rows of a long life."""
    samples = min(_SAMPLES, size.rows)
    async with stage.ground(projects=_PROJECTS) as ground:
        empty = await _moves(ground, samples)
        await store(ground, size.rows)
        full = await _moves(ground, samples)
    label = f"{size.rows:,} rows"
    return [
        figure
        for move in empty
        for figure in (
            Figure(f"{move}, p50", "empty", empty[move], "ms"),
            Figure(f"{move}, p50", "copydesk", full[move], "ms", label),
        )
    ]


async def store(ground: Ground, number: int) -> None:
    """Store executions that ended long ago, each with three events and a version of its own."""
    contents = [prose(1000, seed) for seed in range(20)]
    await ground.oracle.execute(_EXECUTIONS, number, ground.user, json.dumps(INPUT))
    await ground.oracle.execute(_EVENTS)
    await ground.oracle.execute(_VERSIONS, contents)
    await ground.oracle.execute("VACUUM ANALYZE")
    await ground.oracle.execute("CHECKPOINT")


# As the superuser, in one statement each: a million rows in a minute.
_EXECUTIONS = """
    INSERT INTO agent_executions (project_id, agent_type, correlation_id, input_data, output_data,
        status, started_at, completed_at, created_at, scheduled_at, requested_by, attempt,
        max_attempts, worker)
    SELECT p.id, 'draft', gen_random_uuid(), $3::jsonb,
        jsonb_build_object('place', n, 'kind', n % 100), 'completed', t.at, t.at, t.at, t.at, $2,
        1, 3, 'worker-' || n % 10
    FROM generate_series(1, $1::int) n
        JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM projects) p
            ON p.place = n % (SELECT count(*) FROM projects)
        CROSS JOIN LATERAL (
            SELECT now() - interval '1 second' * ($1::int - n + 60) AS at) t
"""
_EVENTS = """
    INSERT INTO execution_events (project_id, execution_id, event, attempt, worker, at)
    SELECT e.project_id, e.id, x.event, x.attempt, e.worker, e.created_at
    FROM agent_executions e CROSS JOIN (
        VALUES ('enqueued', 0), ('claimed', 1), ('completed', 1)) AS x (event, attempt)
    WHERE e.worker LIKE 'worker-%'
"""
_VERSIONS = """
    INSERT INTO document_versions (project_id, document_type, version, content, metadata,
        created_by, created_at, execution_id, attempt)
    SELECT project_id, 'article',
        row_number() OVER (PARTITION BY project_id ORDER BY id) + (
            SELECT coalesce(max(v.version), 0) FROM document_versions v
            WHERE v.project_id = agent_executions.project_id),
        ($1::text[])[1 + (extract(epoch FROM created_at)::bigint % 20)],
        jsonb_build_object('reviewed', extract(epoch FROM created_at)::bigint % 1000),
        requested_by, created_at, id, 1
    FROM agent_executions WHERE worker LIKE 'worker-%'
"""


async def _moves(ground: Ground, number: int) -> dict[str, float]:
    """Return the median of claim, complete and status, each called by itself, in ms."""
    project = ground.projects[7]
    took: dict[str, list[float]] = {"claim": [], "complete": [], "status": []}

    async def timed(name: str, call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401
        began = perf_counter()
        answer = await call()
        took[name].append((perf_counter() - began) * 1000)
        return answer

    async with (
        MovePool(secret(ground.settings.database_url), size=1) as pool,
        Client(ground.settings) as client,
    ):
        ledger = Ledger(pool, worker="bench", input_limit=1_000_000)
        for _ in range(number):
            request = {
                "project_id": project,
                "agent_type": "draft",
                "input": INPUT,
                "requested_by": ground.user,
            }
            made = await ledger.enqueue(EnqueueRequest.checked(request))
            ids: list[UUID] = [made.execution_id]
            await timed("claim", lambda ids=ids: ledger.claim(project, ids, _LEASE, {"draft": 3}))  # type: ignore[misc]
            done = Completion(made.execution_id, 1, json.dumps(OUTPUT), (_DRAFT,))
            await timed("complete", lambda done=done: ledger.complete(project, done))  # type: ignore[misc]
            await timed(
                "status",
                lambda made=made: client.status(project, made.correlation_id),  # type: ignore[misc]
            )
    return {name: sorted(values)[len(values) // 2] for name, values in took.items()}
