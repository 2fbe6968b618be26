"""Stopping a worker process: quiet, drain within the grace, give back the rest, end with 0."""

import signal

import pytest

from models.states import State
from tests.processes.conftest import StartWorker
from tests.support.desk import Desk
from tests.support.waiting import until
from tests.support.workers import WorkerProcess


async def draining(worker: WorkerProcess) -> None:
    """Wait until a worker drains."""
    await until(lambda: '"worker_draining"' in worker.log)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_runs_may_end_within_the_grace(
    number: signal.Signals, start_worker: StartWorker, desk: Desk
) -> None:
    """Nothing new is claimed, the lease is renewed to the end, and the process ends with 0."""
    async with start_worker(drain_grace=60) as worker:
        execution = await desk.enqueue("gated", desk.gate())
        assert await desk.begun() == worker.pid
        worker.send(number)
        await draining(worker)
        later = await desk.enqueue("echo")
        lease = (await desk.row(execution))["lease_expires_at"]

        async def renewed() -> bool:
            return bool((await desk.row(execution))["lease_expires_at"] > lease)

        await until(renewed)
        desk.open_gate()
        assert await worker.ended() == 0
    report = await desk.report(execution)
    assert (report.status, report.attempt) == (State.COMPLETED, 1)
    assert (await desk.report(later)).status == State.PENDING
    assert await desk.database.ask("SELECT FROM workers") == [], "presence is taken back"
    assert "Traceback" not in worker.log


async def test_what_does_not_end_within_the_grace_is_given_back(
    start_worker: StartWorker, desk: Desk
) -> None:
    """Pending again at once and no failure counted, so that the next worker goes on."""
    async with start_worker(drain_grace=0.2) as worker:
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        worker.send(signal.SIGTERM)
        assert await worker.ended() == 0
    report = await desk.report(execution)
    assert (report.status, report.attempt, report.failures) == (State.PENDING, 1, 0)
    assert report.events[-1].event == "released"
    async with start_worker():
        await desk.begun(attempt=2)
        desk.open_gate()
        report = await desk.final(execution)
    assert (report.status, report.attempt, report.failures) == (State.COMPLETED, 2, 0)


async def test_a_second_signal_hurries(start_worker: StartWorker, desk: Desk) -> None:
    """Whoever stops it twice does not want to wait out the grace."""
    async with start_worker(drain_grace=600) as worker:
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        worker.send(signal.SIGTERM)
        await draining(worker)
        worker.send(signal.SIGINT)
        assert await worker.ended() == 0
    assert (await desk.events(execution))[-1] == "released"


@pytest.mark.parametrize("agent", ["stubborn_thread", "aside"])
async def test_a_thread_that_never_ends_does_not_keep_the_process(
    agent: str, start_worker: StartWorker, desk: Desk
) -> None:
    """Its execution is given back, and the process ends with 0 all the same."""
    async with start_worker(drain_grace=0.1) as worker:
        execution = await desk.enqueue(agent, desk.gate())
        await desk.begun()
        worker.send(signal.SIGTERM)
        assert await worker.ended() == 0
    assert (await desk.report(execution)).status == State.PENDING
    assert (await desk.events(execution))[-1] == "released"


async def test_an_idle_worker_ends_at_once(start_worker: StartWorker) -> None:
    """There is nothing to wait for."""
    async with start_worker(drain_grace=600) as worker:
        worker.send(signal.SIGTERM)
        assert await worker.ended(within=5) == 0


@pytest.mark.parametrize("agent", ["hasty_stubborn", "hasty_thread_stubborn"])
async def test_a_worker_full_of_agents_that_never_end_gives_up_and_ends(
    agent: str, start_worker: StartWorker, desk: Desk
) -> None:
    """As many as it has slots: what else it runs may end, and then it ends with 1."""
    async with start_worker(concurrency=2, drain_grace=20) as worker:
        await desk.run(agent, desk.gate("first"))
        assert (await desk.run("echo")).status == State.COMPLETED, "one slot's worth is no end"
        running = await desk.enqueue("gated", desk.gate("other"))
        await desk.begun("other")
        await desk.run(agent, desk.gate("second"))
        await draining(worker)
        desk.open_gate("other")
        assert await worker.ended() == 1
    assert (await desk.report(running)).status == State.COMPLETED
    assert '"agents_leaked"' in worker.log
    assert "Traceback" not in worker.log
