"""Signals: news by project, validated, reconnecting, and never an exception."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
from arq.connections import ArqRedis
from structlog.testing import capture_logs

from tests.queue.desk import eventually
from tests.queue.redis_server import RedisServer
from worker.queue.signals import Signals

Heard = list[tuple[UUID, UUID]]


@asynccontextmanager
async def listening(redis: ArqRedis, heard: Heard) -> AsyncIterator[None]:
    """Note cancellations in `heard` while in the context."""
    before = await listeners(redis)
    task = asyncio.create_task(
        Signals(redis).listen_cancel(lambda project, execution: heard.append((project, execution)))
    )
    try:
        await eventually(lambda: more_listeners(redis, before))
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def listeners(redis: ArqRedis) -> int:
    """Return how many connections are subscribed."""
    return len(await redis.client_list(_type="pubsub"))


async def more_listeners(redis: ArqRedis, than: int) -> bool:
    """Return whether more than so many connections are subscribed."""
    return await listeners(redis) > than


async def test_a_cancellation_reaches_every_listener(own_redis: ArqRedis) -> None:
    """Each worker hears project and execution."""
    first: Heard = []
    second: Heard = []
    project, execution = uuid4(), uuid4()
    async with listening(own_redis, first), listening(own_redis, second):
        assert await Signals(own_redis).publish_cancel(project, execution)
        await eventually(lambda: first == [(project, execution)])
        await eventually(lambda: second == [(project, execution)])


@pytest.mark.parametrize(
    ("channel", "data"),
    [
        ("proj:default:cancel", "0198c0de-0000-7000-8000-000000000001"),
        ("proj::cancel", "0198c0de-0000-7000-8000-000000000001"),
        ("proj:0198c0de-0000-7000-8000-000000000002:x:cancel", "x"),
        ("proj:0198c0de-0000-7000-8000-000000000002:cancel", ""),
        ("proj:0198c0de-0000-7000-8000-000000000002:cancel", "*"),
        ("proj:0198c0de-0000-7000-8000-000000000002:cancel", b"\xff"),
        ("proj:0198c0de-0000-7000-8000-000000000002:cancel", "x" * 1_000_000),
        (b"proj:\xff:cancel", "0198c0de-0000-7000-8000-000000000001"),
    ],
    ids=lambda value: str(value)[:48],
)
async def test_news_that_is_not_made_of_ids_is_ignored(
    own_redis: ArqRedis, channel: str, data: str
) -> None:
    """What anyone may publish is checked, and the next good signal is heard."""
    heard: Heard = []
    project, execution = uuid4(), uuid4()
    async with listening(own_redis, heard):
        await own_redis.publish(channel, data)
        await Signals(own_redis).publish_cancel(project, execution)
        await eventually(lambda: heard == [(project, execution)])


async def test_a_fault_in_the_callback_does_not_end_the_listener(own_redis: ArqRedis) -> None:
    """It is logged, and the next cancellation is heard."""
    heard: list[UUID] = []

    def stumble(_: UUID, execution: UUID) -> None:
        heard.append(execution)
        if len(heard) == 1:
            raise RuntimeError("once")

    signals = Signals(own_redis)
    task = asyncio.create_task(signals.listen_cancel(stumble))
    await eventually(lambda: more_listeners(own_redis, 0))
    await signals.publish_cancel(uuid4(), uuid4())
    await eventually(lambda: len(heard) == 1)

    async def heard_again() -> bool:
        await signals.publish_cancel(uuid4(), uuid4())
        return len(heard) > 1

    await eventually(heard_again)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_whoever_waits_is_woken_by_the_ending(own_redis: ArqRedis) -> None:
    """`wait` is True at once when an execution of the project ended, False after its time."""
    signals, project, execution = Signals(own_redis), uuid4(), uuid4()
    async with signals.ended(project, [execution]) as ended:
        assert await ended.wait(10), "the subscription took effect: look once"
        assert not await ended.wait(0.01)
        assert await signals.publish_ended({project: [uuid4(), execution]})
        assert await ended.wait(10)
        assert not await ended.wait(0.01)


async def test_other_executions_and_projects_do_not_wake_it(own_redis: ArqRedis) -> None:
    """News of others is not news; without executions named, all of the project are."""
    signals, project, mine = Signals(own_redis), uuid4(), uuid4()
    async with signals.ended(project, [mine]) as one, signals.ended(project) as whole:
        assert await one.wait(10)
        await whole.wait(0.01)
        await signals.publish_ended({uuid4(): [mine]})
        await signals.publish_ended({project: [uuid4()]})
        assert await whole.wait(10)
        assert not await one.wait(0.01)


async def test_many_endings_are_told_in_one_call(own_redis: ArqRedis) -> None:
    """A large batch reaches the one who waits for its last execution."""
    signals, project = Signals(own_redis), uuid4()
    many = [uuid4() for _ in range(1200)]
    async with signals.ended(project, many[-1:]) as ended:
        assert await ended.wait(10)
        assert await signals.publish_ended({project: many})
        assert await ended.wait(10)
    assert await signals.publish_ended({project: []})


async def test_one_connection_serves_all_waits_until_it_is_closed(own_redis: ArqRedis) -> None:
    """A thousand waits of a process are one subscriber of Redis, of what is waited for only."""
    signals, project = Signals(own_redis), uuid4()
    async with signals.ended(project) as first:
        assert await first.wait(10)
        async with signals.ended(project), signals.ended(uuid4()) as third:
            assert await third.wait(10)
            assert len(await own_redis.client_list(_type="pubsub")) == 1
    await eventually(lambda: nobody_listens(own_redis))
    async with signals.ended(project) as again:
        assert await again.wait(10)
        async with signals.ended(project) as beside:
            assert await beside.wait(10), "listened to already: look once"
    await signals.close()
    await eventually(lambda: nobody_is_subscribed(own_redis))
    async with signals.ended(project) as anew:
        assert await anew.wait(10)
    await signals.close()


async def nobody_listens(redis: ArqRedis) -> bool:
    """Return whether no channel is subscribed."""
    return bool(await redis.pubsub_channels() == [])


async def nobody_is_subscribed(redis: ArqRedis) -> bool:
    """Return whether no connection is left that listens."""
    return await listeners(redis) == 0


async def test_a_listener_that_hears_nothing_yet_says_that_redis_is_back(
    own_server: RedisServer, own_redis: ArqRedis
) -> None:
    """Kept from one wait to the next, it is degraded once, and well again once."""
    signals = Signals(own_redis)
    async with signals.ended(uuid4()) as ended:
        assert await ended.wait(10)
    with capture_logs() as logs:

        def said(event: str) -> bool:
            return [line["event"] for line in logs].count(event) == 1

        own_server.kill()
        await eventually(lambda: said("redis_unavailable"))
        own_server.start()
        await eventually(lambda: said("redis_available"))
    await signals.close()


async def test_signals_survive_a_restart_and_never_raise(
    own_server: RedisServer, own_redis: ArqRedis
) -> None:
    """Redis down: publishing says False, waiting goes on; back: whoever waits looks again."""
    signals, project, execution = Signals(own_redis), uuid4(), uuid4()
    heard: Heard = []
    async with listening(own_redis, heard), signals.ended(project, [execution]) as ended:
        assert await ended.wait(10)
        own_server.kill()
        assert not await signals.publish_cancel(project, execution)
        assert not await signals.publish_ended({project: [execution]})
        assert not await ended.wait(0.01)
        own_server.start()
        assert await ended.wait(10), "news may have been missed: look once"

        async def cancelled() -> bool:
            await signals.publish_cancel(project, execution)
            return (project, execution) in heard

        await eventually(cancelled)
        await eventually(lambda: publish(signals, project, execution))
        assert await ended.wait(10)


async def publish(signals: Signals, project: UUID, execution: UUID) -> bool:
    """Publish an ending; return whether Redis took it."""
    return await signals.publish_ended({project: [execution]})
