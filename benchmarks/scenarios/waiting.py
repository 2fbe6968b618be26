"""Many agents that wait for a model, in one process: memory, connections, and what is still quick.

Compared with tasks of asyncio that wait with the same input in hand, and with arq.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

from arq import create_pool
from arq.connections import ArqRedis

from benchmarks.figures import Figure
from benchmarks.meters import resident
from benchmarks.sizes import Size
from benchmarks.stage import Ground, Stage
from benchmarks.work import INPUT
from worker.client import Client
from worker.queue.connection import to_arq_settings
from worker.settings import secret

EACH = "agents waiting, memory of each"
IDLE = "idle worker, memory"
NEW = "a new execution beside them, p50"
CONNECTIONS = "connections while they wait"
BEATS = "statements a heartbeat"
_HEARTBEAT = 2.0
_SAMPLES = 40


async def run(stage: Stage, size: Size) -> list[Figure]:
    """Measure with the usual number, with ten times as many, and the others."""
    return [
        *await _copydesk(stage, size.waiting, ""),
        *await _copydesk(stage, size.crowd, f" ({size.crowd:,})"),
        await _other(stage, size.waiting, "bare tasks"),
        await _other(stage, size.waiting, "arq"),
    ]


async def _copydesk(stage: Stage, number: int, label: str) -> list[Figure]:
    async with (
        stage.ground(projects=10) as ground,
        ground.worker(
            concurrency=number + 50, heartbeat=_HEARTBEAT, lease=30, log_level="warning"
        ) as process,
        Client(ground.settings) as client,
    ):
        await _once(ground, client)  # imports are made, connections open
        before = resident(process.pid)
        await ground.fill(number, agent="hold")
        await ground.until_count("running", number)
        async with _counting(ground) as seen:
            await asyncio.sleep(_HEARTBEAT * 3)
        each = (resident(process.pid) - before) / number / 1024
        took = sorted([await _once(ground, client) for _ in range(_SAMPLES)])
        await ground.check(_SAMPLES + 1)
        return [
            Figure(IDLE + label, "copydesk", before / 1024 / 1024, "MB"),
            Figure(EACH + label, "copydesk", each, "KB"),
            Figure(NEW + label, "copydesk", took[len(took) // 2], "ms"),
            Figure(CONNECTIONS + label, "copydesk", seen["connections"], "busy"),
            Figure(BEATS + label, "copydesk", seen["beats"], "statements"),
        ]


async def _once(ground: Ground, client: Client) -> float:
    project = ground.projects[0]
    began = perf_counter()
    made = await client.enqueue(project, "draft", INPUT, requested_by=ground.user)
    await client.wait(project, made.correlation_id, timeout=60)
    return (perf_counter() - began) * 1000


@asynccontextmanager
async def _counting(ground: Ground) -> AsyncIterator[dict[str, float]]:
    seen: dict[str, float] = {}
    await ground.oracle.execute("SELECT pg_stat_statements_reset()")
    began = perf_counter()
    yield seen
    calls = await ground.oracle.fetchval(
        "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements "
        "WHERE query LIKE '%extend_leases%' AND toplevel"
    )
    seen["beats"] = float(calls) / round((perf_counter() - began) / _HEARTBEAT)
    seen["connections"] = await ground.oracle.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND state <> 'idle' AND pid <> pg_backend_pid()"
    )


async def _other(stage: Stage, number: int, kind: str) -> Figure:
    async with stage.ground(projects=1) as ground:
        command = ("-m", "benchmarks.baseline.waiting", kind, str(number))
        async with ground.process(*command) as process:
            redis = await create_pool(to_arq_settings(secret(ground.settings.redis_url)))
            counter = "bench:waiting"
            await _until(redis, counter, 0)
            before = resident(process.pid)
            if kind == "arq":
                for _ in range(number):
                    await redis.enqueue_job("hold", INPUT, _queue_name="bench:hold")
            else:
                await redis.set("bench:go", 1)
            await _until(redis, counter, number)
            await asyncio.sleep(1)
            each = (resident(process.pid) - before) / number / 1024
            await redis.aclose(close_connection_pool=True)
    return Figure(EACH, kind, each, "KB")


async def _until(redis: ArqRedis, key: str, number: int) -> None:
    while True:
        value = await redis.get(key)
        if value is not None and int(value) >= number:
            return
        await asyncio.sleep(0.05)
