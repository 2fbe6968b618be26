"""Floods and crowds: nobody waits behind another project's pile, and nothing is done twice."""

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest
from pydantic import SecretStr

from models.states import State
from tests.support.databases import DatabaseUrls
from tests.support.desk import Desk
from tests.support.invariants import check
from tests.support.waiting import until
from tests.support.workers import running_worker
from worker.settings import Settings

FLOOD = 5000
NO_REDIS = SecretStr("redis://:none@127.0.0.1:1/0")


async def pending(desk: Desk) -> int:
    """Return how much of a project still waits."""
    [row] = await desk.database.ask(
        "SELECT count(*) AS n FROM agent_executions WHERE project_id = $1 AND status = 'pending'",
        desk.project,
    )
    return int(row["n"])


@pytest.mark.parametrize("by", ["hint", "sweep"])
async def test_a_flood_of_one_project_does_not_hold_up_another(
    by: str, settings: Settings, desk: Desk, database: DatabaseUrls, user: UUID
) -> None:
    """F42: with most of the flood still waiting, the other project's execution has completed."""
    other = replace(desk, project=await database.add_project(user))
    chosen = settings.model_copy(
        update={"lease": 30, **({} if by == "hint" else {"redis_url": NO_REDIS})}
    )
    flood = [
        {"agent_type": "echo", "input": {"value": n}, "requested_by": desk.user}
        for n in range(FLOOD)
    ]
    await desk.client.enqueue_many(desk.project, flood)
    async with running_worker(chosen):

        async def begun() -> bool:
            return await pending(desk) < FLOOD

        await until(begun)
        left = await pending(desk)
        assert (await other.run("echo")).status == State.COMPLETED
        waiting = await pending(desk)
    assert left - waiting < 1000


async def test_fifty_completions_of_one_document_at_one_moment_are_fifty_versions(
    settings: Settings, desk: Desk
) -> None:
    """F39: numbered 1 to 50, whichever worker wrote them."""
    many = settings.model_copy(update={"concurrency": 30})
    async with running_worker(many), running_worker(many):
        executions = [await desk.enqueue("gated", desk.gate()) for _ in range(50)]

        async def all_run() -> bool:
            [row] = await desk.database.ask(
                "SELECT count(*) AS n FROM agent_executions WHERE status = 'running'"
            )
            return bool(row["n"] == 50)

        await until(all_run)
        desk.open_gate()
        reports = await desk.finals(executions)
        assert (await desk.run("echo")).status == State.COMPLETED
    assert sorted(v.version for r in reports for v in r.versions) == list(range(1, 51))
    await check(desk.database)


async def test_sweeps_of_many_workers_at_one_moment_claim_and_rescue_once(
    settings: Settings, desk: Desk
) -> None:
    """F44: abandoned and due rows, swept by two workers at once, again and again."""
    alone = settings.model_copy(update={"redis_url": NO_REDIS, "concurrency": 100})
    async with running_worker(alone) as first, running_worker(alone) as second:
        for _ in range(5):
            executions = [await desk.enqueue("echo", {"document_type": "notes"}) for _ in range(10)]
            await desk.database.ask(
                "UPDATE agent_executions SET status = 'running', attempt = 1, worker = 'dead', "
                "max_attempts = 3, lease_expires_at = now() - interval '1 second' "
                "WHERE id = ANY ($1) AND status = 'pending'",
                executions[:5],
            )
            await asyncio.gather(*(w._sweep.once() for w in (first, second) * 3))
            reports = await desk.finals(executions)
            assert {report.status for report in reports} == {State.COMPLETED}
            assert {report.attempt for report in reports} <= {1, 2}
    numbers = await desk.database.ask("SELECT version FROM document_versions ORDER BY version")
    assert [row["version"] for row in numbers] == list(range(1, 51))
