"""Agents in processes of their own: the same contract, and a death that is theirs alone."""

import os
import signal
from pathlib import Path
from uuid import UUID

import pytest

from models.states import State
from tests.support import misdeeds
from tests.support.databases import DatabaseUrls
from tests.support.desk import AGENTS, Desk
from tests.support.waiting import until
from tests.support.workers import running_worker, worker_process
from worker import isolation
from worker.agents.contract import Agent, agent
from worker.settings import Settings

OWN = [*AGENTS, "tests.support.isolated_agents"]
SLOW_HEARTBEAT = {"lease": 600, "heartbeat": 250}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings that name the isolated agents as well."""
    return settings.model_copy(update={"agents": OWN})


def gone(pid: int) -> bool:
    """Whether a process is no more, or only waits for its parent to notice."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZX"


async def died(desk: Desk, settings: Settings, kind: str) -> str:
    """Run the agent that dies in a given way; return the message its execution ends with."""
    async with running_worker(settings):
        report = await desk.run("own_death", {"kind": kind})
        assert (await desk.run("echo")).status == State.COMPLETED
    assert (report.status, report.error_code) == (State.FAILED, "agent_process_died")
    return report.error_message or ""


async def test_it_reads_reports_logs_and_files_like_any_agent(
    settings: Settings, desk: Desk, project: UUID
) -> None:
    """Everything of the contract goes over the wire, big integers and bytes unchanged."""
    async with running_worker(settings):
        await desk.run("import_document", {"document_type": "plan", "content": "# Plan ä 語\n"})
        report = await desk.run("own_reader", {"document_type": "plan"})
        row = await desk.row(report.execution_id)
    assert report.status == State.COMPLETED, report.error_message
    output = report.output or {}
    assert output["pid"] != os.getpid()
    assert {name: output[name] for name in ("project", "attempt", "types", "settings")} == {
        "project": str(project),
        "attempt": 1,
        "types": ["plan"],
        "settings": [],
    }
    [copy] = await desk.database.ask(
        "SELECT content, metadata::text AS metadata, execution_id FROM document_versions "
        "WHERE document_type = 'copy'"
    )
    assert (copy["content"], copy["execution_id"]) == ("# Plan ä 語\n", row["id"])
    assert str(2**70) in copy["metadata"]
    [export] = await desk.database.ask("SELECT file_path FROM exports")
    assert settings.exports_directory is not None
    assert (settings.exports_directory / export["file_path"]).read_bytes() == b"\x00\xff"


async def test_what_it_logs_and_prints_stands_in_the_workers_log(
    settings: Settings, desk: Desk, tmp_path: Path
) -> None:
    """With the attempt's ids, one line each, and without secrets."""
    async with worker_process(settings, tmp_path / "worker.log") as worker:
        await desk.run("import_document", {"document_type": "plan", "content": "# Plan\n"})
        report = await desk.run("own_reader", {"document_type": "plan"})
        for part in ("own_line", "from a library", "said aloud", "complained"):
            await until(lambda part=part: part in worker.log, what=part)
        lines = [line for line in worker.log.splitlines() if "own_reader" in line]
    for part in ("own_line", "from a library\\\\nforged", "said aloud", "complained"):
        [line] = [line for line in lines if part in line]
        assert str(report.execution_id) in line
    assert misdeeds.PASSWORD not in "".join(lines)


async def test_reads_from_a_thread_and_of_a_missing_document_are_as_ever(
    settings: Settings, desk: Desk
) -> None:
    """A `def` blocks its own thread; `document_not_found` is final."""
    async with running_worker(settings):
        missing = await desk.run("own_thread_reader", {"document_type": "plan"})
        await desk.run("import_document", {"document_type": "plan", "content": "# Plan\n"})
        found = await desk.run("own_thread_reader", {"document_type": "plan", "version": 1})
    assert (missing.status, missing.error_code) == (State.FAILED, "document_not_found")
    assert found.output == {"content": "# Plan\n", "all": 1}


async def test_progress_is_recorded(settings: Settings, desk: Desk) -> None:
    """Reports go through the worker's board."""
    async with running_worker(settings):
        execution = await desk.enqueue("own_gated_thread", desk.gate())
        await desk.until_event(execution, "progress")
        desk.open_gate()
        assert (await desk.final(execution)).status == State.COMPLETED


@pytest.mark.parametrize("how", ["retry", "ages", "snooze", "error"])
async def test_answers_and_errors_mean_what_they_mean_elsewhere(
    how: str, settings: Settings, desk: Desk
) -> None:
    """Retry, Snooze and AgentError, with their times."""
    async with running_worker(settings):
        execution = await desk.enqueue("own_flaky", {"failures": 1, "how": how})
        if how == "ages":
            await desk.until_event(execution, "retry_scheduled")
            assert (await desk.row(execution))["status"] == State.PENDING
            return
        report = await desk.final(execution)
    assert (report.status, report.output) == (State.COMPLETED, {"attempt": 2})
    assert report.failures == (0 if how == "snooze" else 1)


async def test_a_validator_that_exits_fails_its_attempt_and_nothing_else(
    settings: Settings, desk: Desk
) -> None:
    """An input model is the agent's code too, in whichever process it runs."""
    async with running_worker(settings):
        report = await desk.run("own_trapped", {"value": "SystemExit"})
        assert (await desk.run("echo")).status == State.COMPLETED
    assert (report.status, report.error_code) == (State.FAILED, "agent_exception")


async def test_a_process_that_is_killed_fails_its_attempt_and_nothing_else(
    settings: Settings, desk: Desk
) -> None:
    """By kill -9 from outside: told at once, and tried again."""
    async with running_worker(settings.model_copy(update=SLOW_HEARTBEAT)):
        execution = await desk.enqueue("own_gated", desk.gate())
        os.kill(await desk.begun(), signal.SIGKILL)
        second = await desk.begun(attempt=2)
        desk.open_gate()
        report = await desk.final(execution)
    assert (report.status, report.attempt, report.failures) == (State.COMPLETED, 2, 1)
    assert (report.output or {})["pid"] == second
    told = [event.detail for event in report.events if event.event == "retry_scheduled"]
    assert "agent_process_died" in str(told)


async def test_a_process_that_ends_without_an_answer_says_how(
    settings: Settings, desk: Desk
) -> None:
    """An exit code, or the name of the signal."""
    message = await died(desk, settings, "exit")
    assert message == (
        "the agent's process ended with exit code 7, before it had answered; "
        "its memory limit is 536870912 bytes"
    )


@pytest.mark.parametrize("kind", ["SIGKILL", "SIGSEGV"])
async def test_a_signal_that_ended_it_is_named(kind: str, settings: Settings, desk: Desk) -> None:
    """A crash in native code takes the process down, not the worker."""
    message = await died(desk, settings, kind)
    assert f"ended by {kind}" in message
    assert ("memory runs out" in message) == (kind == "SIGKILL")


async def test_a_process_that_writes_noise_to_its_worker_is_killed(
    settings: Settings, desk: Desk
) -> None:
    """What is no message ends the conversation; nothing of it is believed."""
    assert "no message" in await died(desk, settings, "noise")


async def test_a_memory_bomb_goes_off_alone(settings: Settings, desk: Desk) -> None:
    """Each time, until its attempts are used up; the worker's own memory is untouched."""
    async with running_worker(settings):
        report = await desk.run("own_bomb")
        assert (await desk.run("echo")).status == State.COMPLETED
    assert (report.status, report.failures) == (State.FAILED, 2)
    assert "MemoryError" in (report.error_message or "") or (
        report.error_code == "agent_process_died"
    )


@pytest.mark.parametrize("name", ["own_gated", "own_gated_thread"])
async def test_a_cancellation_is_heeded_in_the_process(
    name: str, settings: Settings, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked first; one that heeds it needs no kill."""
    monkeypatch.setattr(isolation, "_HEED_WITHIN", 60)
    async with running_worker(settings.model_copy(update=SLOW_HEARTBEAT)):
        execution = await desk.enqueue(name, desk.gate())
        pid = await desk.begun()
        await desk.client.cancel(desk.project, execution)
        report = await desk.final(execution)
        assert gone(pid)
    assert (report.status, report.versions) == (State.CANCELLED, [])


async def test_work_that_was_done_before_the_stop_was_noticed_is_kept(
    settings: Settings, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that finishes while it is being stopped has finished."""
    monkeypatch.setattr(isolation, "_HEED_WITHIN", 4)
    async with running_worker(settings.model_copy(update=SLOW_HEARTBEAT)):
        execution = await desk.enqueue("own_stubborn", desk.gate())
        await desk.begun()
        await desk.client.cancel(desk.project, execution)
        await until((desk.directory / "asked_to_stop").exists, what="the agent is asked to stop")
        desk.open_gate()
        report = await desk.final(execution)
    assert report.status == State.COMPLETED


async def test_a_stop_that_comes_after_the_answer_takes_nothing_back(
    settings: Settings, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is over, and the worker only waits for the rest of its output."""
    monkeypatch.setattr(isolation, "_LAST_WORD_WITHIN", 60)
    async with running_worker(settings.model_copy(update=SLOW_HEARTBEAT)):
        execution = await desk.enqueue("own_survived", desk.gate())
        pid = await desk.begun()
        try:
            await until(lambda: gone(pid), what="the agent's process is over")
            assert (await desk.row(execution))["status"] == State.RUNNING
            await desk.client.cancel(desk.project, execution)
            report = await desk.final(execution)
        finally:
            os.kill(int((tmp_path / "grandchild").read_text()), signal.SIGKILL)
    assert (report.status, report.output) == (State.COMPLETED, {"done": True})


async def test_one_that_never_returns_is_killed_with_all_it_has_started(
    settings: Settings, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocked, and deaf to SIGTERM: the slot is free again, and nothing of it is left."""
    monkeypatch.setattr(isolation, "_HEED_WITHIN", 0.2)
    async with running_worker(settings.model_copy(update={"concurrency": 1})) as service:
        execution = await desk.enqueue("own_endless", desk.gate())
        pid = await desk.begun()
        grandchild = int((tmp_path / "grandchild").read_text())
        await desk.client.cancel(desk.project, execution)
        assert (await desk.final(execution)).status == State.CANCELLED
        assert gone(pid)
        await until(lambda: gone(grandchild))
        assert service._executor.leaked == 0
        assert (await desk.run("echo")).status == State.COMPLETED


async def test_one_that_takes_too_long_is_killed(
    settings: Settings, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time limit ends the process, whatever it is doing."""
    monkeypatch.setattr(isolation, "_HEED_WITHIN", 0.2)
    async with running_worker(settings):
        execution = await desk.enqueue("own_hasty", desk.gate())
        pid = await desk.begun()
        report = await desk.final(execution)
        assert gone(pid)
    assert (report.status, report.error_code) == (State.FAILED, "timeout")


async def test_a_lost_lease_ends_the_process(
    settings: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """What another worker may have by now is not gone on with."""
    async with running_worker(settings):
        execution = await desk.enqueue("own_gated", desk.gate())
        pid = await desk.begun()
        await database.ask(
            "UPDATE agent_executions SET attempt = attempt + 1 WHERE id = $1", execution
        )
        await until(lambda: gone(pid))


async def test_what_it_leaves_running_does_not_outlive_its_answer(
    settings: Settings, desk: Desk
) -> None:
    """A task and a thread that never end go with the process, and delay nothing."""
    async with running_worker(settings):
        execution = await desk.enqueue("own_littering", desk.gate())
        pid = await desk.begun()
        assert (await desk.final(execution)).status == State.COMPLETED
        assert gone(pid)


@pytest.mark.parametrize("name", ["own_gated", "own_endless"])
async def test_a_killed_worker_leaves_no_process_behind(
    name: str, settings: Settings, desk: Desk, tmp_path: Path
) -> None:
    """Not even one that is blocked and deaf."""
    async with worker_process(settings, tmp_path / "worker.log") as worker:
        await desk.enqueue(name, desk.gate())
        pid = await desk.begun(within=30)
        assert not gone(pid)
        worker.send(signal.SIGKILL)
        await worker.ended()
        await until(lambda: gone(pid))
    if name == "own_endless":  # what an agent starts by itself is beyond a dead worker's reach
        os.kill(int((tmp_path / "grandchild").read_text()), signal.SIGKILL)


async def test_ctrl_c_at_the_worker_drains_its_processes(
    settings: Settings, desk: Desk, tmp_path: Path
) -> None:
    """A terminal's signals reach the worker alone: what runs may end within the grace."""
    async with worker_process(settings, tmp_path / "worker.log") as worker:
        execution = await desk.enqueue("own_gated", desk.gate())
        assert os.getsid(await desk.begun(within=30)) != os.getsid(worker.pid)
        worker.send(signal.SIGINT)
        await until(lambda: '"worker_draining"' in worker.log)
        desk.open_gate()
        assert await worker.ended() == 0
        assert (await desk.report(execution)).status == State.COMPLETED


def test_a_memory_limit_needs_a_process_of_its_own() -> None:
    """A thread cannot be limited; and Python itself needs most of the least."""
    with pytest.raises(ValueError, match='memory_limit needs isolation="process"'):
        agent("wrong", memory_limit=1 << 30)
    with pytest.raises(ValueError, match="memory_limit"):
        agent("wrong", isolation="process", memory_limit=1 << 20)
    assert Agent.__dataclass_fields__["isolation"].default is None
