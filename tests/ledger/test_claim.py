"""Claim: pending and due becomes one worker's running attempt, and nobody waits for it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from tests.ledger.desk import AGENTS, LEASE, Desk, failure, unknown

START = UUID(int=0)


async def test_a_due_execution_becomes_a_running_attempt(desk: Desk) -> None:
    """The claim opens attempt 1, brings the input, and is on record with its worker."""
    recorded = await desk.enqueue(input={"a": 1})

    [claim] = await desk.claim(recorded.execution_id, worker="w7")

    assert (claim.claimed, claim.status, claim.attempt) == (True, "running", 1)
    assert (claim.input, claim.agent_type, claim.language) == ({"a": 1}, "review", "en")
    assert (claim.requested_by, claim.correlation_id) == (desk.user, recorded.correlation_id)
    row = await desk.row(recorded.execution_id)
    assert (row["worker"], row["max_attempts"]) == ("w7", AGENTS["review"])
    assert row["started_at"] > row["created_at"]
    assert await desk.events(recorded.execution_id) == ["enqueued", "claimed"]
    event = await desk.last_event(recorded.execution_id)
    assert (event["attempt"], event["worker"]) == (1, "w7")


async def test_the_lease_is_on_the_clock_of_the_database(desk: Desk) -> None:
    """A worker gives a duration; whose clock it ends by is the database's alone."""
    recorded = await desk.enqueue()
    await desk.claim(recorded.execution_id, lease=timedelta(seconds=90))

    row = await desk.row(recorded.execution_id)

    assert row["lease_expires_at"] - row["started_at"] == timedelta(seconds=90)


async def test_a_callers_number_of_attempts_stands_above_the_agents(desk: Desk) -> None:
    """The agent's own number fills in only where the caller asked for none."""
    assert (await desk.running(max_attempts=9)).max_attempts == 9
    assert (await desk.running()).max_attempts == AGENTS["review"]


async def test_what_is_not_due_is_not_claimed(desk: Desk) -> None:
    """The answer says why: it stands pending until its time, and brings no input."""
    later = datetime.now(UTC) + timedelta(hours=1)
    recorded = await desk.enqueue(not_before=later, input={"a": 1})

    [claim] = await desk.claim(recorded.execution_id)

    assert (claim.claimed, claim.status, claim.scheduled_at) == (False, "pending", later)
    assert claim.input is None
    assert await desk.events(recorded.execution_id) == ["enqueued"]


async def test_an_agent_this_worker_does_not_have_is_left_to_others(desk: Desk) -> None:
    """A worker claims for the agents it names, and no others."""
    recorded = await desk.enqueue(agent_type="translate")

    [claim] = await desk.claim(recorded.execution_id)

    assert (claim.claimed, claim.agent_type) == (False, "translate")
    assert (await desk.row(recorded.execution_id))["status"] == "pending"


async def test_a_second_claim_learns_that_it_is_taken(desk: Desk) -> None:
    """An execution is one worker's at a time; the other gets no input."""
    first = await desk.running("w1", input={"a": 1})

    [second] = await desk.claim(first.execution_id, worker="w2")

    assert (second.claimed, second.status, second.input) == (False, "running", None)
    assert (await desk.row(first.execution_id))["worker"] == "w1"


async def test_the_attempt_goes_up_with_each_claim(desk: Desk) -> None:
    """Attempts are numbered from 1 without gaps."""
    claim = await desk.running()
    numbers = [claim.attempt]
    for _ in range(2):
        await desk.ledger.fail(desk.project, failure(claim))
        [claim] = await desk.claim(claim.execution_id)
        numbers.append(claim.attempt)

    assert numbers == [1, 2, 3]
    assert claim.failures == 2


async def test_answers_stand_in_the_order_asked_and_leave_out_the_unknown(desk: Desk) -> None:
    """What the project does not have is missing from the answer."""
    ids = [(await desk.enqueue()).execution_id for _ in range(5)]
    asked = [ids[3], unknown(), ids[0], ids[4]]

    claims = await desk.claim(*asked)

    assert [claim.execution_id for claim in claims] == [ids[3], ids[0], ids[4]]


async def test_due_work_is_found_by_priority_then_by_age(desk: Desk) -> None:
    """The sweep's view: higher first, and the older before the newer."""
    old = await desk.enqueue(priority=0)
    urgent = await desk.enqueue(priority=50)
    later = await desk.enqueue(priority=-5)
    young = await desk.enqueue(priority=0)
    await desk.enqueue(priority=99, not_before=datetime.now(UTC) + timedelta(hours=1))
    await desk.enqueue(priority=99, agent_type="translate")
    await desk.running(priority=99)

    found = await desk.dispatch.find_due(list(AGENTS), after=START, projects=10, per_project=10)

    order = [urgent, old, young, later]
    assert [row.execution_id for row in found] == [item.execution_id for item in order]
    assert {row.project_id for row in found} == {desk.project}


async def test_a_flood_in_one_project_hides_no_other(desk: Desk) -> None:
    """A few of each project, in turns: the second of one comes after the first of all."""
    await desk.ledger.enqueue_many([desk.request(priority=100) for _ in range(50)])
    others = [await desk.database.add_project(desk.user) for _ in range(3)]
    for other in others:
        await desk.enqueue(project_id=other, priority=-100)

    found = await desk.dispatch.find_due(list(AGENTS), after=START, projects=10, per_project=2)

    assert {row.project_id for row in found[:4]} == {desk.project, *others}
    assert len(found) == 5


async def test_projects_are_visited_in_a_circle(desk: Desk) -> None:
    """The next look begins behind the last project of this one."""
    others = [await desk.database.add_project(desk.user) for _ in range(3)]
    for other in (desk.project, *others):
        await desk.enqueue(project_id=other)
    circle = sorted([desk.project, *others])

    first = await desk.dispatch.find_due(list(AGENTS), after=START, projects=2, per_project=9)
    second = await desk.dispatch.find_due(
        list(AGENTS), after=first[-1].project_id, projects=9, per_project=9
    )

    assert [row.project_id for row in first] == circle[:2]
    assert [row.project_id for row in second] == circle[2:]


async def test_a_worker_without_agents_claims_nothing(desk: Desk) -> None:
    """No agents, no claim, and no error."""
    recorded = await desk.enqueue()

    [claim] = await desk.ledger.claim(desk.project, [recorded.execution_id], LEASE, {})

    assert not claim.claimed
