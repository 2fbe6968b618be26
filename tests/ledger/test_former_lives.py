"""What former lives of a stable name hold: found by name and kind of id, given back by worker."""

import json
from datetime import timedelta
from uuid import UUID

import pytest

from tests.ledger.desk import Desk, completion, failure

ME = "desk-0:2:stable-00ff00ff"
BEFORE = "desk-0:1:stable-0a0b0c0d"


async def test_what_other_lives_of_the_name_hold_is_found(desk: Desk) -> None:
    """Own work is left out, and so is what does not run."""
    held = [await desk.running(BEFORE), await desk.running(BEFORE)]
    await desk.running(ME)
    await desk.enqueue()
    done = await desk.running(BEFORE)
    await desk.worker(BEFORE).complete(desk.project, completion(done))

    found = await desk.dispatch.find_former("desk-0", ME)

    assert {row.execution_id for row in found} == {claim.execution_id for claim in held}
    assert {(row.project_id, row.worker) for row in found} == {(desk.project, BEFORE)}


@pytest.mark.parametrize(
    "stranger",
    [
        "desk-0:1:0a0b0c0d",
        "desk-01:1:stable-0a0b0c0d",
        "desk-0:west:1:stable-0a0b0c0d",
        "another-desk-0:1:stable-0a0b0c0d",
        "DESK-0:1:stable-0a0b0c0d",
    ],
)
async def test_lives_without_a_lock_or_of_other_names_are_not(desk: Desk, stranger: str) -> None:
    """A name is taken letter by letter, and only a stable life has a lock to be tried."""
    await desk.running(stranger)
    assert await desk.dispatch.find_former("desk-0", ME) == []


async def test_letters_that_mean_something_elsewhere_mean_nothing_in_a_name(desk: Desk) -> None:
    """No pattern and no expression comes out of a name."""
    await desk.running(BEFORE)
    for name in ("desk_0", "desk%", "%", ".*", "desk-0:1", ""):
        assert await desk.dispatch.find_former(name, ME) == []


async def test_what_an_ended_worker_holds_is_rescued_before_its_lease_is_over(desk: Desk) -> None:
    """Of that worker only; it counts as a failure, and the late answer is refused."""
    lost, other = await desk.running(BEFORE), await desk.running("desk-0:3:stable-11111111")
    asked: list[UUID] = [lost.execution_id, other.execution_id]

    moved = await desk.ledger.rescue(desk.project, asked, ended=BEFORE)
    late = await desk.worker(BEFORE).fail(desk.project, failure(lost))

    assert moved == {lost.execution_id: "pending"}
    row = await desk.row(lost.execution_id)
    assert (row["failures"], row["error_code"]) == (1, "worker_lost")
    assert (await desk.row(other.execution_id))["status"] == "running"
    assert not late.accepted
    [detail] = await desk.database.ask(
        "SELECT detail FROM execution_events WHERE event = 'rescued'"
    )
    assert json.loads(detail["detail"])["reason"] == "its worker has ended"


async def test_an_ended_workers_last_attempt_ends_the_execution(desk: Desk) -> None:
    """What kills its workers does not circulate, however quickly they come back."""
    lost = await desk.running(BEFORE, max_attempts=1)
    moved = await desk.ledger.rescue(desk.project, [lost.execution_id], ended=BEFORE)
    assert moved == {lost.execution_id: "failed"}
    row = await desk.row(lost.execution_id)
    assert row["completed_at"] - row["created_at"] < timedelta(seconds=20)
