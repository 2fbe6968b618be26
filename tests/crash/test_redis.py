"""Redis flushed, stalled and cut short under load: latency, never work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError

from models.states import State
from tests.crash.conftest import StartWorker
from tests.queue.redis_server import RedisServer
from tests.support.desk import Desk
from tests.support.invariants import check
from tests.support.waiting import until
from worker.settings import Settings


@pytest.fixture
def settings(settings: Settings, own_redis: RedisServer) -> Settings:
    """The Redis is the test's own, to be broken."""
    return settings.model_copy(update={"redis_url": SecretStr(own_redis.url)})


@pytest.fixture
async def vandal(own_redis: RedisServer) -> AsyncIterator[Redis]:
    """A connection for breaking it."""
    async with Redis.from_url(own_redis.url, socket_timeout=30) as redis:
        yield redis


async def all_done(desk: Desk, executions: int) -> None:
    """Check that everything ended as it should, and that work goes on."""
    assert (await desk.run("echo", {"value": 1})).status == State.COMPLETED
    rows = await desk.database.ask("SELECT status, count(*) AS n FROM agent_executions GROUP BY 1")
    assert {row["status"]: row["n"] for row in rows} == {"completed": executions + 1}
    await check(desk.database)


async def test_redis_flushed_again_and_again_under_load_delays_and_loses_nothing(
    start_worker: StartWorker, desk: Desk, vandal: Redis
) -> None:
    """F17: whatever was in flight between row and hint is found by a sweep."""
    async with start_worker():
        executions = []
        for _ in range(20):
            executions += await asyncio.gather(
                *(desk.enqueue("echo", {"document_type": "notes"}) for _ in range(5))
            )
            await vandal.flushall()
        reports = await desk.finals(executions)
        assert {(r.status, r.attempt) for r in reports} == {(State.COMPLETED, 1)}
        await all_done(desk, 100)


async def test_redis_that_comes_back_without_its_last_writes_costs_latency_only(
    start_worker: StartWorker, desk: Desk, own_redis: RedisServer, tmp_path: Path
) -> None:
    """F18: killed, the end of its file cut off, started again."""
    async with start_worker(concurrency=2) as worker:
        begun = [await desk.enqueue("gated", desk.gate(f"gate-{n}")) for n in range(2)]
        for n in range(2):
            await desk.begun(f"gate-{n}")
        executions = [await desk.enqueue("echo", {"document_type": "notes"}) for _ in range(20)]
        own_redis.kill()
        [log] = (tmp_path / "redis" / "appendonlydir").glob("*.incr.aof")
        written = log.read_bytes()
        log.write_bytes(written[: len(written) // 2 + 1])
        own_redis.start()
        for n in range(2):
            desk.open_gate(f"gate-{n}")
        reports = await desk.finals([*begun, *executions])
        assert {(r.status, r.attempt) for r in reports} == {(State.COMPLETED, 1)}
        await all_done(desk, 22)
        assert "Traceback" not in worker.log


async def test_a_redis_that_stalls_longer_than_anybody_waits_stops_nobody(
    start_worker: StartWorker, desk: Desk, vandal: Redis
) -> None:
    """F19: while it sleeps, enqueues are accepted, sweeps claim, and outcomes are recorded."""
    async with start_worker() as worker:
        before = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        asleep = asyncio.create_task(command(vandal, "DEBUG", "SLEEP", "8"))
        executions = [await desk.enqueue("echo", {"document_type": "notes"}) for _ in range(5)]
        reports = await desk.finals(executions, within=6)
        assert not asleep.done(), "all of it happened while Redis said nothing"
        desk.open_gate()
        reports.append(await desk.final(before, within=6))
        await asleep
        await until(lambda: '"redis_available"' in worker.log)
        assert {(r.status, r.attempt) for r in reports} == {(State.COMPLETED, 1)}
        await all_done(desk, 6)


async def test_connections_to_redis_cut_all_the_time_stop_nobody(
    start_worker: StartWorker, desk: Desk, vandal: Redis
) -> None:
    """F20: the worker's, the client's, and those that listen."""
    async with start_worker() as worker:
        over = asyncio.Event()
        cutting = asyncio.create_task(cut_until(over, vandal))
        executions = [await desk.enqueue("echo", {"document_type": "notes"}) for _ in range(60)]
        reports = await desk.finals(executions)
        over.set()
        await cutting
        assert {(r.status, r.attempt) for r in reports} == {(State.COMPLETED, 1)}
        await all_done(desk, 60)
        assert "Traceback" not in worker.log


async def command(vandal: Redis, *words: str) -> None:
    """Send what the library has no method for."""
    await vandal.execute_command(*words)  # type: ignore[no-untyped-call]


async def cut_until(over: asyncio.Event, vandal: Redis) -> None:
    """Cut everybody else's connections, again and again."""
    while not over.is_set():
        for kind in ("normal", "pubsub"):
            with suppress(RedisError):
                await command(vandal, "CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        await asyncio.sleep(0.005)


async def test_what_is_enqueued_while_redis_is_down_runs_at_once_by_sweep(
    start_worker: StartWorker, desk: Desk, own_redis: RedisServer
) -> None:
    """F23: accepted while it is down, also by a client that has never seen it up."""
    own_redis.kill()
    async with start_worker() as worker:
        executions = [await desk.enqueue("echo", {"document_type": "notes"}) for _ in range(5)]
        reports = await desk.finals(executions)
        own_redis.start()
        await until(lambda: '"redis_available"' in worker.log)
        assert {(r.status, r.attempt) for r in reports} == {(State.COMPLETED, 1)}
        await all_done(desk, 5)
