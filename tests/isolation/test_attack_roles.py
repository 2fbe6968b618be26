"""Roles: what dispatch, owner, maintenance, and the app role without a project might get at."""

from uuid import UUID, uuid4

import pytest

from models.roles import APP, CONTROL_COLUMNS, DISPATCH, FUNCTION_GRANTS, MAINTENANCE, OWNER
from tests.isolation.attack import TABLES, Ground, intruder

pytestmark = pytest.mark.usefixtures("untouched")

PEEKS = {
    "the whole row": "SELECT e FROM agent_executions e",
    "the row as JSON": "SELECT to_jsonb(e) FROM agent_executions e",
    "every column": "SELECT * FROM agent_executions",
    "a condition": "SELECT id FROM agent_executions WHERE output_data::text LIKE '%canary%'",
    "an order": "SELECT id FROM agent_executions ORDER BY input_data",
    "groups": "SELECT count(*) FROM agent_executions GROUP BY error_message",
    "a join": "SELECT 1 FROM agent_executions a JOIN agent_executions b USING (correlation_id)",
    "a table of another kind": "SELECT content FROM document_versions",
    "what was returned": (
        "UPDATE agent_executions SET lease_expires_at = lease_expires_at RETURNING error_message"
    ),
    "old and new": (
        "UPDATE agent_executions SET lease_expires_at = lease_expires_at RETURNING old, new"
    ),
    "a value put into the lease": (
        "UPDATE agent_executions SET lease_expires_at = (input_data ->> 'text')::timestamptz"
    ),
    "a plan": "EXPLAIN SELECT id FROM agent_executions WHERE idempotency_key > 'a'",
    "a copy": "COPY agent_executions TO STDOUT",
    "a lock on everything": "LOCK TABLE agent_executions IN ACCESS EXCLUSIVE MODE",
    "users": "SELECT email FROM users",
    "the names of projects": "SELECT name FROM projects",
    "the history": "SELECT detail FROM execution_events",
    "the plan of a document": "EXPLAIN SELECT 1 FROM document_versions WHERE content > 'a'",
}


@pytest.mark.parametrize("bound", [False, True], ids=["unbound", "bound to it"])
@pytest.mark.parametrize("peek", PEEKS)
async def test_the_dispatch_role_gets_at_no_content(peek: str, bound: bool, ground: Ground) -> None:
    """Hopes to turn columns it may not read into an order, a count, an error or a lease."""
    async with intruder(ground, DISPATCH, scope=ground.theirs.project, bound=bound) as attempt:
        assert await attempt.refused(PEEKS[peek]) == "42501"


async def test_a_lease_that_breaks_a_rule_prints_no_row(ground: Ground) -> None:
    """Hopes that the refused UPDATE of the one column it may write shows the rest of the row."""
    async with intruder(ground, DISPATCH, bound=False) as attempt:
        for lease, execution in (
            ("NULL", ground.theirs.running),
            ("now()", ground.theirs.completed),
        ):
            said = await attempt.outcome(
                f"UPDATE agent_executions SET lease_expires_at = {lease} WHERE id = $1",  # noqa: S608
                execution,
            )
            assert said.startswith("23514 ")
            assert "Failing row" not in said
            assert "detail" not in said


async def test_what_the_dispatch_role_finds_is_ids(ground: Ground) -> None:
    """Hopes that its functions answer with more than it may read; they answer ids and a worker."""
    async with intruder(ground, DISPATCH, bound=False) as attempt:
        found = [
            *await attempt.rows("SELECT * FROM find_due('{dormant}', $1, 9, 9)", UUID(int=0)),
            *await attempt.rows("SELECT * FROM find_expired(9)"),
            *await attempt.rows("SELECT * FROM find_former('w1', '')"),
            *await attempt.rows("SELECT * FROM extend_leases('x', '{}', '{}', '1s')"),
        ]
        projects = await attempt.rows("SELECT * FROM find_projects($1, 9)", UUID(int=0))
    assert {ground.theirs.pending, ground.mine.pending} <= {row["execution_id"] for row in found}
    assert {row["project_id"] for row in projects} == {ground.mine.project, ground.theirs.project}
    columns = {name for row in (*found, *projects) for name in dict(row)}
    assert columns - {"execution_id"} <= set(CONTROL_COLUMNS)


@pytest.mark.parametrize(("table", "column"), TABLES)
async def test_the_owner_reads_and_writes_no_row(table: str, column: str, ground: Ground) -> None:
    """Hopes that owning a table, or being bound to its project, opens its rows."""
    async with intruder(ground, OWNER, scope=ground.theirs.project) as attempt:
        assert await attempt.rows(f"SELECT * FROM {table}") == []  # noqa: S608
        assert await attempt.rows(f"UPDATE {table} SET {column} = {column} RETURNING 1") == []  # noqa: S608
        copied: list[bytes] = []

        async def keep(data: bytes) -> None:
            copied.append(data)

        await attempt.connection.copy_from_table(table, output=keep)
        assert copied == []
        plan = await attempt.rows(f"EXPLAIN SELECT * FROM {table}")  # noqa: S608
        assert "One-Time Filter: false" in str(plan)
        await attempt.rows("SET LOCAL row_security = off")
        assert await attempt.refused(f"SELECT 1 FROM {table} LIMIT 0") == "42501"  # noqa: S608


async def test_the_owner_makes_no_move(ground: Ground) -> None:
    """Hopes that its own functions act for it; they are refused, or find nothing."""
    theirs = ground.theirs
    async with intruder(ground, OWNER, bound=False) as attempt:
        assert (
            await attempt.refused(
                "SELECT enqueue_execution($1, 'review', '{}', $2)", theirs.project, ground.user
            )
            == "42501"
        )
        assert await attempt.refused("SELECT create_project('x', $1)", ground.user) == "42501"
    async with intruder(ground, OWNER, bound=False) as attempt:
        for move in ("rescue_executions($2, $1)", "cancel_executions($2, $1, '')"):
            assert (
                await attempt.rows(
                    f"SELECT * FROM {move}",  # noqa: S608
                    [theirs.running],
                    theirs.project,
                )
                == []
            )


async def test_no_project_is_not_every_project(ground: Ground) -> None:
    """Hopes that NULL for a project means any; the moves refuse, and their parts find nothing."""
    functions = await ground.database.ask(
        "SELECT proname AS name, pronargs AS n FROM pg_proc "
        "WHERE proname = ANY ($1) AND proargnames[1] = 'p_project_id'",
        list(FUNCTION_GRANTS[APP]),
    )
    without = {"create_project", "hash_request"}  # makes one; touches none
    assert {f["name"] for f in functions} == set(FUNCTION_GRANTS[APP]) - without
    for name, number in functions:
        arguments = ", ".join(["NULL"] * number)
        if name == "enqueue_execution":
            arguments = f"NULL, 'review', '{{}}', '{uuid4()}'"
        for bound in (True, False):
            async with intruder(ground, bound=bound) as attempt:
                said = await attempt.outcome(f"SELECT {name}({arguments})")
            if name in {"reject_writes", "find_repeats"}:
                assert said.startswith(("42704 ", "[<Record"))
            else:
                assert said.startswith("CD001 "), (name, said)


@pytest.mark.parametrize(("table", "column"), TABLES)
async def test_maintenance_reaches_one_project_at_a_time(
    table: str, column: str, ground: Ground
) -> None:
    """Hopes that the role that may delete deletes, reads, moves or plants rows next door."""
    theirs = ground.theirs.project
    [stolen] = await ground.database.ask(
        f"SELECT to_jsonb(t)::text AS row FROM {table} t WHERE {column} = $1 LIMIT 1",  # noqa: S608
        theirs,
    )
    async with intruder(ground, MAINTENANCE) as attempt:
        assert await attempt.rows(f"SELECT * FROM {table} WHERE {column} = $1", theirs) == []  # noqa: S608
        assert (
            await attempt.rows(
                f"DELETE FROM {table} WHERE {column} = $1 RETURNING 1",  # noqa: S608
                theirs,
            )
            == []
        )
        assert (
            await attempt.refused(
                f"INSERT INTO {table} OVERRIDING SYSTEM VALUE "  # noqa: S608
                f"SELECT * FROM jsonb_populate_record(NULL::{table}, $1::jsonb)",
                stolen["row"],
            )
            == "42501"
        )
        for first in ("document_versions", "exports"):  # or a foreign key holds the rest
            if table in ("projects", "agent_executions"):
                await attempt.rows(f"DELETE FROM {first}")  # noqa: S608
        everything = await attempt.rows(f"DELETE FROM {table} RETURNING {column} AS project")  # noqa: S608
        assert {row["project"] for row in everything} <= {ground.mine.project}
        # What it may do with a table as a whole tells of no row, and changes none.
        for statement in (f"ANALYZE {table}", f"REINDEX TABLE {table}"):
            await attempt.rows(statement)


async def test_maintenance_without_a_project_reaches_nothing(ground: Ground) -> None:
    """Hopes that the operator's role has a scope of its own, or can do without one."""
    for table, column in TABLES:
        async with intruder(ground, MAINTENANCE, bound=False) as attempt:
            for statement in (
                f"SELECT {column} FROM {table}",  # noqa: S608
                f"DELETE FROM {table}",  # noqa: S608
            ):
                assert await attempt.refused(statement) in {"42704", "22P02"}


async def test_maintenance_cancels_and_changes_nothing_else(ground: Ground) -> None:
    """Hopes to write a version, an output or an owner anew; to a project's own state it may."""
    allowed = {
        ("agent_executions", "status"),
        ("agent_executions", "completed_at"),
        ("agent_executions", "cancel_requested_at"),
        ("exports", "status"),
        ("projects", "updated_at"),
    }
    async with intruder(ground, MAINTENANCE) as attempt:
        for table, _ in (*TABLES, ("users", ""), ("workers", ""), ("alembic_version", "")):
            columns = await ground.database.ask(
                "SELECT column_name AS name FROM information_schema.columns "
                "WHERE table_schema = 'public' AND table_name = $1",
                table,
            )
            for name in (row["name"] for row in columns):
                said = await attempt.outcome(f"UPDATE {table} SET {name} = {name} WHERE false")  # noqa: S608
                assert (said == "[]") == ((table, name) in allowed), (table, name, said)
        for statement in (
            "DELETE FROM users",
            "DELETE FROM workers",
            "SELECT * FROM workers",
            "TRUNCATE exports",
            "UPDATE alembic_version SET version_num = version_num",
        ):
            assert await attempt.refused(statement) == "42501"


async def test_maintenance_cancels_in_its_own_project_only(ground: Ground) -> None:
    """Hopes that its one move takes the other project's work; it finds none of it."""
    async with intruder(ground, MAINTENANCE) as attempt:
        cancel = "SELECT * FROM cancel_executions($1, $2, '')"
        assert await attempt.refused(cancel, ground.theirs.project, [ground.theirs.running]) == (
            "CD002"
        )
        assert await attempt.rows(cancel, ground.mine.project, [ground.theirs.running]) == []


async def test_statistics_that_maintenance_reads_hold_no_row(ground: Ground) -> None:
    """Hopes that pg_monitor shows the values that the planner keeps, or other roles' parameters."""
    async with intruder(ground, MAINTENANCE) as attempt:
        for view in ("pg_stats", "pg_stat_activity", "pg_stat_user_tables", "pg_stat_statements"):
            await attempt.outcome(f"SELECT v::text AS row FROM {view} v")  # noqa: S608
        assert await attempt.refused("SELECT count(*) FROM pg_statistic") == "42501"
