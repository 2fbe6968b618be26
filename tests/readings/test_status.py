"""Status by correlation id: where everything stands, how it got there, and what it wrote."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from models.states import Event, State
from tests.ledger.desk import Desk, completion, draft, failure, release
from tests.support.databases import DatabaseUrls
from tests.support.postgres_link import broken_link
from worker.client import Client
from worker.errors import InputInvalidError, NotFoundError, ProjectRequiredError
from worker.ledger import Progress, Release
from worker.ledger.records import ExportRow
from worker.reports import ExecutionReport
from worker.settings import Settings


async def report_of(client: Client, desk: Desk, correlation: UUID) -> ExecutionReport:
    """Return the one execution of a correlation id."""
    status = await client.status(desk.project, correlation)
    [execution] = status.executions
    return execution


async def test_a_pending_execution_has_no_attempts(client: Client, desk: Desk) -> None:
    """What was asked for is there from the moment it was accepted."""
    later = datetime.now(UTC) + timedelta(hours=1)
    recorded = await desk.enqueue(priority=5, max_attempts=2, not_before=later)

    report = await report_of(client, desk, recorded.correlation_id)

    assert (report.status, report.attempt, report.attempts) == (State.PENDING, 0, [])
    assert (report.priority, report.max_attempts, report.scheduled_at) == (5, 2, later)
    assert (report.project_id, report.requested_by) == (desk.project, desk.user)
    assert [line.event for line in report.events] == [Event.ENQUEUED]
    assert report.progress == (None, "")


async def test_each_attempt_has_its_worker_its_times_and_its_ending(
    client: Client, desk: Desk
) -> None:
    """One line a try: failed, released, put off, rescued, completed."""
    recorded = await desk.enqueue(max_attempts=9)
    id_ = recorded.execution_id

    [first] = await desk.claim(id_, worker="w1")
    await desk.worker("w1").fail(desk.project, failure(first))
    [second] = await desk.claim(id_, worker="w2")
    await desk.worker("w2").release(desk.project, release(second))
    [third] = await desk.claim(id_, worker="w3")
    now = datetime.now(UTC) - timedelta(seconds=1)
    await desk.worker("w3").release(desk.project, Release(id_, third.attempt, "wait", now))
    await desk.claim(id_, worker="w4")
    await desk.expire(id_)
    await desk.ledger.rescue(desk.project, [id_])
    [fifth] = await desk.claim(id_, worker="w5")
    await desk.worker("w5").complete(desk.project, completion(fifth, draft()))

    report = await report_of(client, desk, recorded.correlation_id)
    assert (report.status, report.attempt, report.failures) == (State.COMPLETED, 5, 2)
    assert [(a.attempt, a.worker, a.ending, a.error_code) for a in report.attempts] == [
        (1, "w1", Event.RETRY_SCHEDULED, "provider_down"),
        (2, "w2", Event.RELEASED, None),
        (3, "w3", Event.SNOOZED, None),
        (4, "w4", Event.RESCUED, "worker_lost"),
        (5, "w5", Event.COMPLETED, None),
    ]
    times = [(a.started_at, a.ended_at) for a in report.attempts]
    assert all(ended is not None and started <= ended for started, ended in times)
    assert [started for started, _ in times] == sorted(started for started, _ in times)
    assert all(a.seconds is not None and a.seconds >= 0 for a in report.attempts)
    assert report.error_code is None
    assert report.output == {"ok": True}


async def test_an_attempt_under_way_has_no_end(client: Client, desk: Desk) -> None:
    """Its latest progress is the report's."""
    claim = await desk.running()
    for fraction, message in ((0.1, "reading"), (0.6, "checking")):
        await desk.ledger.progress(
            desk.project, [Progress(claim.execution_id, 1, fraction, message)]
        )

    report = await report_of(client, desk, claim.correlation_id)

    [attempt] = report.attempts
    assert (attempt.ended_at, attempt.ending, attempt.seconds) == (None, None, None)
    assert (report.status, report.worker) == (State.RUNNING, "w1")
    assert report.progress == (0.6, "checking")


async def test_progress_of_an_earlier_attempt_does_not_count(client: Client, desk: Desk) -> None:
    """A new attempt begins at nothing."""
    claim = await desk.running()
    await desk.ledger.progress(desk.project, [Progress(claim.execution_id, 1, 0.9, "nearly")])
    await desk.ledger.fail(desk.project, failure(claim))
    await desk.claim(claim.execution_id)

    report = await report_of(client, desk, claim.correlation_id)

    assert report.progress == (None, "")


async def test_a_rejected_write_does_not_end_an_attempt(client: Client, desk: Desk) -> None:
    """The late worker's refusal is an event of its attempt, which the rescue had ended."""
    lost = await desk.abandoned("w1")
    await desk.ledger.rescue(desk.project, [lost.execution_id])
    [again] = await desk.claim(lost.execution_id, worker="w2")
    await desk.ledger.complete(desk.project, completion(lost, draft()))

    report = await report_of(client, desk, lost.correlation_id)

    assert [a.ending for a in report.attempts] == [Event.RESCUED, None]
    assert report.events[-1].event is Event.WRITE_REJECTED
    assert report.attempt == again.attempt
    assert report.versions == []


async def test_a_failed_execution_tells_why(client: Client, desk: Desk) -> None:
    """Code and message stand on the execution, the code on the attempt too."""
    claim = await desk.running()
    await desk.ledger.fail(desk.project, failure(claim, delay=None))

    report = await report_of(client, desk, claim.correlation_id)

    assert report.status is State.FAILED
    assert (report.error_code, report.error_message) == ("provider_down", "it did not answer")
    assert report.attempts[0].error_code == "provider_down"
    assert report.completed_at is not None


async def test_what_was_written_stands_with_its_execution(client: Client, desk: Desk) -> None:
    """Versions without their content, exports with their file and their time."""
    claim = await desk.running()
    written = (
        draft("# P", "plan", readability_score=61.5, grammar_score=1.5),
        draft("# A", "article"),
    )
    file = ExportRow("p/file.zip", '{"files": []}', timedelta(days=7))
    await desk.ledger.complete(desk.project, completion(claim, *written, exports=[file]))

    report = await report_of(client, desk, claim.correlation_id)

    assert [(v.document_type, v.version, v.attempt) for v in report.versions] == [
        ("article", 1, 1),
        ("plan", 1, 1),
    ]
    assert (report.versions[1].readability_score, report.versions[1].grammar_score) == (61.5, 1.5)
    [export] = report.exports
    assert (export.status, export.file_path) == ("completed", "p/file.zip")
    assert export.expires_at == export.created_at + timedelta(days=7)
    assert "# P" not in report.model_dump_json()


async def test_executions_of_a_correlation_id_stand_oldest_first(
    client: Client, desk: Desk
) -> None:
    """And the whole is final when each of them is."""
    correlation = uuid4()
    recorded = [await desk.enqueue(correlation_id=correlation) for _ in range(3)]
    await desk.enqueue()

    status = await client.status(desk.project, correlation)
    assert [e.execution_id for e in status.executions] == [r.execution_id for r in recorded]
    assert not status.is_final

    for item in recorded:
        await client.cancel(desk.project, item.execution_id)
    assert (await client.status(desk.project, correlation)).is_final


async def test_a_report_is_of_one_moment(client: Client, desk: Desk) -> None:
    """State, events and versions agree, however fast the execution goes on meanwhile."""
    correlation = uuid4()
    claims = [await desk.running(correlation_id=correlation) for _ in range(40)]

    async def complete_all() -> None:
        for number, claim in enumerate(claims):
            written = draft(document_type=f"t{number}")
            await desk.ledger.complete(desk.project, completion(claim, written))

    finishing = asyncio.create_task(complete_all())
    seen = set()
    while not finishing.done():
        status = await client.status(desk.project, correlation)
        for report in status.executions:
            completed = report.status is State.COMPLETED
            assert completed == (report.events[-1].event is Event.COMPLETED)
            assert completed == (len(report.versions) == 1)
        seen.add(sum(report.status is State.COMPLETED for report in status.executions))
    await finishing

    assert len(seen) > 1


async def test_a_status_is_one_call_which_is_one_transaction(
    client: Client, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many executions there are, the database is asked once, for the project."""
    correlation = uuid4()
    await desk.ledger.enqueue_many([desk.request(correlation_id=correlation) for _ in range(50)])
    asked: list[tuple[object, ...]] = []
    call = client._pool.call

    async def listening(statement: str, *given: object) -> list[Any]:
        asked.append((statement.partition("FROM ")[2], given[0]))
        return await call(statement, *given)

    monkeypatch.setattr(client._pool, "call", listening)
    status = await client.status(desk.project, correlation)

    assert len(status.executions) == 50
    assert asked == [("read_executions($1, $2, $3)", desk.project)]


async def test_a_status_is_asked_again_where_the_connection_was_cut(
    settings: Settings, desk: Desk, database: DatabaseUrls, tmp_path: Path
) -> None:
    """Whoever only reads notices nothing of a connection that goes in the middle of it."""
    recorded = await desk.enqueue()
    async with broken_link(database.app, tmp_path) as link:
        url = SecretStr(link.url)
        async with Client(settings.model_copy(update={"database_url": url})) as client:
            await client.status(desk.project, recorded.correlation_id)
            link.cut("read_executions")
            status = await client.status(desk.project, recorded.correlation_id)

    assert link.lost == 1
    assert [report.execution_id for report in status.executions] == [recorded.execution_id]


async def test_an_unknown_correlation_id_stands_for_nothing(client: Client, desk: Desk) -> None:
    """No executions is an answer; what cannot be an id is an error that names the field."""
    status = await client.status(desk.project, uuid4())
    assert status.executions == []
    assert (await client.status(uuid4(), uuid4())).executions == []

    with pytest.raises(InputInvalidError, match=r"^correlation_id: must be a UUID"):
        await client.status(desk.project, "'; DROP TABLE projects; --")
    with pytest.raises(ProjectRequiredError, match=r"^project_id: "):
        await client.status("", uuid4())
    with pytest.raises(NotFoundError, match="correlation_id"):
        await client.wait(desk.project, uuid4(), timeout=5)


async def test_one_execution_can_be_asked_for(client: Client, desk: Desk) -> None:
    """By its own id, with everything a status has."""
    recorded = await desk.enqueue()

    report = await client.execution(desk.project, str(recorded.execution_id))

    assert report.execution_id == recorded.execution_id
    with pytest.raises(NotFoundError, match="execution_id"):
        await client.execution(desk.project, uuid4())
