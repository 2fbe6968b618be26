"""The migrations lead to what the models declare, and back; nobody is locked out, nothing leaks."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback

import asyncpg
import pytest
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

import migrations
from models.declarations import statements
from models.roles import APP, SEARCH
from models.tables import Base
from tests.migrations.schemas import REVISIONS, ROOT, STEPS, load, schema_of, settled_schema
from tests.support.databases import DatabaseUrls
from worker import migrate
from worker.errors import CopydeskError, DatabaseUnavailableError


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
    up = await schema_of(empty_database)
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
    assert await schema_of(empty_database) == up
    assert await migrate.check(empty_database) == []


async def test_each_step_can_be_taken_back_and_taken_again(empty_database: str) -> None:
    """The stairway: up one, down one, up one, to the head, and the schema is what it was.

    The whole schema counts: owners, grants to roles on everything in it, the database's own.
    """
    await migrate.upgrade(empty_database, REVISIONS[0])
    await migrate.downgrade(empty_database, "base")  # Alembic's own table stays
    levels = set()
    for before, revision in STEPS:
        below = await schema_of(empty_database, "--create")
        await migrate.upgrade(empty_database, revision)
        above = await schema_of(empty_database, "--create")
        levels |= {below, above}

        await migrate.downgrade(empty_database, before)
        assert await schema_of(empty_database, "--create") == below, revision
        await migrate.upgrade(empty_database, revision)
        assert await schema_of(empty_database, "--create") == above, revision
    assert len(levels) > 1
    assert await migrate.current(empty_database) == migrate.head_revision()
    assert await migrate.check(empty_database) == []


async def test_migrations_and_models_make_the_same_schema(
    database: DatabaseUrls, empty_database: str
) -> None:
    """Dumps of both are equal to the last character: indexes, storage, identity, grants, all.

    But for the order in which roles were granted something.
    """
    await migrate.prepare_database(empty_database)
    async with migrate.owner_session(empty_database) as connection:
        await connection.run_sync(build_from_models)
    assert await settled_schema(empty_database) == await settled_schema(database.admin)


async def test_upgrading_twice_changes_nothing(database: DatabaseUrls) -> None:
    """An upgrade of a database at the head is a no-op, also for the owner without other rights."""
    schema = await schema_of(database.admin)
    assert await migrate.upgrade(database.owner) == []
    assert await migrate.check(database.owner) == []
    assert await schema_of(database.admin) == schema


async def test_an_old_database_is_told_to_upgrade(empty_database: str) -> None:
    """Checking compares nothing before the database is at the head, and says what to do."""
    told = await migrate.check(empty_database)
    assert told[-1] == (
        f"the schema is at revision none, this copydesk works with {migrate.head_revision()}: "
        "run `copydesk db upgrade`"
    )


async def test_a_later_database_is_told_to_be_one(database: DatabaseUrls) -> None:
    """No command moves a schema of a later copydesk; each says which one can."""
    await database.ask("UPDATE alembic_version SET version_num = '9999_later'")
    head = migrate.head_revision()
    said = (
        f"the schema is at revision 9999_later, this copydesk works with {head}: install the "
        f"copydesk that has 9999_later, or with that one run `copydesk db downgrade {head}`"
    )
    assert await migrate.check(database.admin) == [said]
    for command_ in (
        migrate.upgrade(database.admin),
        migrate.downgrade(database.admin, "base"),
        migrate.revision(database.admin, "nothing"),
    ):
        with pytest.raises(migrate.MigrationError) as refused:
            await command_
        assert refused.value.message == said
    assert await migrate.current(database.admin) == "9999_later"


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
    await load(empty_database, script.stdout)
    assert await migrate.check(empty_database) == []
