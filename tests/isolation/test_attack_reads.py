"""Reads: SQL in a transaction of one project that is after the texts of another."""

import asyncpg
import pytest

from tests.isolation.attack import TABLES, Ground, Intruder, intruder

pytestmark = pytest.mark.usefixtures("untouched")

TEXTS = {
    "agent_executions": "coalesce(error_code, input_data::text)",
    "document_versions": "content",
    "execution_events": "detail::text",
    "exports": "file_path",
    "projects": "name",
}
"""Where each table holds a canary."""


async def projects_seen(attempt: Intruder, source: str) -> set[str]:
    """Return the projects whose rows a FROM clause brings up."""
    return {str(row[0]) for row in await attempt.rows(f"SELECT DISTINCT project_id FROM {source}")}  # noqa: S608 - tests' own words


@pytest.mark.parametrize(("table", "column"), TABLES)
async def test_a_cast_that_fails_quotes_no_foreign_text(
    table: str, column: str, ground: Ground
) -> None:
    """Hopes that a cast stumbles over hidden texts and prints them; it never gets to see them."""
    text = TEXTS[table]
    async with intruder(ground) as attempt:
        for expression in (f"({text})::int", f"({text})::uuid", f"({text})::jsonb -> 'x'"):
            # Rows of one's own are left out, so that only foreign ones are left to stumble over.
            query = f"SELECT 1 FROM {table} WHERE {column} <> $1 AND {expression} IS NOT NULL"  # noqa: S608
            assert await attempt.rows(query, ground.mine.project) == []


@pytest.mark.parametrize("table", TEXTS)
async def test_an_error_on_purpose_betrays_no_foreign_row(table: str, ground: Ground) -> None:
    """Hopes for a division by zero where a guess about a hidden row is right; nothing divides."""
    guess = f"SELECT sum(1 / (CASE WHEN {TEXTS[table]} LIKE $1 THEN 0 ELSE 1 END)) FROM {table}"  # noqa: S608
    async with intruder(ground) as attempt:
        assert "division" not in await attempt.outcome(guess, f"%{ground.theirs.canary}%")


@pytest.mark.parametrize(("table", "column"), TABLES)
async def test_physical_addresses_lead_to_no_foreign_row(
    table: str, column: str, ground: Ground
) -> None:
    """Hopes to name rows by where they lie (ctid); the policy holds there as well."""
    query = f"SELECT {column} FROM {table} WHERE ctid = ANY ($1::tid[])"  # noqa: S608
    async with ground.database.oracle() as oracle:
        places = [row[0] for row in await oracle.fetch(f"SELECT ctid FROM {table}")]  # noqa: S608
        assert len(await oracle.fetch(query, places)) == len(places)
    async with intruder(ground) as attempt:
        seen = await attempt.rows(query, places)
        assert {row[0] for row in seen} == {ground.mine.project}
        assert len(seen) < len(places)


async def test_a_sample_of_a_table_is_drawn_from_ones_own_rows(ground: Ground) -> None:
    """Hopes that TABLESAMPLE reads pages before policies are asked."""
    async with intruder(ground) as attempt:
        for method in ("SYSTEM", "BERNOULLI"):
            source = f"agent_executions TABLESAMPLE {method} (100)"
            assert await projects_seen(attempt, source) == {str(ground.mine.project)}


async def test_a_query_given_as_text_runs_under_the_same_policies(ground: Ground) -> None:
    """Hopes that a function which runs a query of its own (ts_stat) runs it as somebody else."""
    async with intruder(ground) as attempt:
        words = await attempt.rows(
            "SELECT word FROM ts_stat('SELECT to_tsvector(''simple'', content) "
            "FROM document_versions')"
        )
    assert "harmless" in {row["word"] for row in words}


async def test_shared_users_are_no_bridge(ground: Ground) -> None:
    """Hopes to come from the users, who belong to no project, to what they did in others."""
    async with intruder(ground) as attempt:
        rows = await attempt.rows(
            "SELECT p.id FROM users u JOIN projects p ON p.created_by = u.id "
            "UNION ALL SELECT e.project_id FROM users u "
            "JOIN agent_executions e ON e.requested_by = u.id"
        )
    assert {row["id"] for row in rows} == {ground.mine.project}


@pytest.mark.parametrize(
    "how", ["enable_seqscan", "enable_indexscan, enable_bitmapscan", "enable_hashjoin"]
)
async def test_no_way_to_scan_is_a_way_around(how: str, ground: Ground) -> None:
    """Hopes that some access path (GIN, partial index, bitmap) forgets the policy."""
    searches = [
        "document_versions WHERE metadata @> '{}'",
        "agent_executions WHERE output_data @> '{}' OR input_data ? 'text'",
        "agent_executions WHERE status = 'pending'",
        "agent_executions WHERE status = 'running' AND worker = 'w1'",
        "exports WHERE status = 'completed' AND expires_at > now()",
        "document_versions d JOIN agent_executions e USING (project_id)",
    ]
    async with intruder(ground) as attempt:
        for setting in how.split(", "):
            await attempt.rows("SELECT set_config($1, 'off', true)", setting)
        for search in searches:
            assert await projects_seen(attempt, search) == {str(ground.mine.project)}, search


async def test_parallel_workers_take_the_binding_along(ground: Ground) -> None:
    """Hopes that a parallel worker of the server knows nothing of the binding."""
    async with intruder(ground) as attempt:
        for setting, value in (
            ("debug_parallel_query", "on"),
            ("parallel_setup_cost", "0"),
            ("min_parallel_table_scan_size", "0"),
            ("enable_indexscan", "off"),
            ("enable_bitmapscan", "off"),
        ):
            await attempt.rows("SELECT set_config($1, $2, true)", setting, value)
        plan = await attempt.rows("EXPLAIN SELECT DISTINCT project_id FROM agent_executions")
        assert "Gather" in str(plan)
        assert await projects_seen(attempt, "agent_executions") == {str(ground.mine.project)}


async def test_a_foreign_row_that_is_locked_is_not_felt(ground: Ground) -> None:
    """Hopes that NOWAIT tells a row that somebody works on from one that does not exist."""
    theirs = ground.theirs
    owner = await asyncpg.connect(ground.database.app)
    async with owner.transaction():
        await owner.fetch("SELECT enter_project($1)", theirs.project)
        held = await owner.fetch(
            "SELECT 1 FROM agent_executions WHERE id = $1 FOR UPDATE", theirs.running
        )
        assert len(held) == 1
        async with intruder(ground) as attempt:
            for lock in ("FOR UPDATE NOWAIT", "FOR KEY SHARE NOWAIT", "FOR UPDATE SKIP LOCKED"):
                query = f"SELECT 1 FROM agent_executions WHERE id = $1 {lock}"  # noqa: S608
                assert await attempt.alike(query, theirs.running) == "[]"
    await owner.close()


@pytest.mark.parametrize("table", TEXTS)
async def test_copying_a_query_out_copies_ones_own_rows(table: str, ground: Ground) -> None:
    """Hopes that COPY (SELECT ...) TO STDOUT is a road of its own."""
    taken: list[bytes] = []

    async def keep(data: bytes) -> None:
        taken.append(data)

    async with intruder(ground) as attempt:
        await attempt.connection.copy_from_query(f"SELECT * FROM {table}", output=keep)  # noqa: S608
        await attempt.connection.copy_from_table(table, output=keep)
    everything = b"".join(taken).decode()
    assert str(ground.mine.project) in everything
    assert ground.theirs.canary not in everything
    assert str(ground.theirs.project) not in everything


async def test_ids_of_foreign_rows_are_ids_of_nothing(ground: Ground) -> None:
    """Hopes that naming a row by its key finds it: by id, correlation id, key, type, path."""
    theirs = ground.theirs
    searches: list[tuple[str, object]] = [
        ("agent_executions WHERE id", theirs.completed),
        ("agent_executions WHERE correlation_id", theirs.correlation),
        ("agent_executions WHERE project_id", theirs.project),
        ("agent_executions WHERE idempotency_key", theirs.key),
        ("document_versions WHERE document_type", theirs.document_type),
        ("document_versions WHERE execution_id", theirs.completed),
        ("execution_events WHERE execution_id", theirs.completed),
        ("exports WHERE file_path", f"{theirs.canary}.zip"),
        ("projects WHERE id", theirs.project),
    ]
    async with intruder(ground) as attempt:
        for search, given in searches:
            assert await attempt.alike(f"SELECT * FROM {search} = $1", given) == "[]", search  # noqa: S608


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT pg_ls_dir('base')",
        "SELECT pg_stat_file('base')",
        "SELECT lo_import('/etc/hostname')",
        "COPY (SELECT 1) TO '/tmp/copydesk-attack'",
        "COPY (SELECT 1) TO PROGRAM 'cat'",
        "SELECT pg_create_logical_replication_slot('attack', 'pgoutput')",
        "SELECT pg_ls_waldir()",
        "CREATE EXTENSION dblink",
        "LOAD 'auto_explain'",
        "SELECT count(*) FROM pg_statistic",
        "SELECT count(*) FROM pg_authid",
        "SET log_statement = 'all'",
        "SET session_preload_libraries = 'auto_explain'",
    ],
)
async def test_the_servers_files_programs_and_logs_are_out_of_reach(
    statement: str, ground: Ground
) -> None:
    """Hopes to read beneath the tables: files, write-ahead log, another session, the log."""
    async with intruder(ground) as attempt:
        assert await attempt.refused(statement) == "42501"
