"""One call may carry a late attempt and its successor: the fence tells them apart there too."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import pytest

from tests.ledger.desk import Desk, completion, draft, failure, release
from tests.support.databases import DatabaseUrls
from worker.ledger import Claim, Ended
from worker.ledger.records import Cancellation

Move = Callable[[Desk, Claim], Awaitable[Ended]]

MOVES: dict[str, tuple[Move, str]] = {
    "complete": (
        lambda desk, claim: desk.ledger.complete(desk.project, completion(claim)),
        "completed",
    ),
    "fail": (lambda desk, claim: desk.ledger.fail(desk.project, failure(claim)), "retry_scheduled"),
    "release": (lambda desk, claim: desk.ledger.release(desk.project, release(claim)), "released"),
    "cancel": (
        lambda desk, claim: desk.ledger.cancel_attempt(
            desk.project, Cancellation(claim.execution_id, claim.attempt, "no longer wanted")
        ),
        "cancelled",
    ),
}


@pytest.fixture
async def desk(database: DatabaseUrls, project: UUID, user: UUID) -> AsyncIterator[Desk]:
    """Give a project and the moves in it."""
    desk = Desk(database, project, user)
    yield desk
    await desk.close()


async def late_and_running(desk: Desk) -> tuple[Claim, Claim]:
    """Return two attempts of one worker: one whose lease ran out, and its successor."""
    late = await desk.abandoned("w1")
    await desk.ledger.rescue(desk.project, [late.execution_id])
    [running] = await desk.claim(late.execution_id)
    return late, running


async def test_a_late_attempt_writes_nothing_beside_its_successor(desk: Desk) -> None:
    """Of two completions of one execution in one call, only the running attempt's is written."""
    late, running = await late_and_running(desk)

    refused, accepted = await asyncio.gather(
        desk.ledger.complete(
            desk.project, completion(late, draft("late", "notes"), output='{"attempt": 1}')
        ),
        desk.ledger.complete(
            desk.project, completion(running, draft("right"), output='{"attempt": 2}')
        ),
    )

    written = await desk.database.ask("SELECT content, attempt FROM document_versions")
    row = await desk.row(late.execution_id)
    assert [(version["content"], version["attempt"]) for version in written] == [("right", 2)]
    assert row["output_data"] == '{"attempt": 2}'
    assert (refused.accepted, accepted.accepted) == (False, True)
    assert (await desk.events(late.execution_id)).count("write_rejected") == 1


@pytest.mark.parametrize("late_first", [True, False], ids=["late first", "late last"])
@pytest.mark.parametrize("name", MOVES)
async def test_each_attempt_in_a_call_is_answered_for_itself(
    desk: Desk, name: str, late_first: bool
) -> None:
    """The late one is refused and put on record, its successor's move is made: once each."""
    move, event = MOVES[name]
    late, running = await late_and_running(desk)
    pair = [late, running] if late_first else [running, late]

    answers = await asyncio.gather(*(move(desk, claim) for claim in pair))

    accepted = {claim.attempt: ended.accepted for claim, ended in zip(pair, answers, strict=True)}
    assert accepted == {1: False, 2: True}
    told = await desk.database.ask(
        "SELECT event, attempt FROM execution_events "
        "WHERE event IN ($1, 'write_rejected') ORDER BY attempt",
        event,
    )
    assert [(row["event"], row["attempt"]) for row in told] == [("write_rejected", 1), (event, 2)]


@pytest.mark.parametrize("name", MOVES)
async def test_one_attempt_that_stands_twice_in_a_call_is_one_move(desk: Desk, name: str) -> None:
    """A repeat beside the move it repeats is accepted like it, and written once."""
    move, event = MOVES[name]
    running = await desk.running()

    first, second = await asyncio.gather(move(desk, running), move(desk, running))

    assert (first.accepted, second.accepted) == (True, True)
    assert (await desk.events(running.execution_id)).count(event) == 1
    assert "write_rejected" not in await desk.events(running.execution_id)
