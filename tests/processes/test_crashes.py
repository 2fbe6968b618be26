"""Workers that die or freeze: their work is taken up once, and they cannot write over it."""

import signal

from models.states import State
from tests.processes.conftest import StartWorker
from tests.support.desk import Desk
from tests.support.waiting import until
from worker.reports import ExecutionReport


async def written_by(desk: Desk, report: ExecutionReport, pid: int) -> None:
    """Check that there is one version, of the winning attempt."""
    [row] = await desk.database.ask("SELECT version, attempt, content FROM document_versions")
    assert (row["version"], row["attempt"]) == (1, report.attempt)
    assert row["content"] == f"# Written by attempt {report.attempt} in {pid}\n"


async def test_a_killed_workers_execution_is_taken_up_by_another(
    start_worker: StartWorker, desk: Desk
) -> None:
    """After the lease, not before; one version, written by the attempt that won."""
    async with start_worker() as first:
        execution = await desk.enqueue("gated", desk.gate())
        assert await desk.begun() == first.pid
        async with start_worker() as second:
            first.send(signal.SIGKILL)
            assert await first.ended() == -signal.SIGKILL
            assert await desk.begun(attempt=2) == second.pid
            desk.open_gate()
            report = await desk.final(execution)
    assert (report.status, report.attempt, report.failures) == (State.COMPLETED, 2, 1)
    assert [e.event for e in report.events if e.event != "progress"] == [
        "enqueued",
        "claimed",
        "rescued",
        "claimed",
        "completed",
    ]
    await written_by(desk, report, second.pid)


async def test_a_paused_worker_cannot_write_over_its_successor(
    start_worker: StartWorker, desk: Desk
) -> None:
    """It wakes up with an answer nobody waits for; it is refused, and the worker goes on."""
    async with start_worker() as first:
        execution = await desk.enqueue("gated", desk.gate())
        assert await desk.begun() == first.pid
        first.send(signal.SIGSTOP)
        async with start_worker() as second:
            assert await desk.begun(attempt=2) == second.pid
            desk.open_gate()
            report = await desk.final(execution)
            second.send(signal.SIGTERM)
            assert await second.ended() == 0
        first.send(signal.SIGCONT)
        await until(lambda: '"attempt_lost"' in first.log or '"accepted": false' in first.log)
        again = await desk.report(execution)
        assert (await desk.run("echo", {"value": 1})).status == State.COMPLETED
    assert (report.status, report.attempt) == (State.COMPLETED, 2)
    assert (again.status, again.attempt, again.output) == ("completed", 2, report.output)
    await written_by(desk, report, second.pid)


async def test_an_agent_that_takes_its_worker_down_does_not_circulate(
    start_worker: StartWorker, desk: Desk
) -> None:
    """Every lost worker counts; after the last attempt it is `failed` as `worker_lost`."""
    execution = await desk.enqueue("fatal", max_attempts=2)
    for _ in range(2):
        async with start_worker() as worker:
            assert await worker.ended() == -signal.SIGKILL
    async with start_worker():
        report = await desk.final(execution)
        assert (await desk.run("echo")).status == State.COMPLETED
    assert (report.status, report.error_code) == (State.FAILED, "worker_lost")
    assert (report.attempt, report.failures) == (2, 2)
