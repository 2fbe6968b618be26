"""Cancel: at once while pending, by a durable flag while running. Progress: only of my attempt."""

import json

import pytest

from tests.ledger.desk import Desk, completion, draft, failure, release, unknown
from worker.errors import NotFoundError
from worker.ledger import Progress
from worker.ledger.records import Cancellation


async def test_a_pending_execution_is_cancelled_at_once(desk: Desk) -> None:
    """Nothing runs afterwards, and the reason is on record."""
    recorded = await desk.enqueue()

    status = await desk.ledger.request_cancel(desk.project, recorded.execution_id, "typo")

    assert status == "cancelled"
    row = await desk.row(recorded.execution_id)
    assert row["completed_at"] is not None
    event = await desk.last_event(recorded.execution_id)
    assert (event["event"], json.loads(event["detail"])) == ("cancelled", {"reason": "typo"})
    [claim] = await desk.claim(recorded.execution_id)
    assert (claim.claimed, claim.status) == (False, "cancelled")


async def test_a_running_execution_gets_a_flag_and_goes_on(desk: Desk) -> None:
    """It stays its worker's until the agent has stopped; asking twice is asking once."""
    claim = await desk.running()

    for _ in range(2):
        status = await desk.ledger.request_cancel(desk.project, claim.execution_id, "changed")
        assert status == "running"

    row = await desk.row(claim.execution_id)
    assert (row["worker"], row["completed_at"]) == ("w1", None)
    assert row["cancel_requested_at"] is not None
    assert await desk.events(claim.execution_id) == ["enqueued", "claimed", "cancel_requested"]


async def test_an_attempt_that_has_stopped_is_cancelled_for_good(desk: Desk) -> None:
    """The worker's move ends it, fenced like every other."""
    claim = await desk.running()
    await desk.ledger.request_cancel(desk.project, claim.execution_id, "")

    ended = await desk.ledger.cancel_attempt(
        desk.project, Cancellation(claim.execution_id, claim.attempt, "cancelled on request")
    )

    assert (ended.accepted, ended.status) == (True, "cancelled")
    assert (await desk.row(claim.execution_id))["failures"] == 0
    assert (await desk.events(claim.execution_id))[-2:] == ["cancel_requested", "cancelled"]


async def test_work_that_was_done_before_the_agent_heard_is_kept(desk: Desk) -> None:
    """A flag does not undo a completion that comes in time."""
    claim = await desk.running()
    await desk.ledger.request_cancel(desk.project, claim.execution_id, "")

    ended = await desk.ledger.complete(desk.project, completion(claim, draft()))

    assert (ended.accepted, ended.status) == (True, "completed")


async def test_a_flagged_attempt_that_fails_or_is_released_is_cancelled(desk: Desk) -> None:
    """The wish comes before another try."""
    failed, released = await desk.running(), await desk.running()
    for claim in (failed, released):
        await desk.ledger.request_cancel(desk.project, claim.execution_id, "")

    after_failure = await desk.ledger.fail(desk.project, failure(failed))
    after_release = await desk.ledger.release(desk.project, release(released))

    assert (after_failure.status, after_release.status) == ("cancelled", "cancelled")
    for claim in (failed, released):
        assert (await desk.events(claim.execution_id))[-1] == "cancelled"
        assert (await desk.row(claim.execution_id))["completed_at"] is not None


async def test_a_final_execution_stays_as_it_is(desk: Desk) -> None:
    """Cancelling what has ended is answered with how it ended."""
    claim = await desk.running()
    await desk.ledger.complete(desk.project, completion(claim))
    before = await desk.row(claim.execution_id)

    assert await desk.ledger.request_cancel(desk.project, claim.execution_id, "") == "completed"

    assert await desk.row(claim.execution_id) == before
    assert (await desk.events(claim.execution_id))[-1] == "completed"


async def test_an_unknown_execution_is_not_found(desk: Desk) -> None:
    """There is nothing to cancel."""
    with pytest.raises(NotFoundError, match="execution_id"):
        await desk.ledger.request_cancel(desk.project, unknown(), "")


async def test_progress_is_an_event_of_the_attempt(desk: Desk) -> None:
    """A fraction where it is known, a message always; the row is not touched."""
    claim = await desk.running()
    before = await desk.row(claim.execution_id)

    await desk.ledger.progress(
        desk.project,
        [
            Progress(claim.execution_id, 1, 0.5, "half"),
            Progress(claim.execution_id, 1, None, "reading"),
        ],
    )

    rows = await desk.database.ask(
        "SELECT attempt, worker, detail FROM execution_events WHERE event = 'progress' ORDER BY id"
    )
    assert [(r["attempt"], r["worker"], json.loads(r["detail"])) for r in rows] == [
        (1, "w1", {"fraction": 0.5, "message": "half"}),
        (1, "w1", {"message": "reading"}),
    ]
    assert await desk.row(claim.execution_id) == before


async def test_progress_of_an_attempt_that_is_not_mine_leaves_no_trace(desk: Desk) -> None:
    """Another worker's, an older attempt's, an ended one's and an unknown one's are all ignored."""
    foreign, ended = await desk.running("w2"), await desk.running("w1")
    await desk.ledger.complete(desk.project, completion(ended))
    lost = await desk.abandoned("w1")
    await desk.ledger.rescue(desk.project, [lost.execution_id])
    await desk.claim(lost.execution_id, worker="w1")

    asked = [foreign.execution_id, ended.execution_id, lost.execution_id, unknown()]
    await desk.ledger.progress(desk.project, [Progress(each, 1, 0.5, "") for each in asked])

    assert await desk.database.ask("SELECT 1 FROM execution_events WHERE event = 'progress'") == []
