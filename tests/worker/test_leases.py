"""Leases: renewed while an agent runs, and the fence that a late write runs into."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from models.states import State
from tests.support.databases import DatabaseUrls
from tests.support.desk import Desk
from tests.support.waiting import until
from tests.support.workers import running_worker
from worker.settings import Settings

SLOW_HEARTBEAT = {"lease": 600, "heartbeat": 250}


@asynccontextmanager
async def locked(database: DatabaseUrls, table: str) -> AsyncIterator[None]:
    """Let nobody else touch a table."""
    async with database.oracle() as connection, connection.transaction():
        await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


async def lease(desk: Desk, execution: UUID) -> object:
    """Return until when an execution is held."""
    return (await desk.row(execution))["lease_expires_at"]


async def take_over(desk: Desk, execution: UUID) -> None:
    """Give the execution to another worker, as after a rescue."""
    await desk.database.ask(
        "UPDATE agent_executions SET attempt = attempt + 1, worker = 'another', "
        "lease_expires_at = now() + interval '1 hour' WHERE id = $1",
        execution,
    )


async def renewed(desk: Desk, execution: UUID, times: int = 2) -> None:
    """Wait until a lease was renewed some times."""
    for _ in range(times):
        before = await lease(desk, execution)

        async def later(than: object = before) -> bool:
            return await lease(desk, execution) != than

        await until(later)


async def test_the_lease_is_renewed_for_as_long_as_the_agent_runs(
    settings: Settings, desk: Desk
) -> None:
    """One attempt may take much longer than the lease."""
    short = settings.model_copy(update={"lease": 1.5, "heartbeat": 0.1, "sweep": 0.1})
    async with running_worker(short) as service:
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        await renewed(desk, execution, times=20)
        desk.open_gate()
        report = await desk.final(execution)
        assert service._sweep._telemetry.rescued.total() == 0
    assert (report.status, report.attempt) == (State.COMPLETED, 1)


async def test_the_heartbeat_waits_for_nothing_that_only_shows_presence(
    settings: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """While the table `workers` is locked, leases are renewed all the same."""
    async with running_worker(settings):
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        async with locked(database, "workers"):
            await renewed(desk, execution, times=4)
        desk.open_gate()
        report = await desk.final(execution)
    assert (report.status, report.attempt) == (State.COMPLETED, 1)


async def test_a_lost_lease_stops_the_agent_at_once_and_nothing_is_written(
    settings: Settings, desk: Desk
) -> None:
    """The next heartbeat tells; the successor's attempt stands untouched."""
    async with running_worker(settings) as service:
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        await take_over(desk, execution)
        await until(lambda: service._executor.running == 0)
        row = await desk.row(execution)
        assert (row["status"], row["attempt"], row["worker"]) == ("running", 2, "another")
        assert (await desk.report(execution)).versions == []
        assert (await desk.run("echo")).status == State.COMPLETED


@pytest.mark.parametrize("agent", ["gated", "late_failure", "late_snooze", "late_cancel"])
async def test_a_late_write_is_refused_and_put_on_record(
    agent: str, settings: Settings, desk: Desk
) -> None:
    """Whatever the outcome, one that comes after the lease was lost changes nothing."""
    async with running_worker(settings.model_copy(update=SLOW_HEARTBEAT)) as service:
        execution = await desk.enqueue(agent, desk.gate())
        await desk.begun()
        await take_over(desk, execution)
        desk.open_gate()
        await until(lambda: service._executor.running == 0)
    report = await desk.report(execution)
    assert (report.status, report.attempt, report.worker) == (State.RUNNING, 2, "another")
    assert (report.versions, report.failures, report.output) == ([], 0, None)
    [refused] = [event for event in report.events if event.event == "write_rejected"]
    assert refused.attempt == 1
    assert refused.detail["current_attempt"] == 2
    assert refused.detail["current_worker"] == "another"


@pytest.mark.parametrize("how", ["heartbeat", "late write"])
async def test_the_message_of_a_lost_attempt_goes_back_into_the_queue(
    how: str, settings: Settings, desk: Desk
) -> None:
    """Whoever has the execution now is to end it; its producer would wait for ever otherwise."""
    times = {} if how == "heartbeat" else SLOW_HEARTBEAT
    async with running_worker(settings.model_copy(update=times)) as service:
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        await take_over(desk, execution)
        if how == "late write":
            desk.open_gate()
        await until(lambda: not service._queue.under_way)
        assert service._queue.jobs_retried == 1


async def test_an_abandoned_execution_is_taken_up_when_its_lease_has_run_out(
    settings: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """A sweep makes it claimable, counts the lost worker as a failure, and it runs again."""
    execution = await desk.enqueue("echo", {"value": 1})
    await database.ask(
        "UPDATE agent_executions SET status = 'running', attempt = 1, worker = 'dead', "
        "max_attempts = 3, lease_expires_at = now() - interval '1 second' WHERE id = $1",
        execution,
    )
    async with running_worker(settings) as service:
        report = await desk.final(execution)
        assert service._sweep._telemetry.rescued.total() == 1
    assert (report.status, report.attempt, report.failures) == (State.COMPLETED, 2, 1)


async def test_what_takes_its_workers_down_ends_failed(
    settings: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """A poison execution does not circulate: lost workers are counted up to `max_attempts`."""
    execution = await desk.enqueue("echo", {"value": 1})
    await database.ask(
        "UPDATE agent_executions SET status = 'running', attempt = 3, failures = 2, "
        "max_attempts = 3, worker = 'dead', lease_expires_at = now() - interval '1 second' "
        "WHERE id = $1",
        execution,
    )
    async with running_worker(settings):
        report = await desk.final(execution)
    assert (report.status, report.error_code) == (State.FAILED, "worker_lost")


async def test_a_claim_that_was_under_way_when_the_worker_stopped_is_seen_through(
    settings: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """No execution is left `running` with nobody to run it: it completes, or is given back."""
    by_sweep = settings.model_copy(update={"queue_name": "arq:another"})
    async with running_worker(by_sweep) as service:
        claim, answered = service._claimer._ledger.claim, asyncio.Event()
        held, drain = asyncio.Event(), service._executor.drain
        too_early = []

        async def slow_claim(*arguments: object, **options: object) -> object:
            claims = await claim(*arguments, **options)  # type: ignore[arg-type]
            held.set()
            await answered.wait()
            return claims

        async def drain_when_answered(grace: float) -> None:
            too_early.append(not answered.is_set())
            await drain(grace)

        service._claimer._ledger.claim = slow_claim  # type: ignore[method-assign, assignment]
        service._executor.drain = drain_when_answered  # type: ignore[method-assign]
        execution = await desk.enqueue("echo", {"value": 1})
        await held.wait()
        service.stop()
        await until(lambda: service._claimer.is_quiet)
        await asyncio.sleep(0)  # the sweep that asked for the claim is stopped now
        answered.set()
    assert too_early
    assert not any(too_early)
    [row] = await database.ask("SELECT status, failures FROM agent_executions")
    assert (row["status"], row["failures"]) == ("completed", 0)
    assert await desk.events(execution) == ["enqueued", "claimed", "completed"]
