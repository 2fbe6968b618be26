"""Each rule about a database against a real one: broken by hand, found, mended by its remedy."""

from dataclasses import replace

import pytest

from models.roles import APP, DISPATCH
from tests.doctor.breakage import Breakage, goes_red
from tests.support.databases import DatabaseUrls
from worker.doctor import CheckName
from worker.doctor.limits import Limits
from worker.doctor.rules import Rule
from worker.settings import Settings

AT_ONCE = replace(Limits(), unclaimed=0, dead_rows=10, changed_rows=10, unused=0)
HERE = "DO $$ BEGIN EXECUTE format('ALTER {} SET {}', current_database()); END $$"

USER = "INSERT INTO users (email, name) VALUES ('old@example.com', 'Old')"
_EXECUTION = """
    WITH project AS (SELECT create_project('Test', (SELECT id FROM users LIMIT 1), 'en') AS id)
    INSERT INTO agent_executions (project_id, agent_type, correlation_id, requested_by, status,
        attempt, worker, lease_expires_at, completed_at, error_code, scheduled_at)
    SELECT id, 'compile', uuidv7(), (SELECT id FROM users LIMIT 1), {}, now() - interval '2 h'
    FROM project
"""
STUCK = _EXECUTION.format("'running', 1, 'gone', now() - interval '1 h', NULL, NULL")
DUE = _EXECUTION.format("'pending', 0, NULL, NULL, NULL, NULL")
FAILED = _EXECUTION.format("'failed', 3, 'gone', NULL, now(), 'agent_error'")
WORKER = """
    INSERT INTO workers (id, name, version, agent_types, concurrency, running)
    VALUES ('a', 'a', '1', ARRAY['compile'], 1, 1)
"""
BUSY_TABLE = """
    INSERT INTO users (email, name) SELECT n || '@example.com', 'N' FROM generate_series(1, {}) AS n
"""
QUIET = "ALTER TABLE users SET (autovacuum_enabled = off)"  # so that it does not mend it first
LARGE = replace(Limits(), bloat=(0.5, 100_000))


def _here(what: str, setting: str) -> str:
    return HERE.format(what.replace("DATABASE", "DATABASE %I"), setting)


BREAKAGES = {
    "no commit is durable in this database": Breakage(
        Rule.COMMIT_NOT_DURABLE,
        CheckName.SETTINGS,
        "DATABASE",
        [_here("DATABASE", "synchronous_commit = off")],
    ),
    "transactions are read-only": Breakage(
        Rule.SERVER_READ_ONLY,
        CheckName.SETTINGS,
        f"role {APP}",
        [_here(f"ROLE {APP} IN DATABASE", "default_transaction_read_only = on")],
        is_mended=False,
    ),
    "a role has no time limit": Breakage(
        Rule.TIMEOUT_MISSING,
        CheckName.SETTINGS,
        f"role {DISPATCH}",
        [_here(f"ROLE {DISPATCH} IN DATABASE", "lock_timeout = 0")],
    ),
    "a role has a short time limit": Breakage(
        Rule.TIMEOUT_SHORT,
        CheckName.SETTINGS,
        f"role {APP}",
        [_here(f"ROLE {APP} IN DATABASE", "statement_timeout = ''100ms''")],
    ),
    "a role may scan tables": Breakage(
        Rule.SCANS_ALLOWED,
        CheckName.SETTINGS,
        f"role {APP}",
        [_here(f"ROLE {APP} IN DATABASE", "enable_seqscan = on")],
    ),
    "the database lets in few": Breakage(
        Rule.CONNECTIONS_SHORT,
        CheckName.CONNECTIONS,
        "database",
        [_here("DATABASE", "").replace("SET ", "CONNECTION LIMIT 5")],
    ),
    "the schema is older": Breakage(
        Rule.SCHEMA_DIFFERS,
        CheckName.SCHEMA,
        "schema",
        ["UPDATE alembic_version SET version_num = '0000_before'"],
        is_mended=False,
    ),
    "there is no schema": Breakage(
        Rule.SCHEMA_MISSING,
        CheckName.SCHEMA,
        "schema",
        ["DELETE FROM alembic_version"],
        is_mended=False,
    ),
    "an index is dropped": Breakage(
        Rule.INDEX_MISSING,
        CheckName.INDEXES,
        "idx_executions_due",
        ["DROP INDEX idx_executions_due"],
    ),
    "an index was never finished": Breakage(
        Rule.INDEX_INVALID,
        CheckName.INDEXES,
        "idx_executions_running",
        [
            (
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = "
                "'idx_executions_running'::regclass"
            ),
        ],
    ),
    "an index of another's was never finished": Breakage(
        Rule.INDEX_INVALID,
        CheckName.INDEXES,
        "idx_by_hand",
        [
            "CREATE INDEX idx_by_hand ON users (name)",
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_by_hand'::regclass",
        ],
    ),
    "an index is on other columns": Breakage(
        Rule.INDEX_DIFFERS,
        CheckName.INDEXES,
        "idx_executions_correlation",
        [
            "DROP INDEX idx_executions_correlation",
            "CREATE INDEX idx_executions_correlation ON agent_executions (correlation_id)",
        ],
        is_mended=False,
    ),
    "an index is there twice": Breakage(
        Rule.INDEX_DUPLICATE,
        CheckName.INDEXES,
        "idx_twice",
        ["CREATE INDEX idx_twice ON agent_executions (requested_by)"],
    ),
    "an index is of no use": Breakage(
        Rule.INDEX_UNUSED,
        CheckName.INDEXES,
        "idx_by_hand",
        [USER, "CREATE INDEX idx_by_hand ON users (name)"],
        AT_ONCE,
    ),
    "a table is not vacuumed": Breakage(
        Rule.TABLE_NOT_VACUUMED,
        CheckName.TABLES,
        "agent_executions",
        ["ALTER TABLE agent_executions SET (autovacuum_enabled = off)"],
    ),
    "a storage option is another": Breakage(
        Rule.TABLE_OPTION,
        CheckName.TABLES,
        "agent_executions",
        ["ALTER TABLE agent_executions SET (fillfactor = 100)"],
    ),
    "vacuum is far behind": Breakage(
        Rule.DEAD_ROWS,
        CheckName.TABLES,
        "users",
        [QUIET, BUSY_TABLE.format(1000), "DELETE FROM users", "SELECT pg_stat_force_next_flush()"],
        AT_ONCE,
    ),
    "analyze is far behind": Breakage(
        Rule.STATISTICS_OLD,
        CheckName.TABLES,
        "users",
        [QUIET, BUSY_TABLE.format(1000), "SELECT pg_stat_force_next_flush()"],
        AT_ONCE,
    ),
    "a table is mostly empty": Breakage(
        Rule.TABLE_BLOAT,
        CheckName.TABLES,
        "users",
        [
            QUIET,
            "CREATE EXTENSION pgstattuple",
            BUSY_TABLE.format(5000),
            "DELETE FROM users WHERE id > (SELECT id FROM users ORDER BY id LIMIT 1)",
        ],
        LARGE,
        is_mended=False,
    ),
    "an index is mostly empty": Breakage(
        Rule.INDEX_BLOAT,
        CheckName.INDEXES,
        "pk_users",
        [
            QUIET,
            "CREATE EXTENSION pgstattuple",
            BUSY_TABLE.format(30_000),
            "DELETE FROM users WHERE right(email, 13) <> '1@example.com'",
            "VACUUM users",
        ],
        replace(LARGE, bloat=(0.3, 100_000)),
    ),
    "a lease ran out, and nobody sweeps": Breakage(
        Rule.LEASE_ABANDONED, CheckName.WORK, "executions", [USER, STUCK], is_mended=False
    ),
    "work waits, and nobody is there": Breakage(
        Rule.WORK_UNCLAIMED, CheckName.WORK, "agent compile", [USER, DUE], is_mended=False
    ),
    "work waits for a worker that is busy": Breakage(
        Rule.WORK_LATE, CheckName.WORK, "agent compile", [USER, DUE, WORKER], is_mended=False
    ),
    "an execution failed for good": Breakage(
        Rule.DEAD_LETTERS, CheckName.WORK, "executions", [USER, FAILED], is_mended=False
    ),
}


@pytest.mark.parametrize("breakage", [*BREAKAGES.values()], ids=[*BREAKAGES])
async def test_what_is_broken_by_hand_is_found_and_mended(
    seeing: Settings, database: DatabaseUrls, breakage: Breakage
) -> None:
    """One finding that was not there before; where its remedy is SQL, it is gone after that."""
    if breakage.subject == "DATABASE":
        breakage = replace(breakage, subject=f"DATABASE {database.name}")
    await goes_red(seeing, database, breakage)
