"""Processes that die at a bad moment: work is neither lost nor done twice, and goes on."""

import signal
import socket
import sys
from pathlib import Path
from time import monotonic
from uuid import UUID

import pytest

from models.states import State
from tests.crash.conftest import StartWorker
from tests.support.desk import AGENTS, Desk
from tests.support.invariants import check
from tests.support.waiting import until
from tests.support.workers import worker_process
from worker.settings import Settings

CALLER = str(Path(__file__).with_name("caller.py"))
LIMITED = (
    "import os, resource, sys; resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30,) * 2); "
    "os.execv(sys.executable, [sys.executable, '-m', 'worker', 'worker'])"
)
MARGIN = 2.0


def bound(settings: Settings) -> float:
    """Return within how many seconds abandoned work is taken up again: lease and two sweeps."""
    return settings.lease + 2 * 1.25 * settings.sweep + MARGIN


async def test_a_worker_that_dies_before_its_claim_commits_loses_nothing(
    start_worker: StartWorker, desk: Desk, settings: Settings
) -> None:
    """F01: whether or not the server still commits the dead worker's claim, the work is done."""
    async with desk.database.oracle() as judge, start_worker() as first:
        lock = judge.transaction()
        await lock.start()
        await judge.execute("LOCK TABLE execution_events IN SHARE ROW EXCLUSIVE MODE")
        # The row is committed by the superuser's own hands: an enqueue would wait for the lock.
        [row] = await desk.database.ask(
            "INSERT INTO agent_executions (project_id, agent_type, correlation_id, input_data, "
            "requested_by) VALUES ($1, 'echo', uuidv7(), '{\"document_type\": \"notes\"}', $2) "
            "RETURNING id",
            desk.project,
            desk.user,
        )

        async def waiting() -> bool:
            found = await desk.database.ask(
                "SELECT FROM pg_stat_activity WHERE datname = current_database() "
                "AND wait_event_type = 'Lock' AND query LIKE '%claim_executions%'"
            )
            return bool(found)

        await until(waiting)
        first.send(signal.SIGKILL)
        assert await first.ended() == -signal.SIGKILL
        await lock.commit()
        began = monotonic()
        async with start_worker():
            report = await desk.final(row["id"])
            assert monotonic() - began < bound(settings) + MARGIN
            probe = await desk.run("echo", {"value": 1})
    assert (report.status, probe.status) == (State.COMPLETED, State.COMPLETED)
    assert report.attempt in {1, 2}
    assert [version.attempt for version in report.versions] == [report.attempt]


async def test_a_caller_that_dies_between_commit_and_hint_has_been_accepted(
    start_worker: StartWorker, desk: Desk, settings: Settings, tmp_path: Path
) -> None:
    """F04: it was told so, its hint never went out; the row is what counts, a sweep finds it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        call = {
            "COPYDESK_REDIS_URL": f"redis://:none@127.0.0.1:{silent.getsockname()[1]}/0",
            "CALL_PROJECT": str(desk.project),
            "CALL_USER": str(desk.user),
        }
        command = (sys.executable, CALLER)
        async with worker_process(settings, tmp_path / "caller", *command, **call) as caller:
            await until(lambda: caller.log)
            told = UUID(caller.log.strip())
            caller.send(signal.SIGKILL)
            assert await caller.ended() == -signal.SIGKILL
    async with start_worker():
        report = await desk.final(told)
        assert (await desk.run("echo")).status == State.COMPLETED
    assert (report.status, report.attempt) == (State.COMPLETED, 1)
    await check(desk.database)


async def test_six_deploys_during_one_long_job_do_not_fail_it(
    start_worker: StartWorker, desk: Desk
) -> None:
    """F08: each gives it back, none counts as a failure, and the seventh worker completes it."""
    execution = await desk.enqueue("gated", desk.gate(), max_attempts=1)
    for deploy in range(1, 7):
        async with start_worker(drain_grace=0.05) as worker:
            await desk.begun(attempt=deploy)
            worker.send(signal.SIGTERM)
            assert await worker.ended() == 0
    async with start_worker():
        await desk.begun(attempt=7)
        assert (await desk.run("echo")).status == State.COMPLETED
        desk.open_gate()
        report = await desk.final(execution)
    assert (report.status, report.attempt, report.failures) == (State.COMPLETED, 7, 0)
    assert [str(event.event) for event in report.events].count("released") == 6
    await check(desk.database)


async def test_a_deploy_that_ends_in_a_kill_costs_one_lease(
    start_worker: StartWorker, desk: Desk, settings: Settings
) -> None:
    """F09: an agent that ignores its cancellation holds the drain; the kill frees its work."""
    async with start_worker(drain_grace=60) as first:
        execution = await desk.enqueue("stubborn", desk.gate())
        assert await desk.begun() == first.pid
        first.send(signal.SIGTERM)
        await until(lambda: '"worker_draining"' in first.log)
        async with start_worker() as second:
            first.send(signal.SIGKILL)
            assert await first.ended() == -signal.SIGKILL
            assert await desk.begun(attempt=2, within=bound(settings)) == second.pid
            desk.open_gate()
            report = await desk.final(execution)
            assert (await desk.run("echo")).status == State.COMPLETED
    assert (report.status, report.attempt, report.failures) == (State.COMPLETED, 2, 1)
    await check(desk.database)


async def test_an_agent_that_takes_all_memory_ends_failed_and_the_worker_goes_on(
    settings: Settings, desk: Desk, tmp_path: Path
) -> None:
    """F10: under a limit of its own the process survives, and so does everybody else's work."""
    more = {"COPYDESK_AGENTS": ",".join([*AGENTS, "tests.support.fault_agents"])}
    command = (sys.executable, "-c", LIMITED)
    async with worker_process(settings, tmp_path / "log", *command, **more) as worker:
        await until(lambda: worker.is_ready, within=30)
        report = await desk.run("greedy")
        probe = await desk.run("echo", {"value": 1})
        assert (await desk.row(probe.execution_id))["worker"].split(":")[1] == str(worker.pid)
    assert (report.status, report.error_code) == (State.FAILED, "agent_exception")
    assert (report.attempt, probe.status) == (2, State.COMPLETED)


async def test_a_task_that_goes_on_after_the_return_changes_nothing(
    start_worker: StartWorker, desk: Desk, tmp_path: Path
) -> None:
    """F15: what was returned is what is filed; the attempt is over for whoever is left of it."""
    mark = tmp_path / "mark"
    async with start_worker(agents=[*AGENTS, "tests.support.fault_agents"]):
        report = await desk.run("lingering", {"path": str(mark)})
        await until(mark.exists)
        assert (await desk.run("echo")).status == State.COMPLETED
    again = await desk.report(report.execution_id)
    assert [version.document_type for version in again.versions] == ["notes"]
    assert [event.event for event in again.events] == ["enqueued", "claimed", "completed"]
    assert mark.read_text() == "refused"
    await check(desk.database)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_many_in_flight_are_all_taken_up_again_in_time(
    number: signal.Signals, start_worker: StartWorker, desk: Desk, settings: Settings
) -> None:
    """F02: every execution of a worker that is gone runs elsewhere within lease and sweep."""
    async with start_worker(concurrency=30) as first, start_worker(concurrency=60):
        gates = [f"gate-{n}" for n in range(30)]
        executions = [await desk.enqueue("gated", desk.gate(gate)) for gate in gates]
        pids = [await desk.begun(gate) for gate in gates]
        lost = [gate for gate, pid in zip(gates, pids, strict=True) if pid == first.pid]
        assert lost
        first.send(number)
        began = monotonic()
        for gate in lost:
            await desk.begun(gate, attempt=2, within=bound(settings))
        assert monotonic() - began < bound(settings)
        for gate in gates:
            desk.open_gate(gate)
        reports = await desk.finals(executions)
        assert (await desk.run("echo")).status == State.COMPLETED
    assert {report.status for report in reports} == {State.COMPLETED}
    await check(desk.database)
