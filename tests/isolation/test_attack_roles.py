"""Roles: what the dispatch role, the owner, and the app role without a project might get at."""

from uuid import UUID, uuid4

import pytest

from models.roles import APP, CONTROL_COLUMNS, DISPATCH, FUNCTION_GRANTS, OWNER
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
    assert {ground.theirs.pending, ground.mine.pending} <= {row["execution_id"] for row in found}
    columns = {name for row in found for name in dict(row)}
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
