"""A worker under a stable name: what its former life held is given back at once, if it is over."""

import json
import signal
from datetime import timedelta

import pytest

from models.states import State
from tests.processes.conftest import StartWorker
from tests.support.desk import Desk
from tests.support.waiting import until
from tests.support.workers import WorkerProcess

LONG_BEFORE_THE_LEASE = timedelta(seconds=10)


async def is_held_by(desk: Desk, worker: WorkerProcess) -> bool:
    """Whether the one running execution is still in its first attempt, by that worker."""
    rows = await desk.database.ask(
        "SELECT attempt, worker FROM agent_executions WHERE status = 'running'"
    )
    return [(row["attempt"], row["worker"].split(":")[1]) for row in rows] == [(1, str(worker.pid))]


async def test_a_killed_worker_that_comes_back_has_its_work_running_at_once(
    start_worker: StartWorker, desk: Desk
) -> None:
    """Far before the lease is over, and counted as a failure, since work may kill its workers."""
    async with start_worker(stable_name=True) as first:
        execution = await desk.enqueue("gated", desk.gate())
        assert await desk.begun() == first.pid
        first.send(signal.SIGKILL)
        await first.ended()
        async with start_worker(stable_name=True) as second:
            assert await desk.begun(attempt=2) == second.pid
            [here] = await desk.database.ask(
                "SELECT started_at FROM workers WHERE split_part(id, ':', 2) = $1", str(second.pid)
            )
            desk.open_gate()
            report = await desk.final(execution)

    assert (report.status, report.attempt, report.failures) == (State.COMPLETED, 2, 1)
    events = [event for event in report.events if event.event != "progress"]
    assert [e.event for e in events] == ["enqueued", "claimed", "rescued", "claimed", "completed"]
    assert events[3].at - here["started_at"] < LONG_BEFORE_THE_LEASE
    [rescued] = await desk.database.ask(
        "SELECT detail FROM execution_events WHERE event = 'rescued'"
    )
    assert json.loads(rescued["detail"])["reason"] == "its worker has ended"


@pytest.mark.parametrize(("former", "later"), [(False, False), (False, True), (True, False)])
async def test_without_a_stable_name_on_both_sides_nothing_is_taken_early(
    former: bool, later: bool, start_worker: StartWorker, desk: Desk
) -> None:
    """A life without a lock cannot be shown to be over, however its name reads."""
    async with start_worker(stable_name=former) as first:
        await desk.enqueue("gated", desk.gate())
        await desk.begun()
        first.send(signal.SIGKILL)
        await first.ended()
        async with start_worker(stable_name=later):
            assert (await desk.run("echo")).status == State.COMPLETED
            assert await is_held_by(desk, first)


async def test_two_living_workers_of_one_name_do_not_rob_each_other(
    start_worker: StartWorker, desk: Desk
) -> None:
    """The second sees that the first goes on, and leaves it alone."""
    async with start_worker(stable_name=True) as first:
        execution = await desk.enqueue("gated", desk.gate())
        assert await desk.begun() == first.pid
        async with start_worker(stable_name=True) as second:
            assert '"former_life_goes_on"' in second.log
            assert await is_held_by(desk, first)
            second.send(signal.SIGTERM)
            assert await second.ended() == 0
        desk.open_gate()
        report = await desk.final(execution)
    assert (report.status, report.attempt, report.failures) == (State.COMPLETED, 1, 0)


async def test_a_frozen_life_is_not_robbed_before_its_lease_is_over(
    start_worker: StartWorker, desk: Desk
) -> None:
    """Its lock is still held, so that it may wake up any moment; the lease decides, as always."""
    async with start_worker(stable_name=True, lease=2) as first:
        execution = await desk.enqueue("gated", desk.gate())
        assert await desk.begun() == first.pid
        first.send(signal.SIGSTOP)
        async with start_worker(stable_name=True, lease=2) as second:
            assert await desk.begun(attempt=2) == second.pid
            desk.open_gate()
            report = await desk.final(execution)
        first.send(signal.SIGCONT)
    [rescued] = await desk.database.ask(
        "SELECT detail FROM execution_events WHERE event = 'rescued'"
    )
    assert json.loads(rescued["detail"])["reason"] == "its lease ran out"
    assert (report.status, report.attempt) == (State.COMPLETED, 2)


async def test_a_life_that_lost_its_lock_takes_it_again(
    start_worker: StartWorker, desk: Desk
) -> None:
    """The connection broke, the worker lives: whoever comes under its name finds it so."""
    async with start_worker(stable_name=True) as first:
        execution = await desk.enqueue("gated", desk.gate())
        assert await desk.begun() == first.pid
        [cut] = await desk.database.ask(
            "SELECT pg_terminate_backend(pid) AS done FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name LIKE 'copydesk life %'"
        )
        assert cut["done"]
        await until(lambda: '"life_lock_taken_again"' in first.log)
        async with start_worker(stable_name=True) as second:
            assert '"former_life_goes_on"' in second.log
            assert await is_held_by(desk, first)
            desk.open_gate()
            report = await desk.final(execution)
    assert (report.status, report.attempt, report.failures) == (State.COMPLETED, 1, 0)


async def test_an_agent_that_kills_a_named_worker_each_time_does_not_circulate(
    start_worker: StartWorker, desk: Desk
) -> None:
    """Each life that it ends counts, and the last one ends it, without waiting for a lease."""
    execution = await desk.enqueue("fatal", max_attempts=2)
    for _ in range(2):
        async with start_worker(stable_name=True) as worker:
            assert await worker.ended() == -signal.SIGKILL
    async with start_worker(stable_name=True):
        report = await desk.final(execution)
    assert (report.status, report.error_code) == (State.FAILED, "worker_lost")
    assert (report.attempt, report.failures) == (2, 2)
