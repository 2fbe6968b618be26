"""Cancelling: a durable flag first, a hint second, and the agent's cooperation, or not."""

import pytest
from pydantic import SecretStr

from models.states import State
from tests.support.databases import DatabaseUrls
from tests.support.desk import Desk
from tests.support.workers import running_worker
from worker import attempt as attempts
from worker.settings import Settings

SLOW_HEARTBEAT = {"lease": 600, "heartbeat": 250, "sweep": 0.25}
NO_REDIS = "redis://:none@127.0.0.1:1/0"


async def test_a_pending_execution_is_cancelled_at_once_and_never_runs(
    settings: Settings, desk: Desk
) -> None:
    """Cancelling says `cancelled`; a worker that comes later leaves it alone."""
    execution = await desk.enqueue("echo")
    assert await desk.client.cancel(desk.project, execution, "not needed") == State.CANCELLED
    async with running_worker(settings):
        await desk.run("echo")
        report = await desk.report(execution)
    assert (report.status, report.attempt) == (State.CANCELLED, 0)
    assert report.events[-1].detail == {"reason": "not needed"}
    assert await desk.client.cancel(desk.project, execution) == State.CANCELLED


@pytest.mark.parametrize("agent", ["gated", "gated_thread"])
async def test_a_running_agent_is_stopped_at_once_by_the_hint(
    agent: str, settings: Settings, desk: Desk
) -> None:
    """Long before any heartbeat; what it would have written is not filed."""
    async with running_worker(settings.model_copy(update=SLOW_HEARTBEAT)):
        execution = await desk.enqueue(agent, desk.gate())
        await desk.begun()
        assert await desk.client.cancel(desk.project, execution) == State.RUNNING
        report = await desk.final(execution)
    assert (report.status, report.attempt, report.failures) == (State.CANCELLED, 1, 0)
    assert report.versions == []
    assert [e.event for e in report.events if e.event.startswith("cancel")] == [
        "cancel_requested",
        "cancelled",
    ]


async def test_a_cancellation_whose_hint_is_lost_arrives_with_the_heartbeat(
    settings: Settings, desk: Desk
) -> None:
    """The flag in the database is what counts; the hint only hurries."""
    async with running_worker(settings):
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        await desk.client._ledger.request_cancel(desk.project, execution, "")
        report = await desk.final(execution)
    assert report.status == State.CANCELLED


async def test_without_redis_a_cancellation_travels_with_the_heartbeat(
    settings: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """A worker cut off from Redis still hears of it."""
    deaf = settings.model_copy(update={"redis_url": SecretStr(NO_REDIS)})
    async with running_worker(deaf):
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        await desk.client.cancel(desk.project, execution)
        assert (await desk.final(execution)).status == State.CANCELLED
    assert await database.ask("SELECT FROM document_versions") == []


@pytest.mark.parametrize("agent", ["stubborn", "stubborn_thread"])
async def test_an_agent_that_ignores_it_is_given_up_and_cancelled_all_the_same(
    agent: str, settings: Settings, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that it answers later is kept."""
    monkeypatch.setattr(attempts, "_GIVE_UP_AFTER", 0.2)
    async with running_worker(settings) as service:
        execution = await desk.enqueue(agent, desk.gate())
        await desk.begun()
        await desk.client.cancel(desk.project, execution)
        assert (await desk.final(execution)).status == State.CANCELLED
        assert service._executor.leaked == 1
        desk.open_gate()
        await desk.run("echo")
    report = await desk.report(execution)
    assert (report.status, report.versions) == (State.CANCELLED, [])


async def test_work_that_was_done_before_the_stop_was_noticed_is_kept(
    settings: Settings, desk: Desk
) -> None:
    """An agent that finishes while it is being stopped has finished."""
    async with running_worker(settings.model_copy(update=SLOW_HEARTBEAT)):
        execution = await desk.enqueue("stubborn", desk.gate())
        await desk.begun()
        await desk.client.cancel(desk.project, execution)
        desk.open_gate()
        report = await desk.final(execution)
    assert report.status == State.COMPLETED
    assert [v.version for v in report.versions] == [1]


async def test_a_cancellation_comes_before_another_try(settings: Settings, desk: Desk) -> None:
    """What waits for its next attempt is pending: it is cancelled at once."""
    async with running_worker(settings):
        execution = await desk.enqueue("flaky", {"failures": 1, "how": "ages"})
        await desk.until_event(execution, "retry_scheduled")
        assert await desk.client.cancel(desk.project, execution) == State.CANCELLED
        report = await desk.report(execution)
    assert (report.status, report.failures) == (State.CANCELLED, 1)


async def test_a_final_execution_stays_as_it_is(settings: Settings, desk: Desk) -> None:
    """Cancelling what has ended answers where it stands."""
    async with running_worker(settings):
        report = await desk.run("echo")
    assert await desk.client.cancel(desk.project, report.execution_id) == State.COMPLETED
