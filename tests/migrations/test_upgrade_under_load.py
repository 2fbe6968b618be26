"""The schema moves under 100,000 rows, two workers and their callers, and nobody notices.

What is shown: each migration in turn, taken back and taken again, while two worker processes of
today's code claim and complete and callers enqueue without a pause. So the functions, columns and
grants of every revision from OLDEST on serve these moves of today's code, no step breaks a call
that is under way, and none keeps anybody waiting.

What is not: yesterday's code on today's schema, which is the order of a deploy; only a release that
is installed beside this one could show it. A migration that takes something away from under running
code is found by squawk's rules. Nor tables so large that a build takes hours, nor replicas.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from models.states import State
from tests.conftest import make_settings
from tests.migrations.load import Callers, plant, planted, watching
from tests.migrations.schemas import REVISIONS, copydesk_db, said
from tests.support.databases import DatabaseUrls
from tests.support.desk import AGENTS
from tests.support.invariants import check, not_final
from tests.support.waiting import until
from tests.support.workers import WorkerProcess, worker_process
from worker import migrate
from worker.client import Client
from worker.errors import DatabaseUnavailableError, SchemaMismatchError
from worker.settings import Settings

ROWS = 100_000
CALLERS = 3
OLDEST = "0001_initial"
"""The oldest revision on which today's code can work: raised when a move takes other arguments."""

WAY = REVISIONS[REVISIONS.index(OLDEST) :]
HELD_UP_AT_MOST = 0.5
"""Seconds; none at all is what is measured, and 1.2 where an index is built in the transaction."""


@pytest.fixture
def settings(database: DatabaseUrls, redis_url: str) -> Settings:
    """Leases that outlast a busy machine: an attempt is taken up again where work is lost, only."""
    return make_settings(database, redis_url, agents=AGENTS, lease=20, heartbeat=2)


def complaints(worker: WorkerProcess) -> list[str]:
    """Return what a worker's log says of faults that trying again does not mend."""
    passing = {DatabaseUnavailableError.code, SchemaMismatchError.code, "schema_missing"}
    lines = [json.loads(line) for line in worker.log.splitlines() if line.startswith("{")]
    assert lines
    return [
        str(line)
        for line in lines
        if line["level"] in {"error", "critical"}
        or line.get("code", DatabaseUnavailableError.code) not in passing
    ]


async def move(database: DatabaseUrls, callers: Callers, direction: str, revision: str) -> None:
    """Take one step, as an administrator would, and see that work goes on before and after it."""
    before = len(callers.accepted)
    await until(lambda: len(callers.accepted) > before + CALLERS)
    async with copydesk_db(database.owner, direction, revision) as process:
        assert await said(process) == (0, f"at {revision}\n")
    before = len(callers.accepted)
    await until(lambda: len(callers.accepted) > before + CALLERS)


async def test_every_step_is_taken_under_load_and_loses_nothing(
    database: DatabaseUrls, settings: Settings, project: UUID, user: UUID, tmp_path: Path
) -> None:
    """Down to the oldest revision, and up to the head step by step, with work going on at each.

    Nothing is lost, nothing is done twice, no caller and no worker meets an error that trying again
    does not mend, and nobody waits for a migration.
    """
    await plant(database, project, user, ROWS)
    there = await planted(database)
    assert there[0] == ROWS
    async with (
        worker_process(settings, tmp_path / "one.log") as one,
        worker_process(settings, tmp_path / "two.log") as two,
        Client(settings) as client,
    ):
        workers = (one, two)
        await until(lambda: one.is_ready and two.is_ready, within=60)
        callers = Callers(client, project, user)
        async with asyncio.TaskGroup() as calling, watching(database) as watch:
            for number in range(CALLERS):
                calling.create_task(callers.run(f"caller-{number}"))
            await move(database, callers, "downgrade", OLDEST)
            for revision in WAY[1:]:
                await move(database, callers, "upgrade", revision)
            callers.stop()

        async def ended() -> bool:
            return await not_final(database) == []

        await until(ended, within=60)
        assert [fault for worker in workers for fault in complaints(worker)] == []
    rows = await database.ask(
        "SELECT id, idempotency_key, status, attempt, failures FROM agent_executions "
        "WHERE worker IS DISTINCT FROM 'before'"
    )
    assert {row["idempotency_key"]: row["id"] for row in rows} == callers.accepted
    assert {(row["status"], row["attempt"], row["failures"]) for row in rows} == {
        (State.COMPLETED, 1, 0)
    }
    await check(database)
    assert await planted(database) == there
    assert await migrate.check(database.admin) == []
    assert watch.looks > len(WAY)
    assert watch.longest <= HELD_UP_AT_MOST


async def test_whoever_is_held_up_by_a_migration_would_be_seen(
    database: DatabaseUrls, settings: Settings, project: UUID, user: UUID
) -> None:
    """The watch sees a lock of a migration that keeps a caller waiting, and for how long."""
    migration = await asyncpg.connect(
        database.admin, server_settings={"application_name": "copydesk migrate"}
    )
    async with Client(settings) as client, watching(database) as watch:
        callers = Callers(client, project, user)
        async with asyncio.TaskGroup() as calling:
            async with migration.transaction():
                await migration.execute("LOCK TABLE agent_executions IN SHARE MODE")
                calling.create_task(callers.run("caller"))
                await until(lambda: watch.longest > HELD_UP_AT_MOST)
                assert callers.accepted == {}
            callers.stop()
    await migration.close()
    assert len(callers.accepted) == 1
    assert callers.slowest >= HELD_UP_AT_MOST
