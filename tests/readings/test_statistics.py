"""Statistics of a project: counted by the database, in one statement, of that project alone."""

from uuid import UUID

import pytest
from sqlalchemy import event

from models.states import State
from tests.ledger.desk import Desk, completion, draft, failure
from worker.client import Client


async def test_an_empty_project_has_nothing_to_count(client: Client, project: UUID) -> None:
    """No document, no execution, and no rate of success: there is nothing to divide by."""
    report = await client.statistics(project)
    assert (report.project_id, report.documents, report.versions) == (project, [], 0)
    assert (report.executions, report.agents) == ({}, [])
    assert (report.success_rate, report.updated_at) == (None, None)


async def test_documents_executions_and_durations_are_counted(client: Client, desk: Desk) -> None:
    """By document type, by status, and by agent with percentiles of what completed."""
    for seconds in (1, 2, 3, 4, 100):
        claim = await desk.running()
        await desk.ledger.complete(desk.project, completion(claim, draft("# x\n", "article")))
        await desk.database.ask(
            "UPDATE agent_executions SET completed_at = started_at + make_interval(secs => $2) "
            "WHERE id = $1",
            claim.execution_id,
            seconds,
        )
    await desk.ledger.complete(desk.project, completion(await desk.running(), draft("y", "plan")))
    await desk.ledger.fail(desk.project, failure(await desk.running(), delay=None))
    await desk.enqueue(agent_type="other")

    report = await client.statistics(desk.project)

    documents = [(each.document_type, each.versions) for each in report.documents]
    assert documents == [("article", 5), ("plan", 1)]
    assert report.versions == 6
    assert report.updated_at == max(each.updated_at for each in report.documents)
    assert report.executions == {State.COMPLETED: 6, State.FAILED: 1, State.PENDING: 1}
    assert report.success_rate == pytest.approx(6 / 7)
    assert [(each.agent_type, each.executions) for each in report.agents] == [
        ("other", {State.PENDING: 1}),
        ("review", {State.COMPLETED: 6, State.FAILED: 1}),
    ]
    other, review = report.agents
    assert (other.p50, other.p95) == (None, None)
    assert review.p50 == pytest.approx(2.5, abs=0.1)
    assert review.p95 == pytest.approx(76, abs=0.1)


async def test_it_is_one_statement(client: Client, project: UUID) -> None:
    """Whatever is counted is seen at one moment, and costs one round trip after the binding."""
    seen: list[str] = []
    event.listen(
        client._database.sync_engine,
        "before_cursor_execute",
        lambda *given: seen.append(str(given[2])),
    )
    await client.statistics(project)
    assert len([statement for statement in seen if "set_config" not in statement]) == 1
