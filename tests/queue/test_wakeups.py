"""When a worker looks into the queue; the poll is an hour away here, so what wakes it is known."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from arq.connections import ArqRedis, create_pool

from tests.queue.conftest import MakeWorker
from tests.queue.desk import Desk, eventually, request, running
from tests.queue.proxy import Proxy
from worker.queue.connection import open_redis, to_arq_settings

HOUR = 3600.0


async def test_a_plain_producer_wakes_an_idle_worker(
    redis_url: str, redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """Redis itself reports the change, so a producer that knows only arq wakes workers at once."""
    desk = Desk(ends=True)
    worker = make_worker(desk, poll_delay=HOUR)
    settings = to_arq_settings(redis_url)
    producer = await create_pool(settings, default_queue_name=redis.default_queue_name)
    async with running(worker):
        for number in range(1, 6):
            assert await producer.enqueue_job("run_agent", **request())
            await eventually(lambda done=number: worker.finished == done)  # type: ignore[misc]
        # A look may come a moment before a message is due, and then finds it by its time.
        await eventually(lambda: worker.wakes_by_hint + worker.wakes_by_poll == 5)
    assert worker.wakes_by_hint > 0
    await producer.aclose(close_connection_pool=True)


def count_looks(worker: Any) -> Callable[[], int]:
    """Return a function that tells how often `worker` has looked into its queue."""
    claim, looks = worker._moves.claim, []

    async def counted(room: int) -> Any:
        looks.append(room)
        return await claim(room)

    worker._moves.claim = counted
    return lambda: len(looks)


async def settled(looks: Callable[[], int]) -> None:
    """Return when the number of looks has not changed for a tenth of a second."""
    before = -1
    while before != looks():
        before = looks()
        await asyncio.sleep(0.1)


async def test_an_idle_worker_does_not_spin(redis: ArqRedis, make_worker: MakeWorker) -> None:
    """Its own claims and endings change the queue too, and must not keep it busy."""
    desk = Desk(ends=True)
    worker = make_worker(desk, poll_delay=HOUR)
    looks = count_looks(worker)
    async with running(worker):
        for _ in range(20):
            assert await redis.enqueue_job("run_agent", **request())
        await eventually(lambda: worker.finished == 20)
        await settled(looks)
    assert looks() < 100


async def test_the_poll_stands_behind_the_wake_ups(
    redis: ArqRedis, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Redis refuses tracking, messages are found all the same."""

    async def refused(*_: object) -> None:
        raise ConnectionError("no tracking here")

    monkeypatch.setattr("worker.queue.wakeups.WakeUps._track", refused)
    desk = Desk(ends=True)
    worker = make_worker(desk, poll_delay=0.05)
    async with running(worker):
        for number in range(1, 4):
            assert await redis.enqueue_job("run_agent", **request())
            await eventually(lambda done=number: worker.finished == done)  # type: ignore[misc]
        await eventually(lambda: worker.wakes_by_poll == 3)
    assert worker.wakes_by_hint == 0


async def test_a_frozen_link_is_given_up_and_replaced(
    redis_url: str, redis: ArqRedis, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half-open connection says nothing for ever; the worker asks, and dials anew."""
    monkeypatch.setattr("worker.queue.subscription.SILENCE", 0.1)
    monkeypatch.setattr("worker.queue.connection.ANSWER_TIMEOUT", 0.5)
    desk = Desk(ends=True)
    async with Proxy(redis_url) as proxy:
        through = open_redis(proxy.url, queue_name=redis.default_queue_name)
        worker = make_worker(desk, poll_delay=HOUR, redis_pool=through)
        looks = count_looks(worker)
        async with running(worker):
            assert await redis.enqueue_job("run_agent", **request())
            await eventually(lambda: worker.finished == 1)
            await settled(looks)
            proxy.freeze()
            assert await redis.enqueue_job("run_agent", **request())
            await eventually(lambda: worker.finished == 2)
        await through.aclose()


async def test_a_burst_ends_when_nothing_is_due_or_under_way(
    redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """`burst` does what is there, waits for what it began, leaves what is not due, and returns."""
    desk = Desk()
    worker = make_worker(desk, burst=True, poll_delay=HOUR)
    for _ in range(3):
        assert await redis.enqueue_job("run_agent", **request())
    assert await redis.enqueue_job("run_agent", _defer_by=60, **request())
    main = asyncio.create_task(worker.main())
    await eventually(lambda: len(desk.ids) == 3)
    assert not main.done()
    await desk.end(desk.deliveries)
    await asyncio.wait_for(main, 10)
    assert worker.finished == 3
    assert await redis.zcard(redis.default_queue_name) == 1


async def test_a_burst_on_an_empty_queue_ends_at_once(make_worker: MakeWorker) -> None:
    """There is nothing to wait for; arq's own `async_run` and `close` work as well."""
    worker = make_worker(burst=True, poll_delay=HOUR)
    await asyncio.wait_for(worker.async_run(), 10)
    await worker.close()


async def test_a_quiet_worker_claims_nothing_more_and_ends_when_drained(
    redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """After `quiet` others get the new messages; `main` ends with the last one under way."""
    desk = Desk()
    worker = make_worker(desk, poll_delay=HOUR)
    assert await redis.enqueue_job("run_agent", **request())
    main = asyncio.create_task(worker.main())
    await eventually(lambda: len(desk.ids) == 1)
    worker.quiet()
    job = await redis.enqueue_job("run_agent", **request())
    assert job is not None
    other = Desk(ends=True)
    async with running(make_worker(other, poll_delay=HOUR)):
        await eventually(lambda: other.ids == [job.job_id])
    assert not main.done()
    await desk.end(desk.deliveries)
    await asyncio.wait_for(main, 10)
    assert len(desk.ids) == 1


async def test_close_ends_a_worker_that_arq_started(make_worker: MakeWorker) -> None:
    """`async_run` and `close` are what arq's own command line uses."""
    worker = make_worker(poll_delay=HOUR)
    running_task = asyncio.create_task(worker.async_run())
    await eventually(lambda: worker.main_task is not None)
    await worker.close()
    with pytest.raises(asyncio.CancelledError):
        await running_task
