"""Complete: versions, exports, state and event in one transaction, for the attempt that is mine."""

import asyncio
import hashlib
import json
from datetime import timedelta

import pytest

from tests.ledger.desk import Desk, completion, draft, unknown
from worker.errors import CopydeskError
from worker.ledger import Completion
from worker.ledger.records import ExportRow

FILE = ExportRow("p/file.zip", '{"files": []}', timedelta(days=7))


async def test_everything_an_attempt_wrote_is_recorded_together(desk: Desk) -> None:
    """State, versions, export and event are one transaction, each naming the attempt."""
    claim = await desk.running()
    written = draft("# Plan\n", metadata='{"k": 1}', readability_score=61.5, grammar_score=2.0)

    ended = await desk.ledger.complete(desk.project, completion(claim, written, exports=[FILE]))

    assert (ended.accepted, ended.status) == (True, "completed")
    row = await desk.row(claim.execution_id)
    assert (row["status"], json.loads(row["output_data"])) == ("completed", {"ok": True})
    assert row["completed_at"] is not None
    assert row["lease_expires_at"] is None
    assert (await desk.last_event(claim.execution_id))["event"] == "completed"
    [version] = await desk.database.ask("SELECT * FROM document_versions")
    assert (version["document_type"], version["version"], version["content"]) == (
        "article",
        1,
        "# Plan\n",
    )
    assert (version["readability_score"], version["grammar_score"]) == (61.5, 2.0)
    assert (version["execution_id"], version["attempt"]) == (claim.execution_id, 1)
    assert version["created_by"] == desk.user
    [export] = await desk.database.ask("SELECT * FROM exports")
    assert (export["status"], export["file_path"]) == ("completed", "p/file.zip")
    assert export["expires_at"] - export["created_at"] == timedelta(days=7)
    transactions = await desk.database.ask(
        "SELECT xmin::text FROM agent_executions UNION SELECT xmin::text FROM document_versions "
        "UNION SELECT xmin::text FROM exports "
        "UNION SELECT xmin::text FROM execution_events WHERE event = 'completed'"
    )
    assert len(transactions) == 1


async def test_a_draft_that_cannot_be_filed_leaves_nothing_behind(desk: Desk) -> None:
    """One version that breaks a rule takes the completion with it; the attempt stays running."""
    claim = await desk.running()
    bad = draft(document_type="x" * 51)

    with pytest.raises(CopydeskError, match="SQLSTATE 22001"):
        await desk.ledger.complete(desk.project, completion(claim, draft(), bad, exports=[FILE]))

    assert (await desk.row(claim.execution_id))["status"] == "running"
    assert await desk.versions() == []
    assert await desk.database.ask("SELECT 1 FROM exports") == []
    assert await desk.events(claim.execution_id) == ["enqueued", "claimed"]


async def test_versions_count_for_each_document_and_each_project(desk: Desk) -> None:
    """Every document has numbers of its own."""
    elsewhere = await desk.database.add_project(desk.user)
    for document_type in ("article", "plan", "article"):
        claim = await desk.running()
        written = draft(document_type=document_type)
        await desk.ledger.complete(desk.project, completion(claim, written))
    other = await desk.enqueue(project_id=elsewhere)
    await desk.ledger.claim(elsewhere, [other.execution_id], timedelta(seconds=9), {"review": 3})
    done = Completion(other.execution_id, 1, "{}", (draft(),))
    await desk.ledger.complete(elsewhere, done)

    rows = await desk.database.ask(
        "SELECT project_id, document_type, version FROM document_versions ORDER BY id"
    )
    assert [(r["project_id"], r["document_type"], r["version"]) for r in rows] == [
        (desk.project, "article", 1),
        (desk.project, "plan", 1),
        (desk.project, "article", 2),
        (elsewhere, "article", 1),
    ]


async def test_many_completions_of_one_worker_share_a_call(desk: Desk) -> None:
    """A batch hands out versions in its own order, and each answer goes to its asker."""
    claims = [await desk.running() for _ in range(40)]

    answers = await asyncio.gather(
        *(desk.ledger.complete(desk.project, completion(c, draft(str(c)))) for c in claims)
    )

    assert [a.execution_id for a in answers] == [c.execution_id for c in claims]
    rows = await desk.database.ask("SELECT execution_id FROM document_versions ORDER BY version")
    assert [row["execution_id"] for row in rows] == [c.execution_id for c in claims]
    [calls] = await desk.database.ask(
        "SELECT count(DISTINCT xmin::text) AS n FROM document_versions"
    )
    assert calls["n"] == 1


async def test_a_stale_attempt_writes_nothing_but_its_refusal(desk: Desk) -> None:
    """What was thrown away is on record by size and digest, never by content."""
    first = await desk.abandoned("w1")
    await desk.ledger.rescue(desk.project, [first.execution_id])
    [second] = await desk.claim(first.execution_id, worker="w2")
    before = await desk.row(first.execution_id)

    late = completion(first, draft("first "), draft("späť", "plan"), exports=[FILE])
    ended = await desk.ledger.complete(desk.project, late)

    assert (ended.accepted, ended.status) == (False, "running")
    assert await desk.row(first.execution_id) == before
    assert await desk.database.ask("SELECT 1 FROM document_versions") == []
    assert await desk.database.ask("SELECT 1 FROM exports") == []
    event = await desk.last_event(first.execution_id)
    assert (event["event"], event["attempt"], event["worker"]) == ("write_rejected", 1, "w1")
    detail = json.loads(event["detail"])
    thrown = '{"ok": true}first späť'.encode()
    assert detail.pop("late_seconds") >= 0
    assert detail == {
        "move": "complete",
        "status": "running",
        "current_attempt": second.attempt,
        "current_worker": "w2",
        "size": len(thrown),
        "sha256": hashlib.sha256(thrown).hexdigest(),
    }
    assert (await desk.worker("w2").complete(desk.project, completion(second, draft()))).accepted


async def test_a_stale_item_takes_no_neighbour_down(desk: Desk) -> None:
    """In one batch, what is mine is completed and what is not is refused."""
    mine = [await desk.running() for _ in range(3)]
    foreign = await desk.running("w2")
    items = [mine[0], foreign, mine[1], mine[2]]

    answers = await asyncio.gather(
        *(desk.ledger.complete(desk.project, completion(item, draft())) for item in items)
    )

    assert [answer.accepted for answer in answers] == [True, False, True, True]
    assert await desk.versions() == [1, 2, 3]


async def test_a_completion_by_another_worker_is_refused(desk: Desk) -> None:
    """The right attempt number in the wrong hands is not enough."""
    claim = await desk.running("w1")

    ended = await desk.worker("w2").complete(desk.project, completion(claim, draft()))

    assert (ended.accepted, ended.status) == (False, "running")
    assert (await desk.row(claim.execution_id))["worker"] == "w1"
    assert await desk.events(claim.execution_id) == ["enqueued", "claimed", "write_rejected"]


async def test_an_attempt_that_never_was_is_refused(desk: Desk) -> None:
    """Numbers above the current attempt are as wrong as those below."""
    claim = await desk.running()

    ended = await desk.ledger.complete(desk.project, completion(claim, draft(), attempt=2))

    assert not ended.accepted
    assert await desk.versions() == []


async def test_repeating_a_completion_is_accepted_and_changes_nothing(desk: Desk) -> None:
    """After a lost answer to COMMIT a worker may simply say it again."""
    claim = await desk.running()
    said = completion(claim, draft("the text"), exports=[FILE])
    await desk.ledger.complete(desk.project, said)
    before = await desk.row(claim.execution_id)

    again = await desk.ledger.complete(desk.project, said)

    assert (again.accepted, again.status) == (True, "completed")
    assert await desk.row(claim.execution_id) == before
    assert await desk.versions() == [1]
    assert len(await desk.database.ask("SELECT 1 FROM exports")) == 1
    assert await desk.events(claim.execution_id) == ["enqueued", "claimed", "completed"]


async def test_the_same_completion_twice_in_one_batch_is_one(desk: Desk) -> None:
    """A repeat that meets its own first call in a batch is still only one version."""
    blocker, claim = await desk.running(), await desk.running()
    said = completion(claim, draft())

    answers = await asyncio.gather(
        desk.ledger.complete(desk.project, completion(blocker)),
        desk.ledger.complete(desk.project, said),
        desk.ledger.complete(desk.project, said),
    )

    assert [answer.accepted for answer in answers] == [True, True, True]
    assert await desk.versions() == [1]


async def test_an_unknown_execution_is_answered_without_a_status(desk: Desk) -> None:
    """Nothing is written for what is not there, not even a refusal."""
    claim = await desk.running()
    ghost = Completion(unknown(), 1, "{}", (draft(),))

    ended = await desk.ledger.complete(desk.project, ghost)

    assert (ended.accepted, ended.status) == (False, None)
    assert await desk.versions() == []
    assert await desk.events(claim.execution_id) == ["enqueued", "claimed"]
