"""Redis killed, flushed, cut and full: the loop goes on, and says so once."""

from typing import Any

import pytest
import structlog
from arq.connections import ArqRedis
from redis.exceptions import RedisError
from structlog.testing import capture_logs

from tests.queue.conftest import MakeWorker
from tests.queue.desk import Desk, eventually, new_id, request, running
from tests.queue.redis_server import RedisServer
from worker.queue.connection import open_redis
from worker.queue.outage import Outage, describe_fault


async def enqueue(redis: ArqRedis) -> str:
    """Enqueue a good request, as soon as Redis takes it."""
    job_id = new_id("job")

    async def taken() -> bool:
        try:
            await redis.enqueue_job("run_agent", _job_id=job_id, **request())
        except (RedisError, OSError):
            return False
        return True

    await eventually(taken)
    return job_id


async def test_a_restart_of_redis_is_waited_out(
    own_server: RedisServer, own_redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """Killed and started again under load: the loop goes on, and one line says each change."""
    desk = Desk(ends=True)
    worker = make_worker(desk, redis_pool=own_redis, poll_delay=0.1)
    with capture_logs() as lines:
        async with running(worker):
            before = await enqueue(own_redis)
            await eventually(lambda: before in desk.ids)
            for _ in range(2):
                own_server.kill()
                await eventually(lambda: worker._taking.pausing)
                own_server.start()
                after = await enqueue(own_redis)
                await eventually(lambda name=after: name in desk.ids)  # type: ignore[misc]
                await eventually(lambda: not worker._taking.pausing)
    said = [line["event"] for line in lines if line.get("part") == "queue"]
    assert said == ["redis_unavailable", "redis_available"] * 2


async def test_a_message_under_way_outlives_a_restart(
    own_server: RedisServer, own_redis: ArqRedis, make_worker: MakeWorker, desk: Desk
) -> None:
    """What Redis still remembers afterwards is ended as if nothing had happened."""
    worker = make_worker(redis_pool=own_redis)
    async with running(worker):
        job_id = await enqueue(own_redis)
        await eventually(lambda: desk.ids == [job_id])
        own_server.kill()
        assert await desk.end(desk.deliveries) == [False], "no answer, and no exception"
        assert await worker.extend([job_id.encode()]) == [False]
        assert await worker.defer([(job_id.encode(), 1)]) == [False]
        assert await worker.quarantine(job_id.encode(), b"", "code", "reason") is False
        own_server.start()
        await eventually(lambda: answers(own_redis))
        assert await desk.end(desk.deliveries) == [True]
    assert await own_redis.exists(f"arq:result:{job_id}")


async def answers(redis: ArqRedis) -> bool:
    """Return whether Redis answers."""
    try:
        return bool(await redis.ping())
    except (RedisError, OSError):
        return False


async def test_a_worker_starts_while_redis_is_down(
    own_server: RedisServer, own_redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """It waits, and begins when Redis is there."""
    own_server.kill()
    desk = Desk(ends=True)
    worker = make_worker(desk, redis_pool=own_redis)
    async with running(worker):
        await eventually(lambda: worker._taking.pausing)
        own_server.start()
        job_id = await enqueue(own_redis)
        await eventually(lambda: desk.ids == [job_id])


async def test_a_flush_loses_hints_and_nothing_else(
    own_redis: ArqRedis, make_worker: MakeWorker, desk: Desk
) -> None:
    """FLUSHALL takes messages, claims and scripts with it; the next message is handled."""
    worker = make_worker(redis_pool=own_redis, poll_delay=3600)
    async with running(worker):
        first = await enqueue(own_redis)
        await eventually(lambda: desk.ids == [first])
        await own_redis.flushall()
        await own_redis.script_flush()
        assert await worker.extend([first.encode()]) == [False]
        assert await desk.end(desk.deliveries) == [True], "the answer is still worth keeping"
        second = await enqueue(own_redis)
        await eventually(lambda: desk.ids == [first, second])


async def test_links_that_are_cut_again_and_again_are_replaced(
    own_redis: ArqRedis, own_server: RedisServer, make_worker: MakeWorker
) -> None:
    """CLIENT KILL of every connection between messages costs nothing but a moment."""
    desk = Desk(ends=True)
    worker = make_worker(desk, redis_pool=own_redis)
    killer = open_redis(own_server.url, queue_name="none")
    async with running(worker):
        for number in range(1, 11):
            for kind in ("normal", "pubsub"):
                await killer.client_kill_filter(_type=kind, skipme=True)
            await enqueue(own_redis)
            await eventually(lambda done=number: worker.finished == done)  # type: ignore[misc]
    await killer.aclose()


async def test_a_full_redis_still_lets_messages_end(
    own_redis: ArqRedis, make_worker: MakeWorker, desk: Desk
) -> None:
    """With noeviction and no memory left, claims wait, endings go through, then all goes on."""
    worker = make_worker(redis_pool=own_redis)
    async with running(worker):
        first = await enqueue(own_redis)
        await eventually(lambda: desk.ids == [first])
        second = await enqueue_later(own_redis)
        await own_redis.config_set("maxmemory", "1")
        assert await desk.end(desk.deliveries) == [True]
        await eventually(lambda: worker._taking.pausing)
        await own_redis.config_set("maxmemory", "0")
        await eventually(lambda: desk.ids == [first, second])


async def enqueue_later(redis: ArqRedis) -> str:
    """Enqueue a request that is due in a third of a second."""
    job = await redis.enqueue_job("run_agent", _defer_by=0.3, **request())
    assert job is not None
    return job.job_id


async def test_a_queue_of_the_wrong_type_is_waited_out(
    redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """Somebody's list under the queue's name is a fault like another; it goes, work comes."""
    await redis.lpush(redis.default_queue_name, "x")  # type: ignore[misc]
    desk = Desk(ends=True)
    worker = make_worker(desk)
    async with running(worker):
        await eventually(lambda: worker._taking.pausing)
        await redis.delete(redis.default_queue_name)
        job_id = await enqueue(redis)
        await eventually(lambda: desk.ids == [job_id])


async def test_faults_of_the_program_are_logged_with_their_traceback(
    redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """A handler whose capacity raises is heard of, and asked again."""

    class Broken(Desk):
        faults = 0

        def capacity(self) -> int:
            self.faults += 1
            if self.faults == 1:
                raise RuntimeError("once")
            return super().capacity()

    desk = Broken(ends=True)
    with capture_logs() as lines:
        async with running(make_worker(desk)):
            job_id = await enqueue(redis)
            await eventually(lambda: desk.ids == [job_id])
    assert [line["event"] for line in lines].count("queue_fault") == 1


def test_a_fault_is_described_without_the_command_that_met_it() -> None:
    """Redis errors may repeat the command with its payload; only link faults tell their text."""
    secret = RedisError("Command # 1 (SET key c4n4ry) of pipeline caused error: OOM")
    assert describe_fault(secret) == "RedisError"
    with capture_logs() as lines:
        Outage("test").failed(secret)
    assert "c4n4ry" not in repr(lines)


@pytest.fixture(autouse=True)
def _fresh_structlog() -> Any:
    structlog.reset_defaults()
