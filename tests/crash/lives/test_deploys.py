"""Deploys: one worker goes, another comes, and no job waits for a lease or a slow sweep."""

import asyncio
import signal
from datetime import datetime, timedelta
from uuid import UUID

from models.states import Event, State
from tests.processes.conftest import StartWorker
from tests.support.desk import Desk

# What is met is milliseconds; what is missed would be the sweep (100 s) or the lease (300 s).
SOON = timedelta(seconds=5)


async def started_soon(desk: Desk, executions: list[UUID], since: datetime | None = None) -> None:
    """Check that each began soon after it was recorded, or after `since` where that is later."""
    for report in await desk.finals(executions):
        assert (report.status, report.attempt) == (State.COMPLETED, 1)
        moments = {event.event: event.at for event in report.events}
        recorded = max(moments[Event.ENQUEUED], since or moments[Event.ENQUEUED])
        assert moments[Event.CLAIMED] - recorded < SOON


async def test_jobs_of_a_deploy_with_both_workers_there_start_at_once(
    start_worker: StartWorker, desk: Desk
) -> None:
    """Hints that the old worker had taken and not used are the new one's, at once."""
    async with start_worker(sweep=100) as old, start_worker(sweep=100):
        executions = []
        for number in range(60):
            executions.append(await desk.enqueue("echo"))
            if number == 20:
                old.send(signal.SIGTERM)
        assert await old.ended() == 0
        await started_soon(desk, executions)


async def test_jobs_of_a_deploy_start_as_soon_as_the_new_worker_is_there(
    start_worker: StartWorker, desk: Desk
) -> None:
    """Between the old worker's end and the new one's start they wait for the start alone."""
    async with start_worker(sweep=100) as old:
        executions = [await desk.enqueue("echo") for _ in range(20)]
        old.send(signal.SIGTERM)
        ending = asyncio.ensure_future(old.ended())
        async with start_worker(sweep=100) as new:
            executions += [await desk.enqueue("echo") for _ in range(20)]
            assert await ending == 0
            [here] = await desk.database.ask(
                "SELECT started_at FROM workers WHERE split_part(id, ':', 2) = $1", str(new.pid)
            )
            await started_soon(desk, executions, here["started_at"])


async def test_what_a_full_worker_gives_back_is_run_by_the_next_at_once(
    start_worker: StartWorker, desk: Desk
) -> None:
    """Released work and messages that waited behind it go on in the new worker within moments."""
    async with start_worker(sweep=100, concurrency=2, drain_grace=0.1) as old:
        held = [await desk.enqueue("gated", desk.gate(str(n))) for n in range(2)]
        for n in range(2):
            assert await desk.begun(str(n)) == old.pid
        waiting = [await desk.enqueue("echo") for _ in range(10)]
        async with start_worker(sweep=100) as new:
            old.send(signal.SIGTERM)
            assert await old.ended() == 0
            for n in range(2):
                assert await desk.begun(str(n), attempt=2) == new.pid
                desk.open_gate(str(n))
            reports = await desk.finals([*held, *waiting])
    assert [report.attempt for report in reports] == [2, 2, *[1] * 10]
    for report in reports[:2]:
        moments = {(event.event, event.attempt): event.at for event in report.events}
        assert moments[Event.CLAIMED, 2] - moments[Event.RELEASED, 1] < SOON
