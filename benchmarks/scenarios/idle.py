"""An idle fleet: how soon a lone execution is done and readable, and what an idle worker costs."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from time import perf_counter
from uuid import UUID

import asyncpg
from arq import create_pool

from benchmarks.baseline import loop, natural
from benchmarks.figures import Figure
from benchmarks.meters import cpu
from benchmarks.sizes import Size
from benchmarks.stage import Ground, Stage, WrongError
from benchmarks.work import INPUT
from worker.client import Client
from worker.queue.connection import to_arq_settings
from worker.settings import secret

LATENCY = "enqueue to completed and readable"
IDLE_CPU = "idle worker, processor"
IDLE_STATEMENTS = "idle worker, statements"
_A_SECOND = 20
_FUNCTION = "SELECT * FROM enqueue_executions($1, $2, $3, $4, $5, $6, $7, $8, $9)"


async def run(stage: Stage, size: Size) -> list[Figure]:
    """Measure copydesk, the natural way, and the moves with nothing between them."""
    number = max(int(size.latency_seconds * _A_SECOND), 5)
    figures = []
    async with stage.ground(projects=10) as ground, ground.worker(concurrency=50) as process:
        figures += await _copydesk(ground, number)
        await ground.check(number + 3)
        figures += await _idle(stage, ground, process.pid, size.idle_seconds)
    async with (
        stage.ground(projects=10) as ground,
        ground.process("-m", "benchmarks.baseline.natural", "50"),
    ):
        figures += await _natural(ground, number)
        await ground.check(number + 3)
    async with stage.ground(projects=10) as ground:
        figures += await _moves(ground, number)
        await ground.check(number + 3)
    return figures


async def _paced(number: int, of: str, once: Callable[[int], Awaitable[None]]) -> list[Figure]:
    """Do `once` at an even pace, each by itself, and return the percentiles of what it took."""
    for place in range(3):
        await once(place)  # connections and plans are there
    took: list[float] = []

    async def timed(place: int) -> None:
        began = perf_counter()
        await once(place)
        took.append((perf_counter() - began) * 1000)

    begun = perf_counter()
    tasks = []
    for place in range(number):
        await asyncio.sleep(max(begun + place / _A_SECOND - perf_counter(), 0))
        tasks.append(asyncio.create_task(timed(place)))
    await asyncio.gather(*tasks)
    took.sort()
    return [
        Figure(f"{LATENCY}, p50", of, took[len(took) // 2], "ms"),
        Figure(f"{LATENCY}, p99", of, took[min(len(took) * 99 // 100, len(took) - 1)], "ms"),
    ]


async def _copydesk(ground: Ground, number: int) -> list[Figure]:
    async with Client(ground.settings) as client:

        async def once(place: int) -> None:
            project = ground.projects[place % 10]
            made = await client.enqueue(project, "draft", INPUT, requested_by=ground.user)
            report = await client.wait(project, made.correlation_id, timeout=60)
            if report.executions[0].status != "completed":
                raise WrongError("not completed")

        return await _paced(number, "copydesk", once)


async def _natural(ground: Ground, number: int) -> list[Figure]:
    on = natural.engine(secret(ground.settings.database_url))
    redis = await create_pool(to_arq_settings(secret(ground.settings.redis_url)))
    watch = await asyncpg.create_pool(ground.admin_url, min_size=4)

    async def once(place: int) -> None:
        project = ground.projects[place % 10]
        made = await natural.enqueue(on, redis, project, ground.user, INPUT)
        while (  # noqa: ASYNC110 - another process decides
            await watch.fetchval("SELECT status FROM agent_executions WHERE id = $1", made)
            != "completed"
        ):
            await asyncio.sleep(0.002)

    try:
        return await _paced(number, "arq + ORM", once)
    finally:
        await watch.close()
        await redis.aclose(close_connection_pool=True)
        await on.dispose()


async def _moves(ground: Ground, number: int) -> list[Figure]:
    async with asyncpg.create_pool(
        secret(ground.settings.database_url), min_size=4, max_size=4, reset=loop.leave
    ) as pool:

        async def once(place: int) -> None:
            project = ground.projects[place % 10]
            nothing: list[None] = [None]
            [made] = await pool.fetch(
                *(_FUNCTION, project, ["draft"], [json.dumps(INPUT)], [ground.user]),
                *(nothing, nothing, nothing, [0], nothing),
            )
            execution = UUID(str(made["execution_id"]))
            [claim] = await pool.fetch(loop.CLAIM, *loop.claim_arguments(project, [execution]))
            done = [(execution, claim["attempt"])]
            await pool.fetch(loop.COMPLETE, *loop.complete_arguments(project, done))

        return await _paced(number, "moves alone", once)


async def _idle(stage: Stage, ground: Ground, pid: int, seconds: float) -> list[Figure]:
    await ground.oracle.execute("SELECT pg_stat_statements_reset()")
    before = cpu(stage, [pid])
    await asyncio.sleep(seconds)
    used = cpu(stage, [pid]) - before
    calls = await ground.oracle.fetchval(
        "SELECT coalesce(sum(s.calls), 0) FROM pg_stat_statements s JOIN pg_roles r "
        "ON r.oid = s.userid WHERE r.rolname LIKE 'copydesk%'"
    )
    return [
        Figure(IDLE_CPU, "copydesk", used.python / used.wall * 100, "% of a core"),
        Figure(IDLE_STATEMENTS, "copydesk", float(calls) / used.wall, "a second"),
    ]
