"""What becomes of attempts: retries, snoozes, time limits, and the slots they take."""

from datetime import UTC, datetime, timedelta

import pytest

from models.states import State
from tests.support.databases import DatabaseUrls
from tests.support.desk import Desk
from tests.support.waiting import until
from tests.support.workers import running_worker
from worker import attempt as attempts
from worker.ledger import Claim
from worker.service import WorkerService
from worker.settings import Settings


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up agents that do not heed a stop after a fifth of a second."""
    monkeypatch.setattr(attempts, "_GIVE_UP_AFTER", 0.2)


async def test_a_failure_that_may_pass_is_tried_again_after_the_agents_backoff(
    settings: Settings, desk: Desk
) -> None:
    """Each failure is counted and on record; the attempt that succeeds clears the error."""
    async with running_worker(settings):
        report = await desk.run("flaky", {"failures": 2})
    assert (report.status, report.attempt, report.failures) == (State.COMPLETED, 3, 2)
    assert report.output == {"attempt": 3}
    assert (report.error_code, report.error_message) == (None, None)
    assert [a.error_code for a in report.attempts] == ["provider_busy", "provider_busy", None]
    for event in report.events:
        if event.event == "retry_scheduled":
            delay = datetime.fromisoformat(event.detail["retry_at"]) - event.at
            assert delay <= timedelta(milliseconds=20), "the default would be a second"


async def test_failures_end_with_the_last_attempt(settings: Settings, desk: Desk) -> None:
    """After `max_attempts` failures it is `failed` for good, and the last error stands there."""
    async with running_worker(settings):
        by_agent = await desk.run("flaky", {"failures": 99})
        by_caller = await desk.run("flaky", {"failures": 99}, max_attempts=2)
    assert (by_agent.status, by_agent.failures) == (State.FAILED, 3)
    assert (by_caller.status, by_caller.failures) == (State.FAILED, 2)
    assert by_caller.error_code == "provider_busy"
    assert by_caller.error_message == "the provider is busy"


async def test_retry_is_a_failure_with_a_delay_of_its_own(settings: Settings, desk: Desk) -> None:
    """`Retry(after=...)` stands above the backoff, and counts."""
    async with running_worker(settings):
        report = await desk.run("flaky", {"failures": 1, "how": "retry"})
    assert (report.status, report.attempt, report.failures) == (State.COMPLETED, 2, 1)
    assert report.attempts[0].error_code == "agent_retry"


async def test_snooze_is_no_failure(settings: Settings, desk: Desk) -> None:
    """However often an agent answers `Snooze`, nothing counts against its attempts."""
    async with running_worker(settings):
        report = await desk.run("flaky", {"failures": 5, "how": "snooze"})
    assert (report.status, report.attempt, report.failures) == (State.COMPLETED, 6, 0)
    assert [a.ending for a in report.attempts] == ["snoozed"] * 5 + ["completed"]


async def test_a_refusal_for_good_is_not_tried_again(settings: Settings, desk: Desk) -> None:
    """An AgentError is final unless it says otherwise; its code and message stand in the row."""
    async with running_worker(settings):
        report = await desk.run("failing")
        pointless = await desk.run("pointless")
    assert (report.status, report.attempt) == (State.FAILED, 1)
    assert (report.error_code, report.error_message) == ("no_text", "there is no text to work on")
    assert (pointless.status, pointless.failures) == (State.CANCELLED, 0)
    assert pointless.events[-1].detail == {"reason": "the document is gone"}


async def test_a_delay_of_ages_is_kept_within_ten_years(settings: Settings, desk: Desk) -> None:
    """A moment that no timestamp can hold does not lose the outcome."""
    async with running_worker(settings):
        execution = await desk.enqueue("flaky", {"failures": 1, "how": "ages"})
        await desk.until_event(execution, "retry_scheduled")
        report = await desk.report(execution)
    assert report.status == State.PENDING
    assert report.scheduled_at < datetime.now(UTC) + timedelta(days=3661)


async def test_an_export_that_cannot_be_stored_is_tried_again(
    settings: Settings, desk: Desk
) -> None:
    """A full or forbidden disk is not the agent's fault; nothing of the attempt is filed."""
    assert settings.exports_directory is not None
    settings.exports_directory.write_text("a file where the directory should be")
    async with running_worker(settings):
        execution = await desk.enqueue("exporter", max_attempts=20)
        await desk.until_event(execution, "retry_scheduled")
        assert (await desk.report(execution)).error_code == "export_not_stored"
        settings.exports_directory.unlink()
        report = await desk.final(execution)
    assert report.status == State.COMPLETED
    [export] = report.exports
    assert (settings.exports_directory / str(export.file_path)).read_bytes() == b"an export"


@pytest.mark.usefixtures("impatient")
async def test_a_coroutine_that_takes_too_long_is_stopped(settings: Settings, desk: Desk) -> None:
    """The attempt ends as `timeout` and its slot is free at once."""
    async with running_worker(settings.model_copy(update={"concurrency": 1})) as service:
        report = await desk.run("hasty", desk.gate())
        assert (await desk.run("echo")).status == State.COMPLETED
        assert leaked(service) == 0
    assert (report.status, report.error_code) == (State.FAILED, "timeout")
    assert report.error_message == "the agent did not end within 0.2 s"


@pytest.mark.parametrize("agent", ["hasty_thread", "hasty_stubborn"])
@pytest.mark.usefixtures("impatient")
async def test_an_agent_that_cannot_be_stopped_is_given_up_and_its_slot_is_free(
    agent: str, settings: Settings, desk: Desk
) -> None:
    """The outcome is recorded, others run; what still runs is counted as leaked until it ends."""
    async with running_worker(settings.model_copy(update={"concurrency": 2})) as service:
        report = await desk.run(agent, desk.gate())
        assert (report.status, report.error_code) == (State.FAILED, "timeout")
        assert leaked(service) == 1
        await until(lambda: service._executor._slots.free == 2, what="the slot is free")
        assert (await desk.run("echo")).status == State.COMPLETED
        desk.open_gate()
        await until(lambda: leaked(service) == 0)
    late = await desk.report(report.execution_id)
    assert (late.status, late.versions) == (State.FAILED, [])


async def test_a_full_worker_takes_more_as_soon_as_a_slot_is_free(
    settings: Settings, desk: Desk
) -> None:
    """With one slot, hints and sweeps together neither claim more nor stand in each other's way."""
    full = settings.model_copy(update={"concurrency": 1, "sweep": 0.02})
    async with running_worker(full) as service:
        started: list[int] = []
        start = service._executor.start

        def note(claim: Claim) -> None:
            start(claim)
            started.append(service._executor.running)

        service._executor.start = note  # type: ignore[method-assign]
        executions = [await desk.enqueue("echo", {"value": n}) for n in range(40)]
        reports = await desk.finals(executions)
    assert [report.output for report in reports] == [{"value": n} for n in range(40)]
    assert {report.attempt for report in reports} == {1}
    assert max(started) == 1


async def test_higher_priority_is_claimed_first(
    settings: Settings, desk: Desk, redis_url: str
) -> None:
    """What waits is taken by priority, then by age."""
    assert redis_url
    executions = [await desk.enqueue("echo", priority=p) for p in (-5, 0, 5)]
    lonely = settings.model_copy(update={"concurrency": 1, "queue_name": "arq:another"})
    async with running_worker(lonely):
        reports = await desk.finals(executions)
    assert [r.priority for r in sorted(reports, key=lambda r: r.started_at)] == [5, 0, -5]


async def test_an_agent_nobody_knows_waits_for_a_worker_that_does(
    settings: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """It stays pending, unharmed and uncounted, and runs when such a worker comes."""
    ignorant = settings.model_copy(update={"agents": []})
    async with running_worker(ignorant) as service:
        execution = await desk.enqueue("echo", {"value": 1})
        await until(lambda: service._queue.taken >= 1 and not service._queue.under_way)
        report = await desk.report(execution)
        assert (report.status, report.attempt) == (State.PENDING, 0)
    async with running_worker(settings):
        report = await desk.final(execution)
    assert (report.status, report.attempt) == (State.COMPLETED, 1)
    assert await database.ask("SELECT FROM workers") == []


def leaked(service: WorkerService) -> int:
    """How many agents were given up and still run."""
    return service._executor.leaked
