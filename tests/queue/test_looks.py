"""What makes it worth to look into the queue at once, and what can wait for a moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import pytest
from arq.connections import ArqRedis

from tests.queue.desk import eventually, request
from worker.queue.moves import QueueMoves, Result
from worker.queue.wakeups import WakeUps

HOUR = 3600.0


@pytest.fixture
async def wakes(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WakeUps]:
    """Listen to the test's queue; the poll is an hour away, and so is a look after a move."""
    monkeypatch.setattr("worker.queue.wakeups._AFTER_MOVE", HOUR)
    wakes = WakeUps(redis, redis.default_queue_name, poll_delay=HOUR)
    listening = asyncio.create_task(wakes.run())
    # It has subscribed, and may have missed something until now.
    assert await asyncio.wait_for(wakes.wait(None), 10) == "hint"
    yield wakes
    listening.cancel()
    await asyncio.wait([listening])


async def test_neighbouring_keys_do_not_wake_it(redis: ArqRedis, wakes: WakeUps) -> None:
    """Keys that merely begin like the queue's name are none of its business."""
    looks = 0

    async def look() -> None:
        nonlocal looks
        while True:
            await wakes.wait(None)
            looks += 1

    looking = asyncio.create_task(look())
    for _ in range(20):
        await redis.set(f"{redis.default_queue_name}:other", "x")
    await redis.publish(f"{redis.default_queue_name}:other", "x")
    assert await redis.enqueue_job("run_agent", **request())
    await eventually(lambda: looks > 0)
    assert looks == 1
    looking.cancel()
    await redis.delete(f"{redis.default_queue_name}:other")


async def test_moves_of_workers_do_not_hurry_anyone_and_new_messages_do(
    redis: ArqRedis, wakes: WakeUps
) -> None:
    """Of all that changes the queue, only what makes it grow is worth an immediate look."""
    moves, longer = (
        QueueMoves(
            redis,
            queue_name=redis.default_queue_name,
            owner="a worker",
            lease=timedelta(seconds=seconds),
            message_limit=1000,
        )
        for seconds in (30, 60)
    )
    # Due for a second: the clocks of producer and Redis may differ by a part of one.
    assert await redis.enqueue_job("run_agent", _defer_by=-1, **request())
    assert await asyncio.wait_for(wakes.wait(None), 10) == "hint"

    async def claimed() -> bytes:
        [message] = (await moves.claim(1)).messages
        return message.job_id

    job_id = await claimed()
    await heard_but_not_hurried(wakes)
    assert await longer.extend([job_id]) == [True]
    await heard_but_not_hurried(wakes)
    assert await moves.defer([(job_id, 0)]) == [True]
    await heard_but_not_hurried(wakes)
    assert await moves.finish([Result(await claimed(), b"", 0)]) == [True]
    await heard_but_not_hurried(wakes)

    waiting = asyncio.create_task(wakes.wait(None))
    assert await redis.enqueue_job("run_agent", **request())
    assert await asyncio.wait_for(waiting, 10) == "hint"
    assert not await redis.exists(f"{redis.default_queue_name}:moved")


async def heard_but_not_hurried(wakes: WakeUps) -> None:
    """Check that a change was heard of which `wait` would make nothing yet; forget it."""
    await eventually(wakes._changed.is_set)
    assert not wakes._grew.is_set()
    wakes._changed.clear()


async def test_a_look_follows_a_move_all_the_same(
    redis: ArqRedis, wakes: WakeUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that was given back, or came in the same instant, is found without the poll."""
    monkeypatch.setattr("worker.queue.wakeups._AFTER_MOVE", 0.001)
    both = redis.register_script(
        "redis.call('ZADD', KEYS[1], 1, 'new') redis.call('SET', KEYS[1] .. ':moved', '', 'PX', 1)"
    )
    await both([redis.default_queue_name])
    assert await asyncio.wait_for(wakes.wait(None), 10) == "hint"
    assert not wakes._grew.is_set()


async def test_what_comes_right_after_a_look_is_found_together(
    wakes: WakeUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks are spaced, so that what a caller sends in one go does not come one by one."""
    wakes.wake()
    assert await asyncio.wait_for(wakes.wait(None), 10) == "hint"
    monkeypatch.setattr("worker.queue.wakeups._SPACING", HOUR)
    wakes.looked()
    wakes.wake()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wakes.wait(None), 0.05)


async def test_a_swallowed_cancellation_still_ends_the_wait(redis: ArqRedis) -> None:
    """Python 3.11's wait_for, and redis-py with it, may eat one; it is found before a long wait."""
    wakes = WakeUps(redis, redis.default_queue_name, poll_delay=HOUR)

    async def eats_one() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(HOUR)
        await wakes.wait(None)

    task = asyncio.create_task(eats_one())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
