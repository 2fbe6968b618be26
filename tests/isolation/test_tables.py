"""Every project-owned table, attacked with SQL by the roles of running processes.

Without a scope, with the empty one a finished transaction leaves behind, and with another
project's, nothing of a project can be read or written: a statement fails, or it touches no row.
"""
# ruff: noqa: S608 - the names in these statements come from the models

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from io import BytesIO
from typing import Any

import asyncpg
import pytest

from models.roles import APP, CONTROL_COLUMNS, DISPATCH, MAINTENANCE
from models.tables import Base
from tests.isolation.attack import TABLES, Ground
from tests.isolation.canaries import CANARY

SCOPES = ["never set", "set by an earlier transaction", "another project's"]

# No such privilege; no such setting; an empty setting is no uuid: each of them fails closed.
CLOSED = {"42501", "42704", "22P02"}


@asynccontextmanager
async def attacker(role: str, scope: str, ground: Ground) -> AsyncIterator[asyncpg.Connection]:
    """Connect as a role, with a scope that is not the other project's."""
    connection = await asyncpg.connect(ground.database.as_role(role))
    if scope == SCOPES[1]:
        async with connection.transaction():
            await connection.execute(
                "SELECT set_config('app.project_id', $1, true)", str(ground.theirs.project)
            )
    elif scope == SCOPES[2]:
        await connection.execute(
            "SELECT set_config('app.project_id', $1, false)", str(ground.mine.project)
        )
    try:
        yield connection
    finally:
        await connection.close()


async def contents(ground: Ground, table: str) -> list[str]:
    """Return every row of a table as the superuser sees it."""
    rows = await ground.database.ask(f"SELECT t::text AS row FROM {table} t ORDER BY 1")
    return [row["row"] for row in rows]


async def attempt(connection: asyncpg.Connection, statement: str, *arguments: Any) -> list[Any]:
    """Return the rows of a statement, none where it fails closed; other faults are faults."""
    try:
        rows: list[Any] = await connection.fetch(statement, *arguments)
    except asyncpg.PostgresError as error:
        refused = error
    else:
        return rows
    assert refused.sqlstate in CLOSED, (statement, refused)
    assert CANARY not in f"{refused} {refused.detail}"
    return []


def writes(table: str, column: str) -> list[str]:
    """Return statements that would write rows of project $1; those that do, return them."""
    touched = next(c.name for c in Base.metadata.tables[table].columns if c.name != column)
    return [
        f"UPDATE {table} SET {column} = {column} WHERE {column} = $1 RETURNING 1",
        f"UPDATE {table} SET {touched} = {touched} WHERE {column} = $1 RETURNING 1",
        f"DELETE FROM {table} WHERE {column} = $1 RETURNING 1",
        f"WITH w AS (DELETE FROM {table} WHERE {column} = $1 RETURNING 1) SELECT 1 FROM w",
        (
            f"MERGE INTO {table} t USING (SELECT $1::uuid AS p) s ON t.{column} = s.p "
            "WHEN MATCHED THEN DELETE RETURNING 1"
        ),
    ]


@pytest.mark.parametrize("role", [APP, DISPATCH, MAINTENANCE])
@pytest.mark.parametrize(("table", "column"), TABLES)
async def test_nothing_of_a_project_is_read_or_written_from_outside_it(
    table: str, column: str, role: str, ground: Ground
) -> None:
    """Reads, writes, locks, copies and truncation, in each scope that is not the project's."""
    before = await contents(ground, table)
    assert any(CANARY in row for row in before)
    sees_that_there_is_work = (role, table) == (DISPATCH, "agent_executions")
    [stolen] = await ground.database.ask(
        f"SELECT to_jsonb(t)::text AS row FROM {table} t WHERE {column} = $1 LIMIT 1",
        ground.theirs.project,
    )
    for scope in SCOPES:
        async with attacker(role, scope, ground) as connection:
            read = await attempt(connection, f"SELECT t::text AS row FROM {table} t")
            assert all(CANARY not in row["row"] for row in read)
            if not sees_that_there_is_work:
                for lock in ("", "FOR UPDATE", "FOR KEY SHARE"):
                    query = f"SELECT 1 FROM {table} WHERE {column} = $1 {lock}"
                    assert await attempt(connection, query, ground.theirs.project) == []
            for statement in writes(table, column):
                assert await attempt(connection, statement, ground.theirs.project) == [], statement
            with pytest.raises(asyncpg.PostgresError) as refused:
                await connection.execute(
                    f"INSERT INTO {table} OVERRIDING SYSTEM VALUE "
                    f"SELECT * FROM jsonb_populate_record(NULL::{table}, $1::jsonb)",
                    stolen["row"],
                )
            assert refused.value.sqlstate in CLOSED
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"TRUNCATE {table} CASCADE")
            await copies(connection, table)

    assert await contents(ground, table) == before


async def copies(connection: asyncpg.Connection, table: str) -> None:
    """Try to take a table out, or put rows in, through COPY."""
    taken: list[bytes] = []

    async def keep(data: bytes) -> None:
        taken.append(data)

    with suppress(asyncpg.PostgresError):
        await connection.copy_from_table(table, output=keep)
    assert CANARY.encode() not in b"".join(taken)
    with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.FeatureNotSupportedError)):
        await connection.copy_to_table(table, source=BytesIO(b"x\n"))


@pytest.mark.parametrize("role", [APP, MAINTENANCE])
@pytest.mark.parametrize("scope", [*SCOPES, "its own"])
async def test_row_security_cannot_be_switched_off(scope: str, role: str, ground: Ground) -> None:
    """The gate: with row_security off every table is refused, even inside its own project."""
    async with attacker(role, scope, ground) as connection:
        if scope == "its own":
            await connection.execute(
                "SELECT set_config('app.project_id', $1, false)", str(ground.theirs.project)
            )
        await connection.execute("SET row_security = off")
        for table, _ in TABLES:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT 1 FROM {table} LIMIT 0")


async def test_the_owner_sees_nothing_either(ground: Ground) -> None:
    """Row level security is forced: even the role that migrates reads no project's rows."""
    for scope in SCOPES:
        async with attacker("copydesk_owner", scope, ground) as connection:
            for table, column in TABLES:
                query = f"SELECT 1 FROM {table} WHERE {column} = $1"
                assert await attempt(connection, query, ground.theirs.project) == []


async def test_the_dispatch_role_sees_control_columns_and_moves_leases(ground: Ground) -> None:
    """Column by column: it sees that there is work, never what it is."""
    columns = [column.name for column in Base.metadata.tables["agent_executions"].columns]
    async with attacker(DISPATCH, SCOPES[0], ground) as connection:
        readable, writable = [], []
        for column in columns:
            with suppress(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT {column} FROM agent_executions")
                readable.append(column)
            with suppress(asyncpg.InsufficientPrivilegeError):
                await connection.execute(
                    f"UPDATE agent_executions SET {column} = DEFAULT WHERE id = $1",
                    ground.theirs.failed,
                )
                writable.append(column)

    assert set(readable) == set(CONTROL_COLUMNS)
    assert writable == ["lease_expires_at"]
    assert {"input_data", "output_data", "error_message", "idempotency_key"} & set(
        readable
    ) == set()


@pytest.mark.parametrize("role", [APP, DISPATCH, MAINTENANCE])
async def test_running_roles_create_nothing(role: str, ground: Ground) -> None:
    """Temporary tables would carry rows over on a pooled connection; others would stay."""
    async with attacker(role, SCOPES[0], ground) as connection:
        for statement in (
            "CREATE TEMPORARY TABLE t (a int)",
            "CREATE TABLE t (a int)",
            "CREATE SCHEMA mine",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1",
            "ALTER TABLE projects DISABLE ROW LEVEL SECURITY",
            "DROP POLICY project_guard ON projects",
            "SET ROLE copydesk_owner",
            "SET SESSION AUTHORIZATION copydesk_owner",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


async def test_each_role_has_its_own_functions_only(ground: Ground) -> None:
    """The app role finds no work across projects; the dispatch role makes no move; and so on."""
    nobody, theirs = "'00000000-0000-0000-0000-000000000000'", ground.theirs.project
    forbidden = {
        APP: [
            f"SELECT find_due('{{review}}', {nobody}, 9, 9)",
            "SELECT find_expired(9)",
            f"SELECT find_projects({nobody}, 9)",
        ],
        DISPATCH: [
            f"SELECT enter_project('{theirs}')",
            f"SELECT claim_executions('{theirs}', '{{}}', 'w', '1s', '{{}}', '{{}}')",
            f"SELECT cancel_executions('{theirs}', '{{}}', '')",
            f"SELECT create_project('n', {nobody})",
        ],
        MAINTENANCE: [
            f"SELECT find_projects({nobody}, 9)",
            f"SELECT claim_executions('{theirs}', '{{}}', 'w', '1s', '{{}}', '{{}}')",
            f"SELECT create_project('n', {nobody})",
        ],
    }
    for role, statements in forbidden.items():
        async with attacker(role, SCOPES[0], ground) as connection:
            for statement in statements:
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match="function"):
                    await connection.fetch(statement)
