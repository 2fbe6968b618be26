"""Pruning and reindexing while workers work: nobody waits, and nothing is lost."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from tests.support.databases import DatabaseUrls
from tests.support.desk import Desk
from tests.support.invariants import check, not_final
from tests.support.waiting import until
from tests.support.workers import running_worker
from worker.backoff import Backoff
from worker.errors import CopydeskError, DatabaseUnavailableError, InputInvalidError
from worker.maintenance.pruning import Order, Pruner
from worker.maintenance.reindexing import Rebuilt, opened_reindexer
from worker.settings import Settings, secret

NUMBER = 200
AT_ONCE = Order(timedelta(0), for_real=True)
SOON = Backoff(first=timedelta(milliseconds=10), factor=1, jitter=0)

_INVALID = (
    "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
    "WHERE NOT i.indisvalid ORDER BY 1"
)


async def enqueue(desk: Desk) -> None:
    """Enqueue work of which every second one files a document."""
    for start in range(0, NUMBER, 20):
        await desk.client.enqueue_many(
            desk.project,
            [
                {
                    "agent_type": "echo",
                    "requested_by": desk.user,
                    "input": {"value": place, "document_type": "notes" if place % 2 else None},
                }
                for place in range(start, start + 20)
            ],
        )
        await asyncio.sleep(0)


async def versions(database: DatabaseUrls) -> int:
    """Return how many versions there are."""
    [row] = await database.ask("SELECT count(*) AS n FROM document_versions")
    return int(row["n"])


async def rebuild(
    settings: Settings, *, table: str | None = None, owner: bool = True, patience: float = 10
) -> list[Rebuilt]:
    """Rebuild indexes, and return what was."""
    owner_url = secret(settings.owner_url) if owner else None
    async with opened_reindexer(
        secret(settings.maintenance_url), owner_url, patience=patience, again=SOON
    ) as reindexer:
        return [index async for index in reindexer.rebuild(table, concurrently=True)]


async def test_pruning_beside_workers_loses_nothing(
    settings: Settings, desk: Desk, pruner: Pruner, database: DatabaseUrls
) -> None:
    """What has ended goes at once, again and again: all is run, once, and every version stays."""
    pruned: Counter[str] = Counter()
    over = asyncio.Event()

    async def prune() -> None:
        while not over.is_set():
            pruned.update(await pruner.prune(desk.project, AT_ONCE))

    async with running_worker(settings):
        pruning = asyncio.create_task(prune())
        await enqueue(desk)

        async def done() -> bool:
            return await versions(database) == NUMBER // 2 and not await not_final(database)

        await until(done, within=40, what="the end of all work")
        over.set()
        await pruning
    pruned.update(await pruner.prune(desk.project, AT_ONCE))

    assert pruned["agent_executions"] == NUMBER // 2
    left = await database.ask("SELECT status, attempt, failures FROM agent_executions")
    assert {tuple(row) for row in left} == {("completed", 1, 0)}
    assert len(left) == NUMBER // 2
    await check(database)


async def test_every_index_is_rebuilt_beside_workers(
    settings: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """Work goes on meanwhile; no invalid index is left, and the schema is what the models say."""
    async with running_worker(settings):
        working = asyncio.create_task(enqueue(desk))
        rebuilt = await rebuild(settings)
        await working

        async def done() -> bool:
            return await versions(database) == NUMBER // 2 and not await not_final(database)

        await until(done, within=40, what="the end of all work")

    [row] = await database.ask(
        "SELECT count(*) AS n FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid "
        "WHERE t.relnamespace = 'public'::regnamespace AND t.relname <> 'alembic_version'"
    )
    assert len(rebuilt) == row["n"]
    assert await database.ask(_INVALID) == []
    await check(database)


async def test_a_bloated_index_shrinks(
    settings: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """Its sizes before and after are told."""
    await database.ask(
        "INSERT INTO agent_executions (project_id, agent_type, correlation_id, requested_by) "
        "SELECT $1, 'x', uuidv7(), $2 FROM generate_series(1, 20000)",
        desk.project,
        desk.user,
    )
    await database.ask("DELETE FROM agent_executions")
    await database.ask("VACUUM agent_executions")
    rebuilt = {index.name: index for index in await rebuild(settings, table="agent_executions")}
    primary = rebuilt["pk_agent_executions"]
    assert primary.before > 10 * primary.after > 0
    assert {index.of_table for index in rebuilt.values()} == {"agent_executions"}


async def test_an_old_transaction_is_waited_for_in_turns_and_others_go_on(
    settings: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """Each try gives up after its patience; the next run drops what they began."""
    async with database.oracle() as holder, holder.transaction():
        await holder.execute("SELECT count(*) FROM exports")
        with pytest.raises(DatabaseUnavailableError, match="others held the table"):
            await rebuild(settings, table="exports", patience=0.2)
        await desk.enqueue("echo")
        assert await database.ask(_INVALID) != []
    assert await rebuild(settings, table="exports", patience=5)
    assert await database.ask(_INVALID) == []


async def interrupted(settings: Settings, database: DatabaseUrls) -> None:
    """Leave an index that was never finished, as a killed REINDEX does."""
    async with database.oracle() as holder, holder.transaction():
        await holder.execute("SELECT count(*) FROM exports")
        task = asyncio.create_task(rebuild(settings, table="exports", patience=60))

        async def began() -> bool:
            return bool(await database.ask(_INVALID))

        await until(began, what="an index under way")
        await database.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'copydesk reindex'"
        )
        with pytest.raises(DatabaseUnavailableError):
            await task
    assert await database.ask(_INVALID) != []


async def test_what_an_interrupted_one_left_is_dropped_by_the_owner_only(
    settings: Settings, database: DatabaseUrls
) -> None:
    """Without the owner's URL the statement is told; with it the next run begins with it."""
    await interrupted(settings, database)
    with pytest.raises(CopydeskError, match=r"DROP INDEX CONCURRENTLY .*_cc(new|old)") as left:
        await rebuild(settings, table="exports", owner=False)
    assert left.value.code == "index_leftovers"

    await rebuild(settings, table="exports")

    assert await database.ask(_INVALID) == []


async def test_a_table_that_is_none_of_copydesks_is_refused(settings: Settings) -> None:
    """The names there are stand in the message."""
    with pytest.raises(InputInvalidError, match="document_versions"):
        await rebuild(settings, table="pg_class")
