"""Messages and rows: what a queue message may bring about, and for whom."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from arq.connections import ArqRedis, create_pool
from arq.jobs import Job, JobStatus
from arq.worker import JobExecutionFailed

from tests.support.desk import Desk
from tests.support.waiting import until
from tests.support.workers import running_worker
from worker.queue.connection import to_arq_settings
from worker.settings import Settings, secret


@pytest.fixture
async def arq(settings: Settings) -> AsyncIterator[ArqRedis]:
    """A producer that knows only arq."""
    pool = await create_pool(to_arq_settings(secret(settings.redis_url)))
    yield pool
    await pool.aclose()


async def enqueued(arq: ArqRedis, **arguments: Any) -> Job:
    """Enqueue with plain arq."""
    job = await arq.enqueue_job("run_agent", **arguments)
    assert job is not None
    return job


async def test_a_message_that_mixes_two_projects_learns_nothing_and_harms_nobody(
    settings: Settings, desk: Desk, arq: ArqRedis
) -> None:
    """Project A with an execution of B: `not_found`, while B's own producer gets its result."""
    stranger = await desk.database.add_project(desk.user)
    async with running_worker(settings):
        own = await enqueued(
            arq,
            project_id=str(desk.project),
            agent_type="gated",
            input=desk.gate(),
            requested_by=str(desk.user),
        )
        await desk.begun()
        [row] = await desk.database.ask("SELECT id FROM agent_executions")
        mixed = await enqueued(arq, v=1, project_id=str(stranger), execution_id=str(row["id"]))
        with pytest.raises(JobExecutionFailed, match="not_found"):
            await mixed.result(timeout=10, poll_delay=0.01)
        assert await own.status() == JobStatus.in_progress
        desk.open_gate()
        result = await own.result(timeout=10, poll_delay=0.01)
        assert result["execution_id"] == str(row["id"])
    [row] = await desk.database.ask("SELECT count(*) AS n, max(attempt) AS a FROM agent_executions")
    assert (row["n"], row["a"]) == (1, 1)


async def test_two_messages_for_one_execution_run_it_once_and_both_learn_the_end(
    settings: Settings, desk: Desk, arq: ArqRedis
) -> None:
    """A replayed message joins the attempt that is under way."""
    execution = await desk.enqueue("gated", desk.gate())
    async with running_worker(settings):
        await desk.begun()
        ids = {"v": 1, "project_id": str(desk.project), "execution_id": str(execution)}
        jobs = [await enqueued(arq, **ids), await enqueued(arq, **ids)]
        for job in jobs:
            await until(partial(in_progress, job), what="the message was taken")
        desk.open_gate()
        results = await asyncio.gather(*(j.result(timeout=10, poll_delay=0.01) for j in jobs))
    assert [result["execution_id"] for result in results] == [str(execution)] * 2
    assert (await desk.row(execution))["attempt"] == 1


async def in_progress(job: Job) -> bool:
    """Whether a worker has the message."""
    return await job.status() == JobStatus.in_progress


async def test_messages_with_long_ids_are_told_apart(
    settings: Settings, desk: Desk, arq: ArqRedis
) -> None:
    """Two ids that differ only after 300 characters are two executions."""
    request = {
        "project_id": str(desk.project),
        "agent_type": "echo",
        "requested_by": str(desk.user),
    }
    async with running_worker(settings):
        jobs = [
            await enqueued(arq, **request, input={}, _job_id="x" * 300 + end) for end in ("a", "b")
        ]
        results = [await job.result(timeout=10, poll_delay=0.01) for job in jobs]
    assert results[0]["execution_id"] != results[1]["execution_id"]
