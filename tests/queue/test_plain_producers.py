"""A service that knows only arq: its jobs are run, and `Job` tells it what became of them."""

import asyncio
import json
import pickle
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from arq.connections import ArqRedis, create_pool
from arq.jobs import Job, JobStatus, ResultNotFound, SerializationError
from arq.worker import JobExecutionFailed, async_check_health

from tests.queue.conftest import MakeWorker
from tests.queue.desk import Desk, eventually, new_id, request, running
from worker.queue.connection import to_arq_settings

CODECS: dict[str, dict[str, Any]] = {
    "pickle": {},
    "json": {
        "job_serializer": lambda job: json.dumps(job).encode(),
        "job_deserializer": json.loads,
    },
}


@pytest.fixture(params=["pickle", "json"])
async def producer(
    request: pytest.FixtureRequest, redis_url: str, queue_name: str
) -> AsyncIterator[ArqRedis]:
    """Open the queue as another service would: with arq alone."""
    settings = to_arq_settings(redis_url)
    pool = await create_pool(settings, default_queue_name=queue_name, **CODECS[request.param])
    yield pool
    await pool.aclose(close_connection_pool=True)


async def enqueue(producer: ArqRedis, **arguments: Any) -> Job:
    """Enqueue a good request, with `arguments` changed or added."""
    job = await producer.enqueue_job("run_agent", **request(**arguments))
    assert job is not None
    return job


async def test_a_producer_follows_its_job_from_queued_to_complete(
    producer: ArqRedis, make_worker: MakeWorker, desk: Desk
) -> None:
    """`Job.status()` tells queued, in progress, complete; `Job.result()` gives the answer."""
    job = await enqueue(producer)
    assert await job.status() == JobStatus.queued
    async with running(make_worker()):
        await eventually(lambda: desk.ids == [job.job_id])
        assert await job.status() == JobStatus.in_progress
        assert await desk.end(desk.deliveries) == [True]
    assert await job.status() == JobStatus.complete
    assert await job.result(timeout=5) == {"agent": "review"}
    assert await producer.zcard(producer.default_queue_name) == 0
    keys = await producer.keys(f"arq:*{job.job_id}")
    assert keys == [f"arq:result:{job.job_id}".encode()]


async def test_a_failure_is_raised_where_the_producer_asks(
    producer: ArqRedis, make_worker: MakeWorker
) -> None:
    """`Job.result()` raises what happened: arq's JobExecutionFailed, or the text under JSON."""
    job = await enqueue(producer)
    async with running(make_worker(Desk(fails="agent_failed: no text"))):
        with pytest.raises((JobExecutionFailed, SerializationError), match="agent_failed: no text"):
            await job.result(timeout=10, poll_delay=0.01)
    info = await job.result_info()
    assert info is not None
    assert not info.success
    assert info.kwargs == {}, "the input is not kept a second time"


async def test_a_result_is_made_of_plain_values_only(
    redis: ArqRedis, make_worker: MakeWorker, desk: Desk
) -> None:
    """A result that is not JSON becomes a failure that says so, in either codec."""
    job = await enqueue(redis)
    worker = make_worker()
    async with running(worker):
        await eventually(lambda: bool(desk.deliveries))
        now = datetime.now(UTC)
        ending = desk.deliveries[0].succeeded({"it": object()}, started=now, finished=now)
        assert await worker.finish([ending]) == [True]
    with pytest.raises(SerializationError, match="unable to serialize result"):
        await job.result(timeout=5)


async def test_ids_and_times_may_be_objects(redis: ArqRedis, make_worker: MakeWorker) -> None:
    """A pickling producer may pass UUIDs and aware datetimes as they are."""
    desk = Desk(ends=True)
    later = datetime.now(UTC) + timedelta(hours=1)
    project = uuid4()
    job = await enqueue(redis, project_id=project, requested_by=uuid4(), not_before=later)
    async with running(make_worker(desk)):
        await job.result(timeout=10, poll_delay=0.01)
    content: Any = desk.deliveries[0].content
    assert (content.project_id, content.not_before) == (project, later)


async def test_a_deferred_job_waits_and_starts_on_time(
    producer: ArqRedis, make_worker: MakeWorker
) -> None:
    """A job deferred by its producer is not taken before its time, nor found by poll only."""
    desk = Desk(ends=True)
    job = await producer.enqueue_job("run_agent", _defer_by=0.3, **request())
    assert job is not None
    due_ms = await producer.zscore(producer.default_queue_name, job.job_id)
    assert due_ms is not None
    async with running(make_worker(desk, poll_delay=3600)):
        assert await job.status() == JobStatus.deferred
        await eventually(lambda: desk.ids == [job.job_id])
        assert datetime.now(UTC).timestamp() * 1000 >= due_ms


async def test_the_same_job_id_twice_is_one_message(
    producer: ArqRedis, make_worker: MakeWorker
) -> None:
    """A second job of the same id is answered None, also while the first is under way."""
    desk, job_id = Desk(), new_id("order")
    async with running(make_worker(desk)):
        assert await producer.enqueue_job("run_agent", _job_id=job_id, **request())
        await eventually(lambda: desk.ids == [job_id])
        assert await producer.enqueue_job("run_agent", _job_id=job_id, **request()) is None


async def test_a_job_whose_payload_is_gone_has_expired(
    redis: ArqRedis, make_worker: MakeWorker, desk: Desk
) -> None:
    """As with arq itself, a lost payload ends as "job expired"; a lost hint just goes."""
    hint_id = "0198c0de-0000-7000-8000-0000000000aa"
    job = Job(new_id("order"), redis, redis.default_queue_name)
    await redis.zadd(redis.default_queue_name, {job.job_id: 1, hint_id: 1})
    async with running(make_worker()):
        with pytest.raises(JobExecutionFailed, match="job expired"):
            await job.result(timeout=10, poll_delay=0.01)
    assert not desk.deliveries
    hint = Job(hint_id, redis, redis.default_queue_name)
    assert await hint.status() == JobStatus.not_found


async def test_a_bad_job_tells_its_producer_why(
    producer: ArqRedis, make_worker: MakeWorker, desk: Desk
) -> None:
    """A producer that waits on a message that was set aside gets code and reason at once."""
    async with running(make_worker()):
        job = await enqueue(producer, project_id="default")
        with pytest.raises((JobExecutionFailed, SerializationError), match="project_required"):
            await job.result(timeout=10, poll_delay=0.01)
        other = await producer.enqueue_job("send_mail", **request())
        assert other is not None
        with pytest.raises((JobExecutionFailed, SerializationError), match="unknown_function"):
            await other.result(timeout=10, poll_delay=0.01)
    assert not desk.deliveries


async def test_arq_check_finds_a_healthy_worker(
    redis_url: str, queue_name: str, make_worker: MakeWorker, redis: ArqRedis
) -> None:
    """`arq --check` reads the health key that the worker keeps fresh through arq's own method."""
    settings = to_arq_settings(redis_url)
    with pytest.warns(DeprecationWarning, match="close"):  # arq still calls close()
        assert await async_check_health(settings, queue_name=queue_name) == 1
    async with running(make_worker(health_check_interval=0.05)):
        key = f"{queue_name}:health-check"
        await eventually(lambda: redis_has(redis, key))
        first = await redis.get(key)
        await redis.delete(key)
        await eventually(lambda: redis_has(redis, key))
    assert b"j_complete=0" in first
    with pytest.warns(DeprecationWarning, match="close"):
        assert await async_check_health(settings, queue_name=queue_name) == 0


async def redis_has(redis: ArqRedis, key: str) -> bool:
    """Return whether a key exists."""
    return bool(await redis.exists(key))


async def test_results_need_none_of_our_classes(redis: ArqRedis, make_worker: MakeWorker) -> None:
    """A producer can read its pickled result without copydesk being installed."""
    job = await enqueue(redis)
    async with running(make_worker(Desk(ends=True))):
        await job.result(timeout=10, poll_delay=0.01)
    raw = await redis.get(f"arq:result:{job.job_id}")
    assert b"copydesk" not in raw
    assert b"worker" not in raw
    assert pickle.loads(raw)["r"] == {"agent": "review"}  # noqa: S301 - made here


async def test_a_job_that_nobody_knows_is_not_found(redis: ArqRedis) -> None:
    """`Job.result()` of an unknown id raises ResultNotFound, as with arq itself."""
    with pytest.raises(ResultNotFound):
        await asyncio.wait_for(Job("nobody", redis, redis.default_queue_name).result(), 5)
