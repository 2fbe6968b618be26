"""What a prune removes, and what it leaves: the record stays right."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.maintenance.rows import Records
from tests.support.databases import DatabaseUrls
from worker.client import Client
from worker.errors import NotFoundError
from worker.maintenance.pruning import Order, Pruner

DAY = timedelta(days=1)
OLD, NEW = 100 * DAY, 10 * DAY
ORDER = Order(90 * DAY)
FOR_REAL = Order(90 * DAY, for_real=True)
DOCUMENTS = Order(90 * DAY, documents=True, for_real=True)


async def test_what_ended_long_ago_goes_with_its_events_and_the_rest_stays(
    records: Records, pruner: Pruner
) -> None:
    """Of every ending, in several batches; what is younger, or has not ended, stays."""
    for status in ("completed", "failed", "cancelled"):
        await records.ended(OLD, number=4, status=status)
    [late] = await records.ended(OLD)
    await records.database.ask(
        "UPDATE agent_executions SET completed_at = now() WHERE id = $1", late
    )
    stays = [
        late,
        *await records.ended(NEW),
        *await records.ended(OLD, status="pending"),
        *await records.ended(OLD, status="running"),
    ]

    counts = await pruner.prune(records.project, FOR_REAL)

    assert +counts == {"agent_executions": 12, "execution_events": 24}
    assert await records.ids() == set(stays)
    assert await records.left() == {"projects": 1, "agent_executions": 4, "execution_events": 8}


@pytest.mark.parametrize("documents", [False, True], ids=["history", "documents too"])
async def test_a_dry_run_tells_what_the_run_will_do_and_changes_nothing(
    documents: bool, records: Records, pruner: Pruner
) -> None:
    """Rows, versions, exports: the same figures, and before it nothing has changed."""
    plain = await records.ended(OLD, number=5)
    await records.export(plain[0], "a.zip")
    for version, execution in enumerate(await records.ended(OLD, number=5), 1):
        await records.version(execution, "article", version)
    before = await records.left()

    expected = await pruner.prune(records.project, Order(90 * DAY, documents=documents))
    assert await records.left() == before
    real = Order(90 * DAY, documents=documents, for_real=True)

    assert +await pruner.prune(records.project, real) == +expected
    assert expected["agent_executions"] == (9 if documents else 5)
    after = await records.left()
    assert {name: before[name] - after.get(name, 0) for name in before} == {
        name: expected[name] for name in before
    }


async def test_who_wrote_a_version_that_stays_stays_too(records: Records, pruner: Pruner) -> None:
    """Without --documents every version stays, and with it the execution and all its events."""
    [writer] = await records.ended(OLD)
    await records.version(writer, "article", 1)
    [other] = await records.ended(OLD)

    await pruner.prune(records.project, FOR_REAL)

    assert await records.ids() == {writer}
    assert other not in await records.ids()
    assert (await records.left())["execution_events"] == 2


async def test_old_versions_go_but_never_the_latest_and_numbering_goes_on(
    records: Records, pruner: Pruner, client: Client
) -> None:
    """The latest of each document stays with who wrote it; readings still tell its number."""
    old = await records.ended(OLD, number=4)
    for version, execution in enumerate(old[:3], 1):
        await records.version(execution, "article", version)
    await records.version(old[1], "notes", 1)  # the same execution, another document
    await records.version(old[3], "summary", 1)
    [young] = await records.ended(NEW)
    await records.version(young, "summary", 2)

    counts = await pruner.prune(records.project, DOCUMENTS)

    assert counts["document_versions"] == 3
    assert await records.ids() == {old[1], old[2], young}
    listed = {
        found.document_type: (found.version, found.versions)
        for found in await client.documents(records.project)
    }
    assert listed == {"article": (3, 3), "notes": (1, 1), "summary": (2, 2)}
    with pytest.raises(NotFoundError):
        await client.document(records.project, "article", 2)
    [again] = await records.ended(NEW)
    await records.version(again, "article", 4)
    assert (await client.document(records.project, "article")).versions == 4


async def test_an_execution_and_what_repeats_it_go_together_or_not_at_all(
    records: Records, pruner: Pruner
) -> None:
    """A retry that stays keeps what it repeats; else a dead letter would ask to be repeated."""
    gone = await records.ended(OLD, status="failed")
    [again] = await records.ended(OLD - DAY, status="failed", retry_of=gone[0])
    await records.ended(OLD - 2 * DAY, retry_of=again)
    [kept] = await records.ended(OLD, status="failed")
    [retried] = await records.ended(NEW, retry_of=kept)
    [wrote] = await records.ended(OLD, status="cancelled")
    [writer] = await records.ended(OLD - DAY, retry_of=wrote)
    await records.version(writer, "article", 1)
    [waits] = await records.ended(OLD, status="failed")
    [waiting] = await records.ended(OLD, status="pending", retry_of=waits)
    stays = {kept, retried, wrote, writer, waits, waiting}

    expected = await pruner.prune(records.project, ORDER)
    counts = await pruner.prune(records.project, FOR_REAL)

    assert +counts == +expected == {"agent_executions": 3, "execution_events": 6}
    assert await records.ids() == stays


async def test_a_retry_at_this_very_moment_is_waited_for_by_nobody_and_lost_by_nobody(
    records: Records, pruner: Pruner, client: Client, database: DatabaseUrls
) -> None:
    """What somebody holds is left for the next time; what was retried meanwhile stays."""
    [dead] = await records.ended(OLD, status="failed")
    [other] = await records.ended(OLD)
    async with database.oracle() as holder, holder.transaction():
        await holder.execute("SELECT FROM agent_executions WHERE id = $1 FOR NO KEY UPDATE", dead)
        async with asyncio.timeout(3):
            counts = await pruner.prune(records.project, FOR_REAL)
        assert counts["agent_executions"] == 1
        assert other not in await records.ids()
    [again] = await client.dead_letters.retry(records.project, [dead])

    await pruner.prune(records.project, FOR_REAL)

    assert await records.ids() == {dead, again.execution_id}


async def test_an_idempotency_key_is_free_again(
    records: Records, pruner: Pruner, client: Client, database: DatabaseUrls
) -> None:
    """What was pruned is forgotten: the same key and request run once more."""
    ask = {"agent_type": "echo", "requested_by": records.user, "idempotency_key": "k"}
    [first] = await client.enqueue_many(records.project, [ask])
    await database.ask(
        "UPDATE agent_executions SET status = 'cancelled', completed_at = now() - interval '91 d', "
        "created_at = now() - interval '91 days' WHERE id = $1",
        first.execution_id,
    )
    await pruner.prune(records.project, FOR_REAL)
    [second] = await client.enqueue_many(records.project, [ask])
    assert second.created
    assert second.execution_id != first.execution_id


async def test_another_project_is_not_touched(
    records: Records, pruner: Pruner, database: DatabaseUrls
) -> None:
    """One project is pruned; its neighbour's old executions are all there."""
    other = Records(database, await database.add_project(records.user), records.user)
    theirs = await other.ended(OLD, number=5)
    await records.ended(OLD, number=5)

    await pruner.prune(records.project, DOCUMENTS)

    assert await other.ids() == set(theirs)
    assert await records.ids() == set()


async def test_a_project_that_is_not_there_is_told(pruner: Pruner) -> None:
    """A misspelt id is no project without anything to prune."""
    with pytest.raises(NotFoundError):
        await pruner.prune(UUID(int=uuid4().int), FOR_REAL)
