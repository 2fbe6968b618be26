"""Preflight: a worker refuses to start where isolation does not hold, and says what to do."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from models.roles import APP, DISPATCH
from tests.conftest import make_settings
from tests.queue.redis_server import RedisServer, runnable_redis
from tests.support.databases import DatabaseUrls
from worker.errors import DatabaseUnavailableError, StartupRefusedError
from worker.ledger import MovePool
from worker.migrate import head_revision
from worker.preflight import check_database, check_redis
from worker.process import assembled
from worker.queue.connection import open_redis
from worker.settings import Settings

PASSWORD = "hunter2-canary"


def with_password(url: str) -> str:
    """Return the URL with a password in it, which the test's server does not ask for."""
    return url.replace("@", f":{PASSWORD}@", 1)


async def refusal(
    database: DatabaseUrls,
    *,
    app: str | None = None,
    dispatch: str | None = None,
    revision: str | None = None,
) -> str:
    """Return why a worker is refused; a password in its URLs never shows."""
    async with (
        MovePool(with_password(app or database.app), size=1) as moves,
        MovePool(with_password(dispatch or database.dispatch), size=1) as control,
    ):
        with pytest.raises(StartupRefusedError) as refused:
            await check_database(moves, control, revision=revision or head_revision())
    assert PASSWORD not in str(refused.value)
    assert refused.value.code == "startup_refused"
    return str(refused.value)


@asynccontextmanager
async def role(database: DatabaseUrls, options: str) -> AsyncIterator[str]:
    """Make a role for one test, and give the database's URL with it."""
    name = f"test_{uuid4().hex}"
    await database.ask(f"CREATE ROLE {name} LOGIN {options}")
    try:
        yield database.as_role(name)
    finally:
        await database.ask(f"DROP OWNED BY {name}")
        await database.ask(f"DROP ROLE {name}")


async def test_a_database_as_migrated_is_accepted(database: DatabaseUrls) -> None:
    """Nothing is wrong with what `copydesk db upgrade` makes."""
    async with MovePool(database.app, size=1) as app, MovePool(database.dispatch, size=1) as other:
        await check_database(app, other, revision=head_revision())


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("SUPERUSER", "is a superuser"),
        ("BYPASSRLS IN ROLE copydesk_app", "may bypass row level security"),
        ("CREATEROLE IN ROLE copydesk_app", "may create roles"),
        ("CREATEDB IN ROLE copydesk_app", "may create databases"),
        ("IN ROLE copydesk_app, copydesk_owner", "is, or is a member of, copydesk_owner"),
    ],
    ids=["superuser", "bypassrls", "createrole", "createdb", "member of owner"],
)
async def test_a_role_that_may_more_than_it_should_is_refused(
    database: DatabaseUrls, options: str, fault: str
) -> None:
    """Each fault names the role, and the role to connect as instead."""
    async with role(database, options) as url:
        said = await refusal(database, app=url)
        also = await refusal(database, dispatch=url)

    assert fault in said
    assert "connect as copydesk_app, prepared by `copydesk db upgrade`" in said
    assert fault in also
    assert f"connect as {DISPATCH}" in also


async def test_the_owner_is_refused_as_a_worker(database: DatabaseUrls) -> None:
    """The role that migrates runs nothing."""
    said = await refusal(database, app=database.owner)

    assert "copydesk_owner is, or is a member of, copydesk_owner" in said
    assert "connect as copydesk_app" in said


@pytest.mark.parametrize(
    "where",
    ["DATABASE {name}", "ROLE copydesk_app IN DATABASE {name}", "ROLE ALL IN DATABASE {name}"],
)
async def test_a_default_scope_is_refused(database: DatabaseUrls, where: str) -> None:
    """There is no default project, on no role and no database."""
    place = where.format(name=database.name)
    await database.ask(f"ALTER {place} SET app.project_id = '{uuid4()}'")

    said = await refusal(database)

    assert "app.project_id has a default" in said
    assert "RESET" in said


async def test_a_default_scope_in_the_url_is_refused(database: DatabaseUrls) -> None:
    """A connection that comes with a scope is as wrong as a database that gives one."""
    said = await refusal(database, app=f"{database.app}&app.project_id={uuid4()}")

    assert "app.project_id has a default" in said


@pytest.mark.parametrize(
    ("change", "fault", "remedy"),
    [
        (
            "ALTER TABLE exports DISABLE ROW LEVEL SECURITY",
            "exports: row level security is not enabled",
            "ALTER TABLE exports ENABLE ROW LEVEL SECURITY",
        ),
        (
            "ALTER TABLE exports NO FORCE ROW LEVEL SECURITY",
            "exports: row level security is not forced",
            "ALTER TABLE exports FORCE ROW LEVEL SECURITY",
        ),
        (
            "DROP POLICY project_guard ON exports",
            "exports: has no restrictive policy on app.project_id",
            "CREATE POLICY project_guard ON exports AS RESTRICTIVE",
        ),
        (
            "ALTER POLICY project_guard ON exports USING (true)",
            "exports: policy project_guard has USING true",
            "ALTER POLICY project_guard ON exports",
        ),
        (
            "ALTER POLICY project_guard ON exports WITH CHECK (true)",
            "exports: policy project_guard has WITH CHECK true",
            "ALTER POLICY project_guard ON exports",
        ),
        (
            "ALTER POLICY project_guard ON exports TO copydesk_owner",
            "exports: policy project_guard is for copydesk_owner, not copydesk_app",
            "ALTER POLICY project_guard ON exports",
        ),
        (
            f"GRANT TRUNCATE ON exports TO {APP}",
            "exports: copydesk_app has TRUNCATE on it, and must not",
            "REVOKE TRUNCATE ON exports FROM copydesk_app",
        ),
        (
            f"GRANT TRIGGER ON exports TO {APP}",
            "exports: copydesk_app has TRIGGER on it, and must not",
            "REVOKE TRIGGER ON exports FROM copydesk_app",
        ),
        (
            f"ALTER TABLE exports OWNER TO {APP}",
            "exports: copydesk_app owns it",
            "ALTER TABLE exports OWNER TO copydesk_owner",
        ),
        (
            "GRANT TEMPORARY ON DATABASE {name} TO copydesk_app",
            "may create schemas or temporary tables",
            "REVOKE CREATE, TEMPORARY ON DATABASE",
        ),
        (
            "CREATE TABLE notes (project_id uuid); ALTER TABLE notes OWNER TO copydesk_owner",
            "notes: row level security is not enabled",
            "ALTER TABLE notes ENABLE ROW LEVEL SECURITY",
        ),
        ("DROP TABLE exports", "exports: the table is missing", "run `copydesk db upgrade`"),
    ],
)
async def test_a_table_without_its_guard_is_refused(
    database: DatabaseUrls, change: str, fault: str, remedy: str
) -> None:
    """Each project-owned table is looked at, also one that this version does not know."""
    async with database.oracle() as oracle:
        await oracle.execute(change.format(name=database.name))

    said = await refusal(database)

    assert fault in said
    assert remedy in said


@pytest.mark.parametrize(
    ("grant", "table"),
    [
        ("SELECT ON agent_executions", "agent_executions"),
        ("SELECT (error_message) ON agent_executions", "agent_executions"),
        ("SELECT ON document_versions", "document_versions"),
        ("SELECT (name) ON users", "users"),
        ("UPDATE (status) ON agent_executions", "agent_executions"),
        ("UPDATE ON exports", "exports"),
        ("INSERT ON agent_executions", "agent_executions"),
        ("DELETE ON agent_executions", "agent_executions"),
        ("TRUNCATE ON execution_events", "execution_events"),
    ],
)
async def test_a_dispatch_role_that_may_more_is_refused(
    database: DatabaseUrls, grant: str, table: str
) -> None:
    """It sees that there is work, never what it is, and moves nothing but leases."""
    privilege, *_ = grant.split()
    for grantee, words in ((DISPATCH, f"{DISPATCH} has"), ("PUBLIC", "everybody (PUBLIC) has")):
        await database.ask(f"GRANT {grant} TO {grantee}")
        said = await refusal(database)
        await database.ask(f"REVOKE {grant} FROM {grantee}")

        assert f"{table}: {words} {privilege}" in said
        assert f"REVOKE {privilege}" in said
        assert f" ON {table} FROM {grantee}" in said


@pytest.mark.parametrize(
    ("found", "remedy"),
    [
        ("0000_before", "run `copydesk db upgrade`"),
        ("9999_after", "install the copydesk that has 9999_after"),
    ],
)
async def test_another_revision_is_refused(database: DatabaseUrls, found: str, remedy: str) -> None:
    """New code on an old schema, or the other way round; both are named, and what to do."""
    await database.ask("UPDATE alembic_version SET version_num = $1", found)
    said = await refusal(database)

    assert f"at revision {found}, this copydesk works with {head_revision()}: {remedy}" in said


async def test_an_empty_database_is_refused(empty_database: str) -> None:
    """Somebody who forgot to migrate is told how."""
    said = await refusal(DatabaseUrls("", empty_database))

    assert "agent_executions" in said
    assert "run `copydesk db upgrade`" in said


async def test_a_database_that_does_not_answer_is_not_a_refusal() -> None:
    """It is a fault that passes: start again later."""
    gone = MovePool(with_password(f"postgresql://{APP}@127.0.0.1:1/none"), size=1)
    with pytest.raises(DatabaseUnavailableError) as unavailable:
        await check_database(gone, gone, revision=head_revision())
    assert PASSWORD not in str(unavailable.value)


async def test_what_is_only_worth_a_warning_is_logged(database: DatabaseUrls) -> None:
    """A worker starts, and says what an administrator may want to look at."""
    await database.ask("CREATE PUBLICATION copy FOR TABLE exports")

    with capture_logs() as lines:
        async with (
            MovePool(database.app, size=1) as app,
            MovePool(database.dispatch, size=1) as other,
        ):
            await check_database(app, other, revision=head_revision())

    assert [(line["event"], line["code"]) for line in lines] == [
        ("isolation_warning", "publication")
    ]
    assert "exports: the publication copy" in lines[0]["reason"]


async def test_every_fault_is_reported_at_once(database: DatabaseUrls, settings: Settings) -> None:
    """One start, one message, with all there is to repair; and no worker is assembled."""
    await database.ask("ALTER TABLE exports NO FORCE ROW LEVEL SECURITY")
    await database.ask("DROP POLICY project_guard ON projects")
    await database.ask(f"GRANT SELECT ON users TO {DISPATCH}")

    with pytest.raises(StartupRefusedError) as refused:
        async with assembled(settings):
            pass

    said = str(refused.value)
    assert "exports" in said
    assert "projects" in said
    assert f"users: {DISPATCH} has SELECT" in said
    assert "\n" not in said


async def test_a_redis_that_evicts_is_refused(tmp_path: Path, database: DatabaseUrls) -> None:
    """A hint that vanishes is only late, but a job of another service would be gone."""
    server = RedisServer(runnable_redis(tmp_path), tmp_path, password=PASSWORD)
    server.start()
    redis = open_redis(server.url, queue_name="arq:queue")
    settings = make_settings(database, server.url)
    try:
        await check_redis(redis, settings)
        await redis.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(StartupRefusedError, match=r"allkeys-lru.*to noeviction") as error:
            await check_redis(redis, settings)
        assert PASSWORD not in str(error.value)
        server.kill()
        await check_redis(redis, settings)
    finally:
        server.stop()
        await redis.aclose()


async def test_a_redis_without_a_password_is_refused_in_production(
    database: DatabaseUrls, redis_url: str
) -> None:
    """On a machine of one's own it is admitted, by saying so."""
    redis = open_redis(redis_url, queue_name="arq:queue")
    open_to_all = re.sub("//.*@", "//", redis_url)
    said = r"COPYDESK_REDIS_URL has no password.*COPYDESK_ENVIRONMENT=development"
    with pytest.raises(StartupRefusedError, match=said):
        await check_redis(redis, make_settings(database, open_to_all))

    await check_redis(redis, make_settings(database, open_to_all, environment="development"))
    await check_redis(redis, make_settings(database, redis_url))
    await redis.aclose()
