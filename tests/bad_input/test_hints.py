"""The doors that only hurry: a hint or a signal that lies changes nothing."""

import asyncio
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from arq.connections import ArqRedis
from arq.jobs import Job
from arq.worker import JobExecutionFailed

from models.states import State
from tests.bad_input.place import Place
from tests.bad_input.row import CANARY, ID, Row, each
from tests.bad_input.table import hints as table
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    """A heartbeat so slow that only a signal can have hurried it."""
    return {"lease": 600, "heartbeat": 250}


async def hint(redis: ArqRedis, project: UUID, execution: UUID) -> Job:
    """Send a hint by hand, as a plain arq job whose end can be asked for."""
    job = await redis.enqueue_job(
        "run_agent", v=1, project_id=str(project), execution_id=str(execution)
    )
    assert job is not None
    return job


async def written(place: Place, execution: UUID) -> tuple[object, ...]:
    """Return all that is on record about an execution."""
    events = await place.database.ask(
        "SELECT * FROM execution_events WHERE execution_id = $1 ORDER BY id", execution
    )
    return (tuple(await place.row(execution)), *(tuple(event) for event in events))


@pytest.mark.parametrize("state", ["pending", "running", "completed"])
async def test_b12_a_hint_that_mixes_two_projects_writes_nothing(
    state: str, place: Place, redis: ArqRedis
) -> None:
    """`not_found` for whoever asks, a line in the log, and not a word on record."""
    stranger = await place.database.add_project(place.user)
    begin = len(place.log.getvalue())
    gate = place.gate(f"B12-{state}")
    async with place.unharmed(accepts=1):
        agent, given = ("echo", {}) if state == "completed" else ("gated", gate)
        later = {"not_before": table.in_an_hour()} if state == "pending" else {}
        execution = await place.enqueue(agent, given, **later)
        if state == "running":
            await place.begun(f"B12-{state}")
        if state == "completed":
            await place.final(execution)
        before = await written(place, execution)
        job = await hint(redis, stranger, execution)
        with pytest.raises(JobExecutionFailed, match="not_found: execution_id"):
            await job.result(timeout=10, poll_delay=0.01)
        assert await written(place, execution) == before
    place.open_gate(f"B12-{state}")
    if state == "pending":
        await place.client.cancel(place.project, execution)
    assert "unknown_execution" in place.log.getvalue()[begin:]
    assert (
        await place.database.ask("SELECT FROM execution_events WHERE project_id = $1", stranger)
        == []
    )


@pytest.mark.parametrize("ending", ["completed", "failed", "cancelled"])
async def test_b13_a_hint_for_what_is_final_changes_nothing_and_is_counted(
    ending: str, place: Place, redis: ArqRedis
) -> None:
    """Whoever sent it learns how it ended; the record stays as it is."""
    agent = {"completed": "echo", "failed": "failing", "cancelled": "pointless"}[ending]
    async with place.unharmed(accepts=1):
        report = await place.run(agent)
        assert report.status == ending
        before = await written(place, report.execution_id)
        count = place.service._queue.finished
        job = await hint(redis, place.project, report.execution_id)
        info = await until(job.result_info, what="the message has ended")
        assert info.success == (ending == "completed")
        await until(lambda: place.service._queue.finished > count, what="it is counted")
        assert await written(place, report.execution_id) == before


@each(table.SIGNALS)
async def test_a_signal_that_is_none_is_not_heard(row: Row, place: Place, redis: ArqRedis) -> None:
    """Whatever is published, what runs goes on, and the next cancellation is heard."""
    channel, message = row.input
    async with place.unharmed(accepts=2):
        execution = await place.enqueue("gated", place.gate(row.what))
        await place.begun(row.what)
        named = channel.replace(b"MINE", str(place.project).encode())
        await redis.publish(named, message.replace(b"MINE", str(execution).encode()))
        await place.probe_signal()
        assert (await place.report(execution)).status == State.RUNNING
        place.open_gate(row.what)
        assert (await place.final(execution)).status == State.COMPLETED


async def test_b12_a_cancellation_through_another_projects_channel_is_none(
    place: Place, redis: ArqRedis
) -> None:
    """Who may speak for one project cannot end another's work."""
    stranger = await place.database.add_project(place.user)
    async with place.unharmed(accepts=2):
        execution = await place.enqueue("gated", place.gate("B12-signal"))
        await place.begun("B12-signal")
        await redis.publish(f"proj:{stranger}:cancel", str(execution))
        await place.probe_signal()
        place.open_gate("B12-signal")
        assert (await place.final(execution)).status == State.COMPLETED


async def test_a_cancellation_that_stands_nowhere_is_none(place: Place, redis: ArqRedis) -> None:
    """The signal only hurries: whether somebody wants it stands in the database."""
    async with place.unharmed(accepts=2):
        execution = await place.enqueue("gated", place.gate("no-flag"))
        await place.begun("no-flag")
        for _ in range(100):
            await redis.publish(f"proj:{place.project}:cancel", str(execution))
        await place.probe_signal()
        place.open_gate("no-flag")
        assert (await place.final(execution)).status == State.COMPLETED


async def test_news_of_an_end_that_is_none_fools_nobody_who_waits(
    place: Place, redis: ArqRedis
) -> None:
    """Whoever waits looks, and goes on waiting."""
    async with place.unharmed(accepts=2):
        recorded = await place.client.enqueue(
            place.project, "gated", place.gate("false-end"), requested_by=place.user
        )
        waiting = asyncio.create_task(
            place.client.wait(place.project, recorded.correlation_id, timeout=20)
        )
        await place.begun("false-end")
        for message in (str(recorded.execution_id), CANARY, "", ID):
            await redis.publish(f"proj:{place.project}:ended", message)
        await place.probe_signal()
        assert not waiting.done()
        place.open_gate("false-end")
        assert (await waiting).is_final


@pytest.mark.parametrize("when", ["infinity", "294276-01-01"])
async def test_b29_a_time_that_python_does_not_know_is_waited_for(
    when: str, place: Place, redis: ArqRedis
) -> None:
    """Whoever has put it off for ever; hints for it, and who looks at it, come to no harm."""
    async with place.unharmed(accepts=1):
        execution = await place.enqueue("echo", not_before=table.in_an_hour())
        await place.oracle.execute(
            "UPDATE agent_executions SET scheduled_at = $2::text::timestamptz WHERE id = $1",
            execution,
            when,
        )
        job = await hint(redis, place.project, execution)
        await until(partial(_deferred, redis, job), what="the hint is put off")
        report = await place.report(execution)
        assert (report.status, report.scheduled_at.year) == (State.PENDING, 9999)
        assert report.scheduled_at.tzinfo is not None
        assert await place.client.cancel(place.project, execution) == State.CANCELLED


async def _deferred(redis: ArqRedis, job: Job) -> bool:
    score = await redis.zscore(redis.default_queue_name, job.job_id)
    return score is not None and score > 1e14
