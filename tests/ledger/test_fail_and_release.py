"""Fail and release: a failed attempt comes back or ends; one given back counts for nothing."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.ledger.desk import Desk, completion, draft, failure, release
from worker.ledger import Release
from worker.ledger.records import Cancellation


async def test_a_failed_attempt_is_due_again_after_its_delay(desk: Desk) -> None:
    """Back to pending, one failure counted, the reason on the row and in the event."""
    claim = await desk.running()

    ended = await desk.ledger.fail(desk.project, failure(claim, delay=60))

    row = await desk.row(claim.execution_id)
    assert (ended.accepted, ended.status) == (True, "pending")
    assert ended.scheduled_at == row["scheduled_at"]
    assert (row["failures"], row["attempt"], row["completed_at"]) == (1, 1, None)
    assert (row["error_code"], row["error_message"]) == ("provider_down", "it did not answer")
    event = await desk.last_event(claim.execution_id)
    assert event["event"] == "retry_scheduled"
    assert timedelta(0) <= event["at"] - (row["scheduled_at"] - timedelta(seconds=60))
    detail = json.loads(event["detail"])
    assert datetime.fromisoformat(detail.pop("retry_at")) == row["scheduled_at"]
    assert detail == {"error_code": "provider_down", "failures": 1, "max_attempts": 3}
    [early] = await desk.claim(claim.execution_id)
    assert not early.claimed


async def test_a_final_failure_ends_the_execution(desk: Desk) -> None:
    """Without a delay there is no other try, however many are left."""
    claim = await desk.running()

    ended = await desk.ledger.fail(desk.project, failure(claim, delay=None))

    assert (ended.accepted, ended.status) == (True, "failed")
    row = await desk.row(claim.execution_id)
    assert (row["status"], row["failures"], row["error_code"]) == ("failed", 1, "provider_down")
    assert row["completed_at"] is not None
    assert await desk.events(claim.execution_id) == ["enqueued", "claimed", "failed"]


async def test_the_last_attempt_that_fails_ends_the_execution(desk: Desk) -> None:
    """Failures are counted, and the number of attempts is a promise."""
    recorded = await desk.enqueue(max_attempts=2)
    statuses = []
    for _ in range(2):
        [claim] = await desk.claim(recorded.execution_id)
        ended = await desk.ledger.fail(desk.project, failure(claim))
        statuses.append(ended.status)

    assert statuses == ["pending", "failed"]
    [claim] = await desk.claim(recorded.execution_id)
    assert (claim.claimed, claim.status, claim.failures) == (False, "failed", 2)
    assert claim.error_message == "it did not answer"


async def test_a_success_after_a_failure_leaves_no_error(desk: Desk) -> None:
    """A completed execution does not carry the error of an earlier attempt."""
    claim = await desk.running()
    await desk.ledger.fail(desk.project, failure(claim))
    [again] = await desk.claim(claim.execution_id)
    await desk.ledger.complete(desk.project, completion(again, draft()))

    row = await desk.row(claim.execution_id)
    assert (row["status"], row["error_code"], row["error_message"]) == ("completed", None, None)
    assert row["failures"] == 1


async def test_a_release_counts_no_failure_and_is_due_at_once(desk: Desk) -> None:
    """A worker that drains gives its claims back as if they had never been tried."""
    recorded = await desk.enqueue(max_attempts=1)
    for number in (1, 2, 3):
        [claim] = await desk.claim(recorded.execution_id)
        assert (claim.claimed, claim.attempt, claim.failures) == (True, number, 0)
        ended = await desk.ledger.release(desk.project, release(claim))
        assert (ended.accepted, ended.status) == (True, "pending")

    event = await desk.last_event(recorded.execution_id)
    assert event["event"] == "released"
    assert json.loads(event["detail"]) == {"reason": "the worker is shutting down"}


async def test_an_agent_may_put_an_execution_off(desk: Desk) -> None:
    """A snooze is a release with a time: due then, no failure counted."""
    claim = await desk.running()
    until = datetime.now(UTC) + timedelta(hours=2)

    ended = await desk.ledger.release(
        desk.project, Release(claim.execution_id, 1, "the source is not there yet", until)
    )

    assert (ended.status, ended.scheduled_at) == ("pending", until)
    row = await desk.row(claim.execution_id)
    assert (row["scheduled_at"], row["failures"], row["error_code"]) == (until, 0, None)
    assert (await desk.last_event(claim.execution_id))["event"] == "snoozed"


@pytest.mark.parametrize("move", ["fail", "release", "cancel"])
async def test_a_stale_attempt_moves_nothing(desk: Desk, move: str) -> None:
    """Whatever the move, it meets the fence and leaves a refusal on record."""
    first = await desk.abandoned("w1")
    await desk.ledger.rescue(desk.project, [first.execution_id])
    await desk.claim(first.execution_id, worker="w2")
    before = await desk.row(first.execution_id)

    match move:
        case "fail":
            ended = await desk.ledger.fail(desk.project, failure(first, delay=None))
        case "release":
            ended = await desk.ledger.release(desk.project, release(first))
        case _:
            cancellation = Cancellation(first.execution_id, first.attempt, "")
            ended = await desk.ledger.cancel_attempt(desk.project, cancellation)

    assert (ended.accepted, ended.status) == (False, "running")
    assert await desk.row(first.execution_id) == before
    event = await desk.last_event(first.execution_id)
    assert (event["event"], event["attempt"]) == ("write_rejected", 1)
    assert json.loads(event["detail"])["move"] == move


async def test_moves_of_many_attempts_are_answered_each_for_itself(desk: Desk) -> None:
    """Failures of one batch keep their own codes, delays and answers."""
    keep, end = await desk.running(), await desk.running()

    kept = await desk.ledger.fail(desk.project, failure(keep, delay=5, code="slow"))
    ended = await desk.ledger.fail(desk.project, failure(end, delay=None, code="broken"))

    assert (kept.execution_id, kept.status) == (keep.execution_id, "pending")
    assert (ended.execution_id, ended.status) == (end.execution_id, "failed")
    assert (await desk.row(keep.execution_id))["error_code"] == "slow"
    assert (await desk.row(end.execution_id))["error_code"] == "broken"
