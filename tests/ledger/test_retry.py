"""Retry: a person's second chance is a new execution that points at the one that ended."""

import json

from tests.ledger.desk import Desk, completion, draft, unknown


async def test_a_failed_execution_gets_a_successor_and_stays_as_it_ended(desk: Desk) -> None:
    """The same agent, input and correlation id; the old row does not change."""
    dead = await desk.failed()
    before = await desk.row(dead.execution_id)

    [again] = await desk.ledger.retry(desk.project, [dead.execution_id], None)

    assert await desk.row(dead.execution_id) == before
    row = await desk.row(again.execution_id)
    assert (row["status"], row["attempt"], row["failures"]) == ("pending", 0, 0)
    assert (row["retry_of"], row["correlation_id"]) == (dead.execution_id, dead.correlation_id)
    assert (row["agent_type"], row["priority"]) == ("review", 4)
    assert json.loads(row["input_data"]) == {"document_type": "plan"}
    assert row["requested_by"] == desk.user
    assert await desk.events(again.execution_id) == ["enqueued"]
    [claim] = await desk.claim(again.execution_id)
    assert (claim.claimed, claim.attempt) == (True, 1)


async def test_the_person_who_asks_again_is_on_record(desk: Desk) -> None:
    """What the retry writes is written on behalf of whoever asked for it."""
    dead = await desk.failed()
    other = await desk.database.add_user()

    [again] = await desk.ledger.retry(desk.project, [dead.execution_id], other)

    assert (await desk.row(again.execution_id))["requested_by"] == other


async def test_a_cancelled_execution_can_be_asked_for_again(desk: Desk) -> None:
    """Who stopped it may think better of it."""
    recorded = await desk.enqueue()
    await desk.ledger.request_cancel(desk.project, recorded.execution_id, "")

    assert len(await desk.ledger.retry(desk.project, [recorded.execution_id], None)) == 1


async def test_what_has_not_ended_badly_is_left_alone(desk: Desk) -> None:
    """Pending, running, completed and unknown ones have nothing to retry."""
    pending, running, done = await desk.enqueue(), await desk.running(), await desk.running()
    await desk.ledger.complete(desk.project, completion(done, draft()))
    ids = [pending.execution_id, running.execution_id, done.execution_id, unknown()]

    assert await desk.ledger.retry(desk.project, ids, None) == []

    assert await desk.rows() == 3
