"""Through PgBouncer in transaction mode: a server connection is anybody's between two transactions.

With statement_cache_size=0 in the URL for every PgBouncer, and without it for one that keeps the
prepared statements of its clients apart (1.21 and newer).
"""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from models.states import State
from tests.conftest import make_settings
from tests.support.databases import DatabaseUrls
from tests.support.desk import AGENTS, Desk
from tests.support.invariants import check
from tests.support.pgbouncer import Pooler, keeps_statements, pgbouncer
from tests.support.waiting import until
from tests.support.workers import worker_process
from worker.backup import BackupError, back_up
from worker.client import Client
from worker.errors import CopydeskError, SettingsError
from worker.maintenance.opening import opened_deletion, opened_exporter, opened_pruner
from worker.maintenance.pruning import Order
from worker.maintenance.reindexing import opened_reindexer
from worker.migrate import MigrationError
from worker.migrate import check as check_schema
from worker.settings import Settings

ROUNDS = 15
WAYS = ("statements kept", "no statement kept")


def through(pooler: Pooler, way: str) -> DatabaseUrls:
    """Return the database by the pooler; skip where this one cannot do that."""
    if way == "no statement kept":
        place = pooler.database
        return DatabaseUrls(place.name, f"{place.admin}&statement_cache_size=0")
    if not keeps_statements():
        pytest.skip("this pgbouncer is older than 1.21 and keeps no prepared statements")
    return pooler.database


def settings_for(place: DatabaseUrls, redis_url: str, directory: Path, **more: object) -> Settings:
    """Return settings that lead through the pooler."""
    exports = directory / "exports"
    return make_settings(place, redis_url, agents=AGENTS, exports_directory=exports, **more)


@pytest.mark.parametrize("way", WAYS)
async def test_two_workers_and_a_client_work_over_a_few_shared_connections(
    way: str,
    database: DatabaseUrls,
    redis_url: str,
    project: UUID,
    user: UUID,
    tmp_path: Path,
) -> None:
    """Every kind of work, more connections than the server gives, and nothing lost or doubled."""
    async with pgbouncer(database, pool=2) as pooler:
        place = through(pooler, way)
        settings = settings_for(place, redis_url, tmp_path, lease=6, heartbeat=1)
        async with (
            Client(settings) as client,
            worker_process(settings, tmp_path / "one.log") as one,
            worker_process(settings, tmp_path / "two.log") as two,
        ):
            desk = Desk(client, database, project, user, tmp_path)
            await until(lambda: one.is_ready and two.is_ready, within=30)
            many = [await desk.enqueue("echo", {"document_type": "notes"}) for _ in range(40)]
            stopped = await desk.enqueue("gated", desk.gate())
            await desk.begun()
            await client.cancel(project, stopped)
            failing = await desk.run("failing")
            retried = await client.dead_letters.retry(project, [failing.execution_id])
            assert len(retried) == 1
            assert {report.status for report in await desk.finals(many)} == {State.COMPLETED}
            assert (await desk.final(stopped)).status == State.CANCELLED
            assert (await desk.run("flaky", {"failures": 1})).attempt == 2
            assert (await desk.run("exporter")).status == State.COMPLETED
            [document] = await client.documents(project)
            assert document.version == 40
            clients = Counter(str(row["user"]) for row in await pooler.ask("SHOW CLIENTS"))
            servers = Counter(str(row["user"]) for row in await pooler.ask("SHOW SERVERS"))
            log = one.log + two.log
        await check(database)
    # Of two workers and a client: the moves' pool and the readings' each, and two for dispatch.
    assert clients["copydesk_app"] <= 3 * 2 * settings.pool_size
    assert clients["copydesk_dispatch"] <= 2 * 2
    assert clients["copydesk_app"] > servers["copydesk_app"]
    assert max(servers["copydesk_app"], servers["copydesk_dispatch"]) <= 2
    assert "Traceback" not in log
    assert '"degraded"' not in log


@pytest.mark.parametrize("way", WAYS)
async def test_a_project_is_pruned_exported_and_deleted_through_it(
    way: str,
    database: DatabaseUrls,
    redis_url: str,
    project: UUID,
    user: UUID,
    tmp_path: Path,
) -> None:
    """The role of maintenance binds a project for one transaction, as the others do."""
    async with pgbouncer(database, pool=1) as pooler:
        settings = settings_for(through(pooler, way), redis_url, tmp_path)
        async with Client(settings) as client:
            done = await client.enqueue(project, "echo", {}, requested_by=user)
            await client.cancel(project, done.execution_id)
        async with opened_pruner(settings, batch=1) as pruner:
            order = Order(timedelta(0), for_real=True)
            assert (await pruner.prune(project, order))["agent_executions"] == 1
        async with opened_exporter(settings) as exporter:
            assert (await exporter.export(project, tmp_path / "p.zip")).project_id == project
        async with opened_deletion(settings) as deletion:
            assert (await deletion.delete(project)).counts["projects"] == 1


@pytest.mark.parametrize("way", WAYS)
async def test_a_scope_never_reaches_the_next_client_of_a_server_connection(
    way: str, database: DatabaseUrls, redis_url: str, user: UUID, tmp_path: Path
) -> None:
    """Two projects and a stranger take turns on one connection, as fast as they can."""
    async with pgbouncer(database, pool=1) as pooler:
        place = through(pooler, way)
        settings = settings_for(place, redis_url, tmp_path)
        stranger_url = pooler.database.app
        strangers = await asyncpg.connect(stranger_url, statement_cache_size=0)
        backends: set[int] = set()

        async def owner_of(project: UUID) -> None:
            async with Client(settings) as client:
                for n in range(ROUNDS):
                    made = await client.enqueue(project, "nobody", {"n": n}, requested_by=user)
                    report = await client.status(project, made.correlation_id)
                    assert [e.execution_id for e in report.executions] == [made.execution_id]
                    assert await client.documents(project) == []
                    assert await client.cancel(project, made.execution_id) == "cancelled"

        async def stranger() -> None:
            for _ in range(4 * ROUNDS):
                backends.add(await strangers.fetchval("SELECT pg_backend_pid()"))
                with pytest.raises((asyncpg.UndefinedObjectError, asyncpg.DataError)):
                    await strangers.fetch("SELECT * FROM agent_executions")

        mine, theirs = [await database.add_project(user) for _ in range(2)]
        await asyncio.gather(owner_of(mine), owner_of(theirs), stranger())
        await strangers.close()
    assert len(backends) == 1
    counts = await database.ask("SELECT project_id, count(*) AS n FROM agent_executions GROUP BY 1")
    assert {row["project_id"]: row["n"] for row in counts} == {mine: ROUNDS, theirs: ROUNDS}


@pytest.mark.parametrize("way", WAYS)
async def test_an_enqueue_in_the_callers_transaction_stands_or_falls_with_it(
    way: str, database: DatabaseUrls, redis_url: str, project: UUID, user: UUID, tmp_path: Path
) -> None:
    """A service's own SQLAlchemy session goes through the same pooler."""
    async with pgbouncer(database, pool=1) as pooler:
        place = through(pooler, way)

        async def connect() -> asyncpg.Connection:
            return await asyncpg.connect(pooler.database.app, statement_cache_size=0)

        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=connect,
            poolclass=NullPool,
            connect_args={"prepared_statement_cache_size": 0},
        )
        async with Client(settings_for(place, redis_url, tmp_path)) as client:
            for outcome in ("commit", "rollback"):
                async with AsyncSession(engine) as session:
                    recorded = await client.enqueue_in(
                        session, project, "nobody", {"outcome": outcome}, requested_by=user
                    )
                    await getattr(session, outcome)()
                report = await client.status(project, recorded.correlation_id)
                assert len(report.executions) == (outcome == "commit")
        await engine.dispose()


async def test_the_limits_of_the_roles_hold_behind_it(database: DatabaseUrls) -> None:
    """They are the role's, which logs in to PostgreSQL as itself."""
    async with pgbouncer(database) as pooler:
        connection = await asyncpg.connect(pooler.database.app, statement_cache_size=0)
        assert await connection.fetchval("SHOW statement_timeout") == "30s"
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "30s"
        await connection.close()


@pytest.mark.parametrize("ignored", ["", "tcp_keepalives_idle,tcp_keepalives_interval,"])
async def test_a_stable_name_asks_for_postgresqls_own_address(
    ignored: str, database: DatabaseUrls, redis_url: str, tmp_path: Path
) -> None:
    """A lock that lasts as long as a session means nothing there; dispatch is to be direct."""
    ignored = f"{ignored}tcp_keepalives_count,search_path"
    async with pgbouncer(database, ignore_startup_parameters=ignored) as pooler:
        place = through(pooler, "no statement kept")
        settings = settings_for(place, redis_url, tmp_path, stable_name=True)
        async with worker_process(settings, tmp_path / "refused.log") as refused:
            assert await refused.ended() == 2
        assert refused.log.count("\n") == 1
        assert "COPYDESK_DISPATCH_URL leads to a pooler" in refused.log

        direct = {"COPYDESK_DISPATCH_URL": database.dispatch}
        async with worker_process(settings, tmp_path / "log", **direct) as worker:
            await until(lambda: worker.is_ready, within=30)


async def test_migrations_and_backups_ask_for_it_too(
    database: DatabaseUrls, tmp_path: Path
) -> None:
    """They hold locks and snapshots of a session; told before anything is done."""
    async with pgbouncer(database, ignore_startup_parameters="search_path") as pooler:
        with pytest.raises(MigrationError, match=r"leads to a pooler .*PostgreSQL's own address"):
            await check_schema(pooler.database.owner)
        with pytest.raises((BackupError, MigrationError), match="leads to a pooler"):
            await back_up(pooler.database.backup, tmp_path / "b.dump", say=lambda _: None)


async def test_rebuilding_indexes_asks_for_it_too(database: DatabaseUrls) -> None:
    """Its patience and its role are settings of a session, and an index may take hours."""
    async with pgbouncer(database) as pooler:
        url = pooler.database.maintenance
        with pytest.raises(SettingsError, match=r"leads to a pooler .*PostgreSQL's own address"):
            async with opened_reindexer(url, None, patience=1):
                pytest.fail("a pooler was taken for PostgreSQL")


async def test_one_that_forgets_statements_is_told_with_the_remedy(
    database: DatabaseUrls, redis_url: str, user: UUID, project: UUID, tmp_path: Path
) -> None:
    """Two processes name their statements alike; an old PgBouncer mixes them up."""
    if keeps_statements():
        pytest.skip("this pgbouncer keeps the statements of its clients apart")
    async with pgbouncer(database, pool=1) as pooler:
        settings = settings_for(pooler.database, redis_url, tmp_path)
        async with Client(settings) as client:
            taken = await asyncpg.connect(pooler.database.app, statement_cache_size=0)
            named = asyncpg.connection._uid
            await taken.execute(
                f"DO $$ BEGIN FOR n IN {named}..{named + 500} LOOP EXECUTE format("
                "'PREPARE __asyncpg_stmt_%s__ AS SELECT 1', to_hex(n)); END LOOP; END $$"
            )
            with pytest.raises(CopydeskError, match="add statement_cache_size=0 to") as told:
                await client.enqueue(project, "nobody", requested_by=user)
            await taken.close()
    assert told.value.code == "statements_forgotten"


def test_a_mistake_in_the_url_is_told(tmp_path: Path) -> None:
    """By the variable's name and the rule; the URL is not repeated."""
    with pytest.raises(CopydeskError) as refused:
        make_settings(
            DatabaseUrls("x", "postgresql://postgres:hunter2@h/x?statement_cache_size=no"),
            "redis://:p@h/0",
            exports_directory=tmp_path,
        )
    assert "COPYDESK_DATABASE_URL: statement_cache_size must be a number" in str(refused.value)
    assert "hunter2" not in str(refused.value)
