"""Redis or PostgreSQL away: work goes on, or waits, and every outcome is recorded exactly once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from arq.connections import create_pool
from pydantic import SecretStr

from models.states import State
from tests.support.databases import DatabaseUrls
from tests.support.desk import Desk
from tests.support.waiting import until
from tests.support.workers import running_worker
from worker import executor
from worker.client import Client
from worker.queue.connection import to_arq_settings
from worker.settings import Settings

NO_REDIS = SecretStr("redis://:none@127.0.0.1:1/0")


@asynccontextmanager
async def outage(database: DatabaseUrls) -> AsyncIterator[None]:
    """Cut every connection to the database, and let in nobody but the superuser."""
    async with database.oracle() as connection:
        await connection.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")
        await cut(database)
        yield
        await connection.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT -1")


async def cut(database: DatabaseUrls) -> None:
    """Terminate the connections of everybody but superusers."""
    await database.ask(
        "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN pg_roles r "
        "ON r.rolname = a.usename WHERE a.datname = $1 AND NOT r.rolsuper",
        database.name,
    )


async def test_with_no_redis_at_all_the_main_job_runs_end_to_end(
    settings: Settings, desk: Desk
) -> None:
    """Enqueue accepts, sweeps claim, retries come due, results are filed, `wait` returns."""
    alone = settings.model_copy(update={"redis_url": NO_REDIS})
    async with Client(alone) as client, running_worker(alone) as service:
        lonely = replace(desk, client=client)
        execution = await lonely.enqueue("echo", {"document_type": "notes"})
        flaky = await lonely.enqueue("flaky", {"failures": 2})
        recorded = await lonely.report(execution)
        report = await client.wait(desk.project, recorded.correlation_id, timeout=15)
        assert report.is_final
        assert [v.version for v in report.executions[0].versions] == [1]
        assert (await lonely.final(flaky)).attempt == 3
        assert service._sweep._telemetry.claimed["sweep"] >= 4
        assert service._queue.taken == 0


async def test_a_hint_is_the_fast_path(settings: Settings, desk: Desk) -> None:
    """With sweeps far apart, work begins by hint, and retries come back by hint."""
    slow = settings.model_copy(update={"lease": 3600, "heartbeat": 1000, "sweep": 3000})
    async with running_worker(slow) as service:
        service._sweep._agent_types = ()  # it looks once when it starts, and is to find nothing
        reports = [await desk.run("echo", {"value": n}) for n in range(3)]
        retried = await desk.run("flaky", {"failures": 2})
        assert service._sweep._telemetry.claimed["sweep"] == 0
        assert service._queue.taken >= 4
    assert {r.status for r in reports} == {State.COMPLETED}
    assert retried.attempt == 3


async def test_flushing_redis_loses_no_work(settings: Settings, desk: Desk, redis_url: str) -> None:
    """Everything accepted is in PostgreSQL."""
    executions = [await desk.enqueue("echo", {"value": n}) for n in range(10)]
    await desk.client._hints.settle()
    redis = await create_pool(to_arq_settings(redis_url))
    await redis.flushdb()
    await redis.aclose(close_connection_pool=True)
    async with running_worker(settings):
        reports = await desk.finals(executions)
    assert {(r.status, r.attempt) for r in reports} == {(State.COMPLETED, 1)}


async def test_connections_cut_while_agents_run_cost_nothing(
    settings: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """An agent holds no connection: its outcome is recorded once, over a new one."""
    async with running_worker(settings):
        executions = [await desk.enqueue("gated", desk.gate()) for _ in range(5)]
        await until(lambda: _running(database, 5))
        await cut(database)
        desk.open_gate()
        reports = await desk.finals(executions)
    assert {(r.status, r.attempt) for r in reports} == {(State.COMPLETED, 1)}
    assert sorted(v.version for r in reports for v in r.versions) == [1, 2, 3, 4, 5]


async def test_connections_cut_again_and_again_lose_and_double_nothing(
    settings: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """Whatever was under way when the line went: one completion, one version, each."""
    async with running_worker(settings):
        executions = [
            await desk.enqueue("echo", {"document_type": "notes"}, max_attempts=50)
            for _ in range(40)
        ]

        async def done() -> bool:
            await cut(database)
            [row] = await database.ask(
                "SELECT count(*) AS n FROM agent_executions WHERE status = 'completed'"
            )
            return bool(row["n"] >= 20)

        await until(done, within=30)
        reports = await desk.finals(executions)
    assert {r.status for r in reports} == {State.COMPLETED}
    assert sorted(v.version for r in reports for v in r.versions) == list(range(1, 41))


async def test_an_outcome_waits_until_the_database_is_back(
    settings: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """The agent is not run again: what it answered is kept and recorded later."""
    patient = settings.model_copy(update={"lease": 60})
    async with running_worker(patient) as service:
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        async with outage(database):
            desk.open_gate()
            await until(lambda: service._heartbeat._outage._since is not None)
            assert service._executor.running == 1
        report = await desk.final(execution)
    assert (report.status, report.attempt) == (State.COMPLETED, 1)
    assert [v.version for v in report.versions] == [1]


async def test_a_worker_told_to_stop_while_the_database_is_away_ends(
    settings: Settings, desk: Desk, database: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be recorded is left to its lease, and taken up afterwards."""
    monkeypatch.setattr(executor, "_LAST_WORD_WITHIN", 0.5)
    hasty = settings.model_copy(update={"drain_grace": 0.5, "lease": 1.5})
    async with running_worker(hasty) as service:
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        async with outage(database):
            service.stop()
            await until(lambda: service._executor.running == 0)
            assert (await desk_row(database, "status")) == "running"
    desk.open_gate()
    async with running_worker(hasty):
        report = await desk.final(execution)
    assert (report.status, report.attempt) == (State.COMPLETED, 2)


async def desk_row(database: DatabaseUrls, column: str) -> object:
    """Return a column of the one execution there is."""
    [row] = await database.ask("SELECT * FROM agent_executions")
    return row[column]


async def _running(database: DatabaseUrls, count: int) -> bool:
    [row] = await database.ask(
        "SELECT count(*) AS n FROM agent_executions WHERE status = 'running'"
    )
    return bool(row["n"] == count)
