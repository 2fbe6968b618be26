"""Ambiguous COMMITs: the move went through, its answer got lost, and the worker repeats it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.ledger.desk import AGENTS, LEASE, Desk, completion, draft, failure, release
from tests.support.postgres_link import Link, broken_link
from worker.errors import DatabaseUnavailableError
from worker.ledger import Claim, Ended, Ledger, MovePool, Release
from worker.ledger.records import Cancellation

Move = Callable[[Ledger, Desk, Claim], Awaitable[Ended]]

MOVES: dict[str, tuple[str, Move, str, str]] = {
    "complete": (
        "complete_executions",
        lambda ledger, desk, claim: ledger.complete(desk.project, completion(claim, draft())),
        "completed",
        "completed",
    ),
    "fail": (
        "fail_executions",
        lambda ledger, desk, claim: ledger.fail(desk.project, failure(claim, delay=60)),
        "pending",
        "retry_scheduled",
    ),
    "fail for good": (
        "fail_executions",
        lambda ledger, desk, claim: ledger.fail(desk.project, failure(claim, delay=None)),
        "failed",
        "failed",
    ),
    "release": (
        "release_executions",
        lambda ledger, desk, claim: ledger.release(desk.project, release(claim)),
        "pending",
        "released",
    ),
    "snooze": (
        "release_executions",
        lambda ledger, desk, claim: ledger.release(
            desk.project,
            Release(
                claim.execution_id, claim.attempt, "later", datetime.now(UTC) + timedelta(hours=1)
            ),
        ),
        "pending",
        "snoozed",
    ),
    "cancel": (
        "cancel_attempts",
        lambda ledger, desk, claim: ledger.cancel_attempt(
            desk.project, Cancellation(claim.execution_id, claim.attempt, "no point")
        ),
        "cancelled",
        "cancelled",
    ),
}


@pytest.fixture
async def link(desk: Desk) -> AsyncIterator[Link]:
    """A link to the database that breaks where a test says."""
    with TemporaryDirectory(prefix="copydesk-link-") as directory:
        async with broken_link(desk.database.app, Path(directory)) as link:
            yield link


@pytest.fixture
async def far(link: Link) -> AsyncIterator[Ledger]:
    """The moves of worker w1, over that link."""
    async with MovePool(link.url, size=2) as pool:
        yield Ledger(pool, worker="w1", input_limit=100_000)


@pytest.mark.parametrize("name", MOVES)
async def test_a_move_whose_answer_was_lost_is_accepted_again_and_written_once(
    name: str, desk: Desk, link: Link, far: Ledger
) -> None:
    """The link is cut after COMMIT: the repeat is told the same, and leaves no second event."""
    function, move, status, event = MOVES[name]
    claim = await desk.running()
    link.cut(function)

    with pytest.raises(DatabaseUnavailableError) as unanswered:
        await move(far, desk, claim)
    row = await desk.row(claim.execution_id)
    again = await move(far, desk, claim)

    assert (unanswered.value.retryable, link.lost) == (True, 1)
    assert row["status"] == status, "the first one went through"
    assert (again.accepted, again.status) == (True, status)
    assert await desk.row(claim.execution_id) == row
    assert await desk.events(claim.execution_id) == ["enqueued", "claimed", event]
    assert await desk.versions() == ([1] if name == "complete" else [])


async def test_a_claim_whose_answer_was_lost_is_answered_when_it_is_repeated(
    desk: Desk, link: Link, far: Ledger
) -> None:
    """The repeat brings the attempt that the first one opened, input and all, with a new lease."""
    recorded = await desk.enqueue(input={"a": 1})
    link.cut("claim_executions")

    with pytest.raises(DatabaseUnavailableError):
        await far.claim(desk.project, [recorded.execution_id], LEASE, AGENTS)
    before = await desk.row(recorded.execution_id)
    [claim] = await far.claim(desk.project, [recorded.execution_id], LEASE, AGENTS, again=True)

    after = await desk.row(recorded.execution_id)
    assert (before["status"], before["attempt"]) == ("running", 1)
    assert (claim.claimed, claim.attempt, claim.input) == (True, 1, {"a": 1})
    assert after["lease_expires_at"] > before["lease_expires_at"]
    assert after["started_at"] == before["started_at"]
    assert await desk.events(recorded.execution_id) == ["enqueued", "claimed"]


async def test_only_a_repeat_of_the_same_worker_gets_what_runs_already(desk: Desk) -> None:
    """A plain claim, and another worker's repeat, learn that it is taken."""
    running = await desk.running("w1")

    [plain] = await desk.claim(running.execution_id, worker="w1")
    [other] = await desk.worker("w2").claim(
        desk.project, [running.execution_id], LEASE, AGENTS, again=True
    )

    assert (plain.claimed, other.claimed, other.input) == (False, False, None)
    assert (await desk.row(running.execution_id))["worker"] == "w1"


async def test_a_repeat_waits_for_the_first_claim_where_that_is_still_under_way(
    desk: Desk,
) -> None:
    """The server may still work on a claim whose link is gone; its row is not passed over."""
    recorded = await desk.enqueue()
    async with desk.database.oracle() as first, first.transaction():
        await first.fetch(
            "SELECT * FROM claim_executions($1, $2, 'w1', '30 s', '{review}', '{3}')",
            desk.project,
            [recorded.execution_id],
        )
        repeat = asyncio.ensure_future(
            desk.ledger.claim(desk.project, [recorded.execution_id], LEASE, AGENTS, again=True)
        )
        await desk.waiting_for_locks(1)
    [claim] = await repeat

    assert (claim.claimed, claim.attempt) == (True, 1)
    assert await desk.events(recorded.execution_id) == ["enqueued", "claimed"]


async def test_an_enqueue_whose_answer_was_lost_is_recorded_once_under_its_key(
    desk: Desk, link: Link, far: Ledger
) -> None:
    """The caller asks again with the same key and gets the execution that was recorded."""
    request = desk.request(idempotency_key="order-7")
    link.cut("enqueue_executions")

    with pytest.raises(DatabaseUnavailableError):
        await far.enqueue(request)
    again = await far.enqueue(request)

    assert (again.created, await desk.rows()) == (False, 1)
    assert await desk.events(again.execution_id) == ["enqueued"]


async def test_a_repeat_after_the_next_attempt_has_begun_is_told_so_and_disturbs_nothing(
    desk: Desk,
) -> None:
    """It went through, and what another worker does since then is the status."""
    claim = await desk.running("w1")
    await desk.ledger.release(desk.project, release(claim))
    [second] = await desk.claim(claim.execution_id, worker="w2")

    again = await desk.ledger.release(desk.project, release(claim))

    row = await desk.row(claim.execution_id)
    assert (again.accepted, again.status) == (True, "running")
    assert (row["worker"], row["attempt"]) == ("w2", second.attempt)
    assert "write_rejected" not in await desk.events(claim.execution_id)


@pytest.mark.parametrize("attempts", [1, 3])
async def test_what_a_sweep_ended_is_no_repeat(desk: Desk, attempts: int) -> None:
    """A lost attempt is ended in its worker's name, yet the worker's late answer is refused."""
    claim = await desk.abandoned("w1", max_attempts=attempts)
    await desk.ledger.rescue(desk.project, [claim.execution_id])

    late = await desk.ledger.fail(desk.project, failure(claim))

    assert not late.accepted
    assert (await desk.events(claim.execution_id))[-1] == "write_rejected"


async def test_a_different_move_than_the_one_that_went_through_is_refused(desk: Desk) -> None:
    """Only the same move is a repeat."""
    claim = await desk.running("w1")
    await desk.ledger.release(desk.project, release(claim))

    other = await desk.ledger.fail(desk.project, failure(claim))

    assert not other.accepted
    assert (await desk.events(claim.execution_id))[-1] == "write_rejected"
