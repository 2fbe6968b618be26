"""arq with hand-written asyncpg: the same steps as statements, in explicit transactions."""

import json
import os
import sys
from typing import Any
from uuid import UUID

import asyncpg
import uvloop
from arq.worker import Worker, func

from benchmarks.baseline.natural import QUEUE
from benchmarks.work import CONTENT, DOCUMENT_TYPE, OUTPUT, Text
from worker.queue.connection import to_arq_settings

WORKER = "direct"

_SCOPE = "SELECT set_config('app.project_id', $1, true)"
_EVENT = (
    "INSERT INTO execution_events (project_id, execution_id, event, attempt, worker) "
    "VALUES ($1, $2, $3, $4, $5)"
)
_CLAIM = (
    "UPDATE agent_executions SET status = 'running', attempt = attempt + 1, worker = $3, "
    "started_at = now(), lease_expires_at = now() + interval '30 seconds' "
    "WHERE project_id = $1 AND id = $2 AND status = 'pending' AND scheduled_at <= now() "
    "RETURNING attempt, input_data, requested_by"
)
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
_VERSION = (
    "INSERT INTO document_versions (project_id, document_type, version, content, created_by, "
    "execution_id, attempt) SELECT $1, $2::varchar, coalesce(max(version), 0) + 1, $3, $4, $5, $6 "
    "FROM document_versions WHERE project_id = $1 AND document_type = $2::varchar"
)
_COMPLETE = (
    "UPDATE agent_executions SET status = 'completed', output_data = $4, completed_at = now(), "
    "lease_expires_at = NULL WHERE project_id = $1 AND id = $2 AND status = 'running' "
    "AND attempt = $3 AND worker = $5 RETURNING 1"
)


async def run(ctx: dict[str, Any], project_id: str, execution_id: str) -> None:
    """Claim an execution, run its agent, and complete it."""
    pool, project, execution = ctx["pool"], UUID(project_id), UUID(execution_id)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(_SCOPE, project_id)
        claim = await connection.fetchrow(_CLAIM, project, execution, WORKER)
        if claim is None:
            return
        await connection.execute(_EVENT, project, execution, "claimed", claim["attempt"], WORKER)
    Text.model_validate(json.loads(claim["input_data"]))
    attempt = claim["attempt"]
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(_SCOPE, project_id)
        mine = await connection.fetchval(
            _COMPLETE, project, execution, attempt, json.dumps(OUTPUT), WORKER
        )
        if mine is None:
            return
        await connection.execute(_LOCK, f"{project}:{DOCUMENT_TYPE}")
        await connection.execute(
            _VERSION, project, DOCUMENT_TYPE, CONTENT, claim["requested_by"], execution, attempt
        )
        await connection.execute(_EVENT, project, execution, "completed", attempt, WORKER)


async def main(concurrency: int) -> None:
    """Work as arq's worker does, until told to stop."""
    async with asyncpg.create_pool(
        os.environ["COPYDESK_DATABASE_URL"], min_size=8, max_size=20
    ) as pool:
        worker = Worker(
            [func(run, name="run")],
            queue_name=QUEUE,
            redis_settings=to_arq_settings(os.environ["COPYDESK_REDIS_URL"]),
            max_jobs=concurrency,
            ctx={"pool": pool},
            keep_result=0,
        )
        await worker.async_run()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
