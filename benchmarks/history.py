"""A long life behind it: executions, events and versions of years, stored in a minute.

As the superuser, without foreign-key checks, and with the indexes built afterwards. One project has
two fifths of everything; the others share the rest. Nearly all of it is over: what is pending or
running is as much as a busy day leaves behind.
"""

from collections.abc import Sequence

import asyncpg

_SETTINGS = (
    "session_replication_role = replica",
    "maintenance_work_mem = '512MB'",
    "work_mem = '128MB'",
    "synchronous_commit = off",
)
_STAGE = """
    CREATE UNLOGGED TABLE history AS
    SELECT n, uuidv7() AS id,
        ($2::uuid[])[CASE WHEN n % 5 < 2 THEN 1 ELSE 2 + m.other % m.small END] AS project_id,
        CASE WHEN n % 5 < 2 THEN n / 5 * 2 + n % 5 ELSE m.other / m.small END AS place,
        CASE WHEN n % 1000 = 1 THEN 'pending' WHEN n % 2000 = 2 THEN 'running'
            WHEN n % 50 IN (1, 3) THEN 'failed' WHEN n % 100 = 4 THEN 'cancelled'
            ELSE 'completed' END AS status,
        now() - interval '1 second' * ($1 - n + 60) AS at
    FROM generate_series(0, $1 - 1) n CROSS JOIN LATERAL (
        SELECT n / 5 * 3 + n % 5 - 2 AS other, cardinality($2::uuid[]) - 1 AS small) m
"""
_EXECUTIONS = """
    INSERT INTO agent_executions (id, project_id, agent_type, correlation_id, input_data,
        output_data, status, error_code, error_message, started_at, completed_at, created_at,
        scheduled_at, requested_by, attempt, failures, max_attempts, worker, lease_expires_at,
        idempotency_key, request_hash)
    SELECT id, project_id, 'draft', gen_random_uuid(), '{"text": "as ever"}',
        CASE WHEN status = 'completed' THEN
            jsonb_build_object('place', n, 'kind', n % 100, 'of', project_id, 'done', true) END,
        status, CASE WHEN status = 'failed' THEN 'agent_error' END,
        CASE WHEN status = 'failed' THEN 'it did not work' END, at,
        CASE WHEN status NOT IN ('pending', 'running') THEN at + interval '1 ms' * (n % 5000) END,
        at, at, $1, (status <> 'pending')::int, (status = 'failed')::int, 3,
        CASE WHEN status <> 'pending' THEN 'worker-' || n % 10 END,
        CASE WHEN status = 'running' THEN now() + interval '1 minute' * (n % 3000 / 1000) END,
        CASE WHEN n % 10 = 0 THEN 'key-' || n END,
        CASE WHEN n % 10 = 0 THEN sha256(n::text::bytea) END
    FROM history ORDER BY n
"""
_EVENTS = """
    INSERT INTO execution_events (project_id, execution_id, event, attempt, worker, at)
    SELECT h.project_id, h.id, x.event, x.attempt,
        CASE WHEN x.attempt = 1 THEN 'worker-' || h.n % 10 END, h.at
    FROM history h CROSS JOIN LATERAL (
        VALUES ('enqueued', 0), ('claimed', 1), (h.status, 1)) AS x (event, attempt)
    WHERE x.event <> 'pending' AND (x.attempt = 0 OR h.status <> 'pending') AND x.event <> 'running'
    ORDER BY h.n
"""
_VERSIONS = """
    INSERT INTO document_versions (project_id, document_type, version, content, metadata,
        created_by, created_at, execution_id, attempt)
    SELECT project_id, 'article_' || place % 5, place / 5 + 1,
        ($2::text[])[1 + n % cardinality($2::text[])],
        jsonb_build_object('reviewed', n % 1000, 'of', project_id, 'done', true),
        $1, at, id, 1
    FROM history ORDER BY n
"""
_EXPORTS = """
    INSERT INTO exports (project_id, status, manifest, file_path, created_at, expires_at,
        execution_id, attempt)
    SELECT project_id, 'completed', '{}', n || '.zip', at, at + interval '7 days', id, 1
    FROM history WHERE status = 'completed' AND n % 10 = 5
"""
# Those that no constraint stands on.
_INDEXES = """
    SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS made
    FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
    WHERE t.relname IN ('agent_executions', 'execution_events', 'document_versions', 'exports')
        AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
"""


async def store(
    connection: asyncpg.Connection,
    number: int,
    *,
    user: object,
    projects: Sequence[object],
    contents: Sequence[str],
    at_once: bool = True,
) -> None:
    """Store `number` executions with their events and a version of each, and exports of a tenth.

    Args:
        connection: the superuser's, on a database without executions of these projects.
        number: of executions, and of versions.
        user: who has asked for everything.
        projects: two or more; the first is the large one.
        contents: the texts of the versions, in turn.
        at_once: take the indexes away meanwhile, and let the planner know afterwards; without it,
            nothing tells a session that there are more rows than before.
    """
    for setting in _SETTINGS:
        await connection.execute(f"SET {setting}")
    await connection.execute(_STAGE, number, list(projects))
    indexes = await connection.fetch(_INDEXES) if at_once else []
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    await connection.execute(_EXECUTIONS, user)
    await connection.execute(_EVENTS)
    await connection.execute(_VERSIONS, user, list(contents))
    await connection.execute(_EXPORTS)
    await connection.execute("DROP TABLE history")
    for index in indexes:
        await connection.execute(index["made"])
    await connection.execute("RESET ALL")
    if at_once:
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
