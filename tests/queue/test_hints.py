"""Hints: arq jobs of ids, many in a round trip, never in anybody's way."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from arq.connections import ArqRedis
from arq.jobs import Job, JobStatus
from structlog.testing import capture_logs

from tests.queue.conftest import MakeWorker
from tests.queue.desk import Desk, eventually, running
from tests.queue.redis_server import RedisServer
from worker.queue.connection import open_redis
from worker.queue.envelope import Hint
from worker.queue.hints import HintSender, HintToSend

DAY_MS = 86_400_000


def hint(**changes: datetime) -> HintToSend:
    """Make a hint for an execution of its own."""
    return HintToSend(uuid4(), uuid4(), **changes)


async def test_a_hint_is_an_arq_job_of_ids(redis: ArqRedis) -> None:
    """Any arq client sees it: its id is the execution's, its arguments are ids and a version."""
    sent = hint()
    assert await HintSender(redis).send([sent])
    job = Job(str(sent.execution_id), redis, redis.default_queue_name, _deserializer=json.loads)
    assert await job.status() == JobStatus.queued
    info = await job.info()
    assert info is not None
    assert (info.function, list(info.args)) == ("run_agent", [])
    assert info.kwargs == {
        "v": 1,
        "project_id": str(sent.project_id),
        "execution_id": str(sent.execution_id),
    }


async def test_a_hint_arrives_as_ids_and_leaves_no_trace(
    redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """The worker gets project and execution; nothing asks for its result, so none is kept."""
    desk = Desk(ends=True)
    worker = make_worker(desk, poll_delay=3600)
    hints = [hint() for _ in range(20)]
    async with running(worker):
        assert await HintSender(redis).send(hints)
        await eventually(lambda: worker.finished == 20)
    got = {delivery.content for delivery in desk.deliveries}
    assert got == {Hint(one.project_id, one.execution_id) for one in hints}
    for one in hints:
        assert await redis.keys(f"arq:*{one.execution_id}") == []


async def test_a_hint_for_later_is_due_then_and_kept_a_day_longer(redis: ArqRedis) -> None:
    """The payload outlives its due time by a day, so a late worker still finds it."""
    due = datetime.now(UTC) + timedelta(hours=5)
    sent, now = hint(due_at=due), hint(due_at=datetime.now(UTC) - timedelta(hours=5))
    assert await HintSender(redis).send([sent, now])
    score = await redis.zscore(redis.default_queue_name, str(sent.execution_id))
    assert score == int(due.timestamp() * 1000)
    kept = await redis.pttl(f"arq:job:{sent.execution_id}")
    assert DAY_MS + 4 * 3_600_000 < kept <= DAY_MS + 5 * 3_600_000
    assert 0 < await redis.pttl(f"arq:job:{now.execution_id}") <= DAY_MS


async def test_a_second_hint_disturbs_neither_a_waiting_nor_a_running_message(
    redis: ArqRedis, make_worker: MakeWorker, desk: Desk
) -> None:
    """Ten hints for one execution are one message, also while it is under way."""
    sender, sent = HintSender(redis), hint()
    async with running(make_worker()):
        assert await sender.send([sent])
        await eventually(lambda: len(desk.ids) == 1)
        claimed = await redis.zscore(redis.default_queue_name, str(sent.execution_id))
        for _ in range(10):
            assert await sender.send([sent])
        score = await redis.zscore(redis.default_queue_name, str(sent.execution_id))
        assert score == claimed
    assert len(desk.ids) == 1


async def test_sending_nothing_is_nothing(redis: ArqRedis) -> None:
    """An empty batch asks nothing of Redis."""
    assert await HintSender(redis).send([])
    assert not await redis.exists(redis.default_queue_name)


async def test_redis_down_costs_callers_next_to_nothing(
    own_server: RedisServer, own_redis: ArqRedis
) -> None:
    """No exception; after the first fault hints are dropped for a moment; one line each way."""
    sender = HintSender(own_redis)
    assert await sender.send([hint()])
    own_server.kill()
    with capture_logs() as lines:
        assert not await sender.send([hint()])
        started = time.monotonic()
        for _ in range(1000):
            assert not await sender.send([hint()])
            if time.monotonic() > started + 0.1:
                break
        own_server.start()

        async def sent() -> bool:
            return await sender.send([hint()])

        await eventually(sent)
    assert [line["event"] for line in lines] == ["redis_unavailable", "redis_available"]


async def test_a_silent_redis_costs_a_caller_no_more_than_its_patience() -> None:
    """A server that takes the connection and says nothing is given up after `patience`."""
    heard: list[asyncio.StreamWriter] = []

    async def swallow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(writer)

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    redis = open_redis(f"redis://127.0.0.1:{port}", queue_name="q")
    started = time.monotonic()
    sender = HintSender(redis, patience=timedelta(milliseconds=100))
    assert not await sender.send([hint()])
    assert time.monotonic() - started < 3
    await redis.aclose()
    for writer in heard:
        writer.close()
    server.close()
