"""Deleting while work goes on, and when it is interrupted."""

import asyncio
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from tests.ledger.desk import Desk as LedgerDesk
from tests.ledger.desk import completion, draft
from tests.maintenance.canaries import producer
from tests.maintenance.rows import Records
from tests.support.databases import DatabaseUrls
from tests.support.desk import Desk
from tests.support.waiting import until
from tests.support.workers import running_worker, worker_process
from worker.errors import NotFoundError, ProjectBusyError, RedisUnavailableError
from worker.maintenance.deletion import Deletion
from worker.maintenance.opening import opened_deletion
from worker.settings import Settings, secret

DAY = timedelta(days=1)


@pytest.fixture
async def held(records: Records) -> UUID:
    """Fill the project with more than a batch, and return one in the middle of the way."""
    old = await records.ended(2 * DAY, number=600)
    await records.ended(DAY, number=600)
    return old[300]


async def waits_for_a_lock(database: DatabaseUrls) -> None:
    """Wait until somebody of this database waits for a lock."""

    async def waits() -> bool:
        return bool(
            await database.ask(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
                "AND usename = 'copydesk_maintenance' AND wait_event_type = 'Lock'"
            )
        )

    await until(waits, what="the deletion at the lock")


async def test_without_a_word_nothing_is_removed_while_attempts_run(
    settings: Settings, desk: Desk, deletion: Deletion, records: Records
) -> None:
    """It is refused as busy, names how many run, and every row and file is where it was."""
    async with running_worker(settings):
        running = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        before = await records.left()
        with pytest.raises(ProjectBusyError, match="1 attempts run in this project"):
            await deletion.delete(desk.project)
        assert await records.left() == before
        desk.open_gate()
        assert (await desk.final(running)).status == "completed"


async def test_what_runs_is_cancelled_first_where_that_is_asked_for(
    settings: Settings, desk: Desk, deletion: Deletion, records: Records
) -> None:
    """The agent is stopped at once, what waits never starts, and nothing is left."""
    one_at_a_time = settings.model_copy(update={"concurrency": 1})
    async with running_worker(one_at_a_time):
        await desk.enqueue("gated", desk.gate())
        await desk.begun()
        for _ in range(3):
            await desk.enqueue("gated", desk.gate("second"))

        await deletion.delete(desk.project, cancel_running=True, wait=10)

    assert await records.left() == {}
    assert not (desk.directory / "second.begun.1").exists()


async def test_an_agent_that_does_not_stop_in_time_keeps_its_project(
    settings: Settings, desk: Desk, deletion: Deletion, records: Records
) -> None:
    """After the bound the deletion is refused: everything is there but for the cancellation."""
    async with running_worker(settings):
        running = await desk.enqueue("stubborn", desk.gate())
        await desk.begun()
        with pytest.raises(ProjectBusyError, match=r"within 0\.3 s of a cancellation"):
            await deletion.delete(desk.project, cancel_running=True, wait=0.3)
        assert running in await records.ids()
        desk.open_gate()
        await desk.final(running)


async def test_what_a_dead_worker_holds_is_nobodys(
    database: DatabaseUrls, project: UUID, user: UUID, deletion: Deletion, records: Records
) -> None:
    """An attempt whose lease has run out writes nothing any more, and holds nothing up."""
    ledger_desk = LedgerDesk(database, project, user)
    await ledger_desk.abandoned()
    await ledger_desk.close()

    await deletion.delete(project)

    assert await records.left() == {}


async def test_a_late_worker_writes_nothing_of_a_deleted_project(
    settings: Settings, desk: Desk, deletion: Deletion, records: Records, database: DatabaseUrls
) -> None:
    """Its attempt ends after the rows are gone: no version, no event, no file; it works on."""
    assert settings.exports_directory is not None
    # It learns of nothing while its agent runs: that is what being late means.
    deaf = settings.model_copy(update={"heartbeat": 600, "lease": 1800, "sweep": 600})
    async with running_worker(deaf) as service:
        late = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        await database.ask(
            "UPDATE agent_executions SET lease_expires_at = now() WHERE id = $1", late
        )

        await deletion.delete(desk.project)
        desk.open_gate()
        await until(lambda: service._executor.finished == 1, what="the end of the late attempt")

        other = Desk(
            desk.client, database, await database.add_project(desk.user), desk.user, desk.directory
        )
        assert (await other.run("echo", {"value": 1})).status == "completed"
    assert await records.left() == {}
    assert not (settings.exports_directory / str(desk.project)).exists()


async def test_a_completion_that_meets_the_deletion_writes_nothing(
    database: DatabaseUrls, project: UUID, user: UUID, deletion: Deletion, records: Records
) -> None:
    """The late completion waits for the row that the deletion holds, and then finds none."""
    late = LedgerDesk(database, project, user)
    claim = await late.abandoned()
    await late.enqueue()
    async with database.oracle() as holder:
        transaction = holder.transaction()
        await transaction.start()
        # The project's row is the last to go: the deletion has to wait for it.
        await holder.execute("SELECT FROM projects WHERE id = $1 FOR KEY SHARE", project)
        deleting = asyncio.create_task(deletion.delete(project))
        await waits_for_a_lock(database)
        ended = await late.worker("lost").complete(project, completion(claim, draft()))
        assert (ended.accepted, ended.status) == (False, None)
        await transaction.commit()
        await deleting
    await late.close()
    assert await records.left() == {}


async def test_it_is_killed_in_the_middle_and_ends_the_same_the_second_time(
    settings: Settings, records: Records, held: UUID, database: DatabaseUrls, tmp_path: Path
) -> None:
    """A kill -9 between two batches; the next call removes the rest and finds nothing amiss."""
    command = (sys.executable, "-m", "worker", "project", "delete", str(records.project), "--yes")
    async with database.oracle() as holder:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("SELECT FROM agent_executions WHERE id = $1 FOR UPDATE", held)
        async with worker_process(settings, tmp_path / "first", *command) as first:
            await waits_for_a_lock(database)
            first.send(signal.SIGKILL)
            assert await first.ended() == -signal.SIGKILL
        await transaction.rollback()
    half = await records.left()
    assert 0 < half["agent_executions"] < 1200
    assert half["projects"] == 1

    async with worker_process(settings, tmp_path / "second", *command) as second:
        assert await second.ended() == 0

    assert await records.left() == {}
    assert f"agent_executions   {half['agent_executions']}" in second.log


async def test_what_a_deletion_left_behind_is_found_without_a_row(
    settings: Settings, desk: Desk, deletion: Deletion
) -> None:
    """Rows are gone and the rest is not: called again, it clears Redis and the files."""
    assert settings.exports_directory is not None
    gone = uuid4()
    directory = settings.exports_directory / str(gone)
    directory.mkdir(parents=True)
    (directory / "left.zip").write_bytes(b"x")
    async with producer(settings, "json") as arq:
        await arq.enqueue_job(
            "run_agent", project_id=str(gone), agent_type="loud", requested_by=str(desk.user)
        )

    receipt = await deletion.delete(gone)

    assert receipt.counts["files"] == 1
    assert receipt.counts["redis"] == 2  # the message and its place in the queue
    assert not directory.exists()
    with pytest.raises(NotFoundError):
        await deletion.delete(gone)


async def test_what_comes_in_while_rows_go_goes_too(
    settings: Settings,
    desk: Desk,
    deletion: Deletion,
    records: Records,
    held: UUID,
    database: DatabaseUrls,
) -> None:
    """A row, its hint, a full request and the result of one that was under way: none is left."""
    url = secret(settings.redis_url)
    async with producer(settings, "json") as arq, Redis.from_url(url) as redis:
        ask: dict[str, Any] = {"agent_type": "echo", "requested_by": str(desk.user)}
        await arq.enqueue_job("run_agent", _job_id="early", project_id=str(desk.project), **ask)
        async with database.oracle() as holder, holder.transaction():
            await holder.execute("SELECT FROM agent_executions WHERE id = $1 FOR UPDATE", held)
            deleting = asyncio.create_task(deletion.delete(desk.project))
            await waits_for_a_lock(database)
            await desk.enqueue("echo")
            await arq.enqueue_job("run_agent", _job_id="late", project_id=str(desk.project), **ask)
            await redis.set("arq:result:early", "something of the project")
        await deleting
        assert await records.left() == {}
        assert await redis.keys("*") == []


async def test_without_redis_nothing_is_begun(
    settings: Settings, desk: Desk, records: Records
) -> None:
    """What stands in Redis could not be removed, so the rows that tell of it stay."""
    await desk.enqueue("echo")
    before = await records.left()
    away = settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")})
    async with opened_deletion(away) as deletion:
        with pytest.raises(RedisUnavailableError):
            await deletion.delete(desk.project)
    assert await records.left() == before


async def test_repeats_go_with_what_they_repeat_in_any_order(
    records: Records, deletion: Deletion, database: DatabaseUrls
) -> None:
    """Chains over several batches, and a circle that only wrong hands can make, end as well."""
    [first] = await records.ended(3 * DAY, status="failed")
    [second] = await records.ended(2 * DAY, status="failed", retry_of=first)
    await records.ended(DAY, status="completed", retry_of=second)
    await database.ask("UPDATE agent_executions SET retry_of = $2 WHERE id = $1", first, second)

    await deletion.delete(records.project)

    assert await records.left() == {}
