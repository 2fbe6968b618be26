"""The migrations lead to what the models declare, and back; nobody is locked out, nothing leaks."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import traceback
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

import migrations
from models.declarations import statements
from models.roles import APP, SEARCH
from models.tables import Base
from tests.support.databases import DatabaseUrls, fresh_database
from tests.support.waiting import until
from worker import migrate
from worker.embedded.postgres import postgres_programs
from worker.errors import CopydeskError, DatabaseUnavailableError

ROOT = Path(migrate.__file__).parents[1]
REVISIONS = [
    script.revision for script in ScriptDirectory.from_config(Config(migrate.INI)).walk_revisions()
][::-1]


def schema_of(url: str) -> str:
    """Dump the schema, without the key that is new in every dump."""
    dump = [str(postgres_programs() / "pg_dump"), "--schema-only", "--dbname", url]
    found = subprocess.run(dump, check=True, capture_output=True, text=True, cwd="/").stdout
    return "\n".join(line for line in found.splitlines() if not line.startswith("\\"))


def load(url: str, sql: str) -> None:
    """Execute a script with psql, and stop at the first error."""
    psql = str(postgres_programs() / "psql")
    script = [psql, "--quiet", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-d", url]
    done = subprocess.run(script, input=sql, check=False, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr


async def settled_schema(url: str) -> str:
    """Dump, restore elsewhere, dump again: PostgreSQL settles on one spelling of expressions."""
    async with fresh_database(url, template="template0") as second:
        load(second.admin, schema_of(url))
        return schema_of(second.admin)


def build_from_models(connection: Connection) -> None:
    """Make what the models declare, without any migration."""
    Base.metadata.create_all(connection, checkfirst=False)
    impl = MigrationContext.configure(connection).impl
    impl.version_table_impl(
        version_table="alembic_version", version_table_schema=None, version_table_pk=True
    ).create(connection)
    # Whoever is handed a function has to be able to create one there.
    connection.exec_driver_sql(f"GRANT CREATE ON SCHEMA public TO {SEARCH}")
    for statement in statements():
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql(f"REVOKE CREATE ON SCHEMA public FROM {SEARCH}")
    connection.commit()


def test_the_last_file_is_the_head() -> None:
    """Workers read the revision off its name, without Alembic."""
    assert migrations.latest() == migrate.head_revision() == REVISIONS[-1]


async def test_migrations_go_up_and_down_and_up_again(empty_database: str) -> None:
    """Going down leaves the roles and Alembic's own table, nothing else."""
    assert await migrate.current(empty_database) is None
    await migrate.upgrade(empty_database)
    up = schema_of(empty_database)
    assert await migrate.current(empty_database) == migrate.head_revision()

    await migrate.downgrade(empty_database, "base")
    assert await migrate.current(empty_database) is None
    connection = await asyncpg.connect(empty_database)
    left = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "AND relkind IN ('r', 'v', 'S') AND relowner = 'copydesk_owner'::regrole "
        "UNION ALL SELECT proname FROM pg_proc WHERE proowner = 'copydesk_owner'::regrole"
    )
    assert [row["relname"] for row in left] == ["alembic_version"]
    assert await connection.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = $1", APP) == 1
    await connection.close()

    await migrate.upgrade(empty_database)
    assert schema_of(empty_database) == up
    assert await migrate.check(empty_database) == []


@pytest.mark.parametrize("revision", REVISIONS)
async def test_each_migration_can_be_undone(empty_database: str, revision: str) -> None:
    """One step down from a revision gives the schema of the revision before."""
    before = REVISIONS[REVISIONS.index(revision) - 1] if revision != REVISIONS[0] else None
    await migrate.upgrade(empty_database, before or "0001_initial")
    if before is None:
        await migrate.downgrade(empty_database, "base")
    schema = schema_of(empty_database)
    await migrate.upgrade(empty_database, revision)
    await migrate.downgrade(empty_database, before or "base")
    assert schema_of(empty_database) == schema


async def test_migrations_and_models_make_the_same_schema(
    database: DatabaseUrls, empty_database: str
) -> None:
    """Dumps of both are equal to the last character: indexes, storage, identity, grants, all."""
    await migrate.prepare_database(empty_database)
    async with migrate.owner_session(empty_database) as connection:
        await connection.run_sync(build_from_models)
    assert await settled_schema(empty_database) == await settled_schema(database.admin)


async def test_upgrading_twice_changes_nothing(database: DatabaseUrls) -> None:
    """An upgrade of a database at the head is a no-op, also for the owner without other rights."""
    schema = schema_of(database.admin)
    assert await migrate.upgrade(database.owner) == []
    assert await migrate.check(database.owner) == []
    assert schema_of(database.admin) == schema


async def test_a_generated_migration_repairs_and_its_undoing_restores(
    database: DatabaseUrls, tmp_path: Path
) -> None:
    """What autogenerate writes into a file is executable, complete and exact, both ways."""
    awkward = """SELECT ' :name \\:x \\ %s %% "quoted" '' $1'::text -- :done

        AS "Odd \""""
    by_hand = (
        f"CREATE FUNCTION awkward() RETURNS text LANGUAGE sql AS $a$ {awkward} $a$",
        "GRANT EXECUTE ON FUNCTION awkward() TO copydesk_app",
        "DROP POLICY project_guard ON exports",
        "CREATE TABLE extra (id integer CHECK (id IN (1, 2)))",
        "ALTER TABLE extra ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY everybody ON extra USING (true)",
        "GRANT SELECT ON extra TO copydesk_app",
        "ALTER TABLE users ADD phone text",
        "DROP INDEX idx_agent_output",
    )
    async with migrate.owner_session(database.admin) as connection:
        for statement in by_hand:
            await connection.exec_driver_sql(statement)
        await connection.commit()
    drifted, told = schema_of(database.admin), await migrate.check(database.admin)

    def here(config: Config) -> Config:
        places = os.pathsep.join((str(migrate.INI.parent / "versions"), str(tmp_path)))
        config.set_main_option("version_locations", places)
        return config

    def generate(config: Config) -> None:
        command.revision(
            here(config), message="Back to order", autogenerate=True, version_path=str(tmp_path)
        )

    await migrate._run(database.admin, generate)
    number = f"{len(REVISIONS) + 1:04d}"
    assert f"{number}_back_to_order.py" in os.listdir(tmp_path)  # noqa: PTH208 - async, too

    await migrate._run(database.admin, lambda config: command.upgrade(here(config), "head"))
    await migrate._run(database.admin, lambda config: command.check(here(config)))
    await migrate._run(database.admin, lambda config: command.downgrade(here(config), "-1"))
    assert await migrate.check(database.admin) == told
    assert schema_of(database.admin) == drifted


async def test_two_upgraders_take_turns(empty_database: str) -> None:
    """The second waits for the first one's lock, and then finds the work done."""
    holder = await asyncpg.connect(empty_database)
    await holder.execute("SELECT pg_advisory_lock($1)", migrate.LOCK)
    upgrade = asyncio.create_task(migrate.upgrade(empty_database))
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    await until(lambda: holder.fetchval(waiting))
    assert not upgrade.done()
    assert await migrate.current(empty_database) is None
    await holder.close()
    await upgrade
    assert await migrate.current(empty_database) == migrate.head_revision()


async def test_an_old_database_is_told_to_upgrade(empty_database: str) -> None:
    """Checking compares nothing before the database is at the head, and says what to do."""
    told = await migrate.check(empty_database)
    assert told[-1] == (
        f"the database is at revision none, the code expects {migrate.head_revision()}: "
        "run `copydesk db upgrade`"
    )


async def test_a_database_the_owner_cannot_work_in_is_told(database: DatabaseUrls) -> None:
    """Without CREATE on the database nothing can be compared: the reason is the answer."""
    await database.ask(f"ALTER DATABASE {database.name} OWNER TO postgres")
    assert "the database must be owned by copydesk_owner" in await migrate.check(database.admin)
    with pytest.raises(migrate.MigrationError, match="ALTER DATABASE"):
        await migrate.upgrade(database.owner)
    assert await migrate.upgrade(database.admin) == []


async def test_no_error_shows_a_password(empty_database: str) -> None:
    """A URL that leads nowhere is told without its password."""
    nowhere = "postgresql://postgres:hunter2@127.0.0.1:1/nothing"
    with pytest.raises(DatabaseUnavailableError) as unreachable:
        await migrate.upgrade(nowhere)
    url = empty_database.replace("postgres@", "nobody_known:hunter2@")
    with pytest.raises(CopydeskError) as refused:
        await migrate.upgrade(url)
    with pytest.raises(CopydeskError) as malformed:
        await migrate.upgrade(nowhere.replace(":1/", ":port/"))
    for error in (unreachable, refused, malformed):
        assert "hunter2" not in "".join(traceback.format_exception(error.value))


def alembic(*arguments: str, url: str | None) -> subprocess.CompletedProcess[str]:
    """Run Alembic's own command line in the checkout."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COPYDESK_")}
    return subprocess.run(
        [sys.executable, "-m", "alembic", "-c", "migrations/alembic.ini", *arguments],
        env={**environment, "COPYDESK_OWNER_URL": url} if url else environment,
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )


async def test_alembics_own_command_line_works(database: DatabaseUrls) -> None:
    """It takes COPYDESK_OWNER_URL, exits 0 when clean and tells what differs otherwise."""
    clean = alembic("check", url=database.admin)
    assert clean.returncode == 0, clean.stderr
    await database.ask("DROP POLICY project_guard ON exports")
    drifted = alembic("check", url=database.admin)
    assert drifted.returncode != 0
    assert "policy project_guard on exports is declared and missing" in drifted.stdout
    unset = alembic("check", url=None)
    assert unset.returncode != 0
    assert "COPYDESK_OWNER_URL is not set" in unset.stdout + unset.stderr
    assert "Traceback" not in unset.stderr


async def test_the_migrations_can_be_written_out_as_sql(empty_database: str) -> None:
    """An administrator may run them by hand on a prepared database."""
    await migrate.prepare_database(empty_database)
    script = alembic("upgrade", "head", "--sql", url=None)
    assert script.returncode == 0, script.stderr
    load(empty_database, script.stdout)
    assert await migrate.check(empty_database) == []
