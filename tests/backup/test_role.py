"""copydesk_backup: it reads everything, writes nothing, and is told where it cannot be had."""

from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from models.declarations import backed_up
from models.functions import ORDER
from models.roles import BACKUP
from tests.support.databases import DatabaseUrls
from tests.support.ones_own import own_postgres
from worker import migrate
from worker.backup import BackupError, back_up
from worker.errors import StartupRefusedError
from worker.isolation import AgentProcesses
from worker.ledger import MovePool
from worker.preflight import check_database
from worker.settings import Settings

ATTEMPTS = {
    "a row": "INSERT INTO users (email, name) VALUES ('a@example.com', 'a')",
    "a change": "UPDATE projects SET name = 'x'",
    "a deletion": "DELETE FROM execution_events",
    "everything": "TRUNCATE workers",
    "a sequence": "SELECT setval('execution_events_id_seq', 1)",
    "the next number": "SELECT nextval('execution_events_id_seq')",
    "a table": "CREATE TABLE mine (id integer)",
    "a temporary table": "CREATE TEMPORARY TABLE mine (id integer)",
    "another role": "SET ROLE copydesk_app",
    "a way in for others": "ALTER TABLE users OWNER TO copydesk_backup",
    "a move": "SELECT enqueue_execution(uuidv7(), 'review', '{}', uuidv7())",
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_it_changes_nothing(attempt: str, database: DatabaseUrls) -> None:
    """Not by its default, which it may set off, nor with that set off."""
    connection = await asyncpg.connect(database.backup)
    try:
        assert await connection.fetchval("SHOW default_transaction_read_only") == "on"
        await connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(ATTEMPTS[attempt])
    finally:
        await connection.close()


async def test_it_may_read_what_is_backed_up_and_call_nothing(database: DatabaseUrls) -> None:
    """Every table and sequence there is, and no function of ours."""
    relations = await database.ask(
        "SELECT relname AS name, has_table_privilege($1, oid, 'SELECT') AS readable, "
        "has_table_privilege($1, oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') "
        "AS writable FROM pg_class c WHERE relnamespace = 'public'::regnamespace "
        "AND relkind IN ('r', 'S') AND relowner = 'copydesk_owner'::regrole",
        BACKUP,
    )
    assert {row["name"] for row in relations} == set(backed_up())
    assert all(row["readable"] and not row["writable"] for row in relations)
    functions = await database.ask(
        "SELECT proname AS name, has_function_privilege($1, oid, 'EXECUTE') AS callable "
        "FROM pg_proc WHERE proname = ANY ($2)",
        BACKUP,
        list(ORDER),
    )
    assert {row["name"] for row in functions} == set(ORDER)
    assert not any(row["callable"] for row in functions)


async def test_no_worker_starts_with_it(database: DatabaseUrls) -> None:
    """It is for one command; a process that stays and sees every project is refused."""
    async with (
        MovePool(database.backup, size=1) as backup,
        MovePool(database.app, size=1) as app,
        MovePool(database.dispatch, size=1) as dispatch,
    ):
        for pools in ((backup, dispatch), (app, backup)):
            with pytest.raises(StartupRefusedError, match=f"{BACKUP}.*row level security"):
                await check_database(*pools, revision=migrate.head_revision())


def test_no_process_of_an_agent_is_told_where_it_is(settings: Settings) -> None:
    """An agent's process gets the settings without any server's URL."""
    url = SecretStr("postgresql://copydesk_backup:canary@h/x")
    given = AgentProcesses(settings.model_copy(update={"backup_url": url}))._settings
    assert "canary" not in str(given)
    assert not {name for name in given if name.endswith("_url")} - {"llm_base_url"}


async def test_where_it_cannot_be_had_it_is_told_and_nothing_else_waits(tmp_path: Path) -> None:
    """BYPASSRLS is a superuser's to give: without it there are no backups, and all else goes on."""
    async with own_postgres(tmp_path / "home") as server:
        database = server.database
        await database.ask(f"ALTER ROLE {BACKUP} NOBYPASSRLS")
        told = f"role {BACKUP} must have BYPASSRLS"
        remedy = f"{told}: as an administrator, ALTER ROLE {BACKUP} BYPASSRLS"
        assert await migrate.upgrade(database.owner) == [remedy]
        assert await migrate.check(database.owner) == [told]
        with pytest.raises(BackupError, match="BYPASSRLS"):
            await back_up(database.backup, tmp_path / "b.dump", say=lambda _: None)

        assert await migrate.upgrade(database.admin) == []
        assert await migrate.check(database.owner) == []
        await back_up(database.backup, tmp_path / "b.dump", say=lambda _: None)

        await database.ask(f"DROP OWNED BY {BACKUP}")
        await database.ask(f"DROP ROLE {BACKUP}")
        with pytest.raises(migrate.MigrationError, match=f"role {BACKUP} does not exist: as an "):
            await migrate.upgrade(database.owner)
        await database.ask(f"CREATE ROLE {BACKUP} CREATEDB")
        assert f"role {BACKUP} must not have the attribute CREATEDB" in await migrate.upgrade(
            database.admin
        )
