"""Leases: renewed by their own worker alone, and rescued by anybody once they are over."""

import json
from datetime import timedelta

from tests.ledger.desk import LEASE, Desk, completion, draft, unknown


async def test_a_worker_renews_its_own_attempts_and_no_others(desk: Desk) -> None:
    """What the answer leaves out is no longer this worker's."""
    mine = await desk.running("w1")
    foreign = await desk.running("w2")
    asked = {mine.execution_id: 1, foreign.execution_id: 1, unknown(): 1}
    before = await desk.row(foreign.execution_id)

    held = await desk.dispatch.extend("w1", asked, timedelta(hours=1))

    assert list(held) == [mine.execution_id]
    assert (held[mine.execution_id].attempt, held[mine.execution_id].cancel_requested) == (1, False)
    row = await desk.row(mine.execution_id)
    assert row["lease_expires_at"] - row["started_at"] >= timedelta(hours=1)
    assert await desk.row(foreign.execution_id) == before


async def test_a_renewal_names_the_attempt_it_belongs_to(desk: Desk) -> None:
    """An older attempt of the same worker is lost, even though the execution runs there again."""
    first = await desk.abandoned("w1")
    await desk.ledger.rescue(desk.project, [first.execution_id])
    [second] = await desk.claim(first.execution_id, worker="w1")

    assert await desk.dispatch.extend("w1", {first.execution_id: first.attempt}, LEASE) == {}
    held = await desk.dispatch.extend("w1", {second.execution_id: second.attempt}, LEASE)

    assert list(held) == [second.execution_id]


async def test_one_heartbeat_serves_attempts_of_many_projects(desk: Desk) -> None:
    """Renewing leases is the one move that crosses projects."""
    here = await desk.running()
    elsewhere = await desk.database.add_project(desk.user)
    other = await desk.enqueue(project_id=elsewhere)
    await desk.ledger.claim(elsewhere, [other.execution_id], LEASE, {"review": 3})

    held = await desk.dispatch.extend("w1", {here.execution_id: 1, other.execution_id: 1}, LEASE)

    assert set(held) == {here.execution_id, other.execution_id}


async def test_a_renewal_tells_that_a_cancellation_was_asked_for(desk: Desk) -> None:
    """The durable flag travels with the next heartbeat, hint or no hint."""
    claim = await desk.running()
    await desk.ledger.request_cancel(desk.project, claim.execution_id, "no longer needed")

    held = await desk.dispatch.extend("w1", {claim.execution_id: 1}, LEASE)

    assert held[claim.execution_id].cancel_requested


async def test_a_renewal_after_expiry_still_holds_while_nobody_rescued_it(desk: Desk) -> None:
    """A late heartbeat of the holder is welcome: no second attempt has begun."""
    claim = await desk.abandoned("w1")

    held = await desk.dispatch.extend("w1", {claim.execution_id: 1}, LEASE)

    assert list(held) == [claim.execution_id]
    assert await desk.dispatch.find_expired(10) == []


async def test_an_expired_claim_becomes_claimable_again(desk: Desk) -> None:
    """A rescue runs nothing: it counts a failure and makes the execution pending and due."""
    lost = await desk.abandoned("w1")
    [found] = await desk.dispatch.find_expired(10)
    assert (found.project_id, found.execution_id) == (desk.project, lost.execution_id)

    moved = await desk.worker("w2").rescue(desk.project, [lost.execution_id])

    assert moved == {lost.execution_id: "pending"}
    row = await desk.row(lost.execution_id)
    assert (row["failures"], row["attempt"], row["lease_expires_at"]) == (1, 1, None)
    assert (await desk.last_event(lost.execution_id))["event"] == "rescued"
    assert (await desk.last_event(lost.execution_id))["worker"] == "w1"
    [again] = await desk.claim(lost.execution_id, worker="w2")
    assert (again.claimed, again.attempt) == (True, 2)


async def test_a_lease_that_still_holds_is_not_rescued(desk: Desk) -> None:
    """Only the database's clock decides, whatever a sweep believes."""
    claim = await desk.running()

    assert await desk.ledger.rescue(desk.project, [claim.execution_id]) == {}
    assert await desk.dispatch.find_expired(10) == []
    assert (await desk.row(claim.execution_id))["status"] == "running"


async def test_expired_claims_are_found_oldest_first(desk: Desk) -> None:
    """Whoever waits longest is rescued first."""
    claims = [await desk.abandoned() for _ in range(3)]
    await desk.database.ask(
        "UPDATE agent_executions SET lease_expires_at = now() - interval '1 hour' WHERE id = $1",
        claims[1].execution_id,
    )

    found = await desk.dispatch.find_expired(2)

    assert [row.execution_id for row in found] == [claims[1].execution_id, claims[0].execution_id]


async def test_a_poison_execution_ends_failed_with_words_a_person_understands(desk: Desk) -> None:
    """An execution that takes its workers down does not circulate for ever."""
    recorded = await desk.enqueue(max_attempts=2)
    for worker in ("w1", "w2"):
        await desk.claim(recorded.execution_id, worker=worker)
        await desk.expire(recorded.execution_id)
        moved = await desk.ledger.rescue(desk.project, [recorded.execution_id])

    assert moved == {recorded.execution_id: "failed"}
    row = await desk.row(recorded.execution_id)
    assert (row["error_code"], row["failures"], row["attempt"]) == ("worker_lost", 2, 2)
    assert "the worker w2 stopped renewing its lease" in row["error_message"]
    assert "attempt 2 of at most 2" in row["error_message"]
    assert row["completed_at"] is not None
    assert (await desk.events(recorded.execution_id))[-2:] == ["rescued", "failed"]
    detail = json.loads((await desk.last_event(recorded.execution_id))["detail"])
    assert detail == {
        "error_code": "worker_lost",
        "failures": 2,
        "max_attempts": 2,
        "reason": "its lease ran out",
    }
    [claim] = await desk.claim(recorded.execution_id)
    assert (claim.claimed, claim.status, claim.error_code) == (False, "failed", "worker_lost")


async def test_a_rescued_execution_that_was_to_be_cancelled_is_cancelled(desk: Desk) -> None:
    """The wish was durable: it outlives the worker that was to carry it out."""
    lost = await desk.abandoned()
    await desk.ledger.request_cancel(desk.project, lost.execution_id, "no longer needed")

    moved = await desk.ledger.rescue(desk.project, [lost.execution_id])

    assert moved == {lost.execution_id: "cancelled"}
    assert (await desk.events(lost.execution_id))[-2:] == ["rescued", "cancelled"]


async def test_a_worker_that_comes_back_after_its_rescue_writes_nothing(desk: Desk) -> None:
    """The paused worker's completion meets the fence, even before the next claim."""
    lost = await desk.abandoned("w1")
    await desk.ledger.rescue(desk.project, [lost.execution_id])

    ended = await desk.ledger.complete(desk.project, completion(lost, draft()))

    assert (ended.accepted, ended.status) == (False, "pending")
    assert await desk.versions() == []
