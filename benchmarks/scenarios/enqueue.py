"""What an enqueue costs its caller: one at a time, and a thousand in a call."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any
from uuid import UUID

import asyncpg
from arq import create_pool

from benchmarks.baseline import natural
from benchmarks.baseline.loop import leave
from benchmarks.figures import Figure
from benchmarks.meters import cpu
from benchmarks.sizes import Size
from benchmarks.stage import Ground, Stage, WrongError
from benchmarks.work import INPUT
from worker.client import Client
from worker.queue.connection import to_arq_settings
from worker.settings import secret

ONE = "enqueue, one call at a time"
# One call after the other, and several under way from one process: name -> calls at once.
MANY = {"enqueue_many, 1,000 a call": 1, "enqueue_many, four such calls at once": 4}
_FUNCTION = "SELECT * FROM enqueue_executions($1, $2, $3, $4, $5, $6, $7, $8, $9)"


async def run(stage: Stage, size: Size) -> list[Figure]:
    """Measure each way on a database of its own."""
    figures = []
    for of, way, number in (
        ("copydesk", _client, size.enqueues),
        ("ORM", _orm, max(size.enqueues // 4, 1)),
        ("bare function call", _function, size.enqueues),
    ):
        async with stage.ground(projects=10) as ground:
            rate = await way(ground, number)
            if await ground.count("pending") != number:
                raise WrongError(f"{of}: not {number} enqueued")
            figures.append(Figure(ONE, of, rate, "executions/s"))
    figures += [await _many(stage, size, what, callers) for what, callers in MANY.items()]
    return figures


async def _many(stage: Stage, size: Size, what: str, callers: int) -> Figure:
    async with stage.ground(projects=callers) as ground, Client(ground.settings) as client:
        request = {"agent_type": "draft", "input": INPUT, "requested_by": ground.user}
        at_once = min(1000, size.many)

        async def call_on(project: UUID) -> None:
            for _ in range(-(-size.many // (at_once * callers))):
                await client.enqueue_many(project, [request] * at_once)

        await asyncio.gather(
            *(client.enqueue_many(project, [request]) for project in ground.projects)
        )
        before, began = cpu(stage, [os.getpid()]), perf_counter()
        await asyncio.gather(*(call_on(project) for project in ground.projects))
        seconds, used = perf_counter() - began, cpu(stage, [os.getpid()]) - before
        made = await ground.count("pending") - callers
        if made < size.many:
            raise WrongError(f"not {size.many} enqueued")
        return Figure(what, "copydesk", made / seconds, "executions/s", used.each(made))


async def _rate(number: int, once: Callable[[int], Awaitable[Any]]) -> float:
    began = perf_counter()
    for place in range(number):
        await once(place)
    return number / (perf_counter() - began)


async def _client(ground: Ground, number: int) -> float:
    async with Client(ground.settings) as client:
        await client.status(ground.projects[0], ground.user)  # connected
        return await _rate(
            number,
            lambda place: client.enqueue(
                ground.projects[place % 10], "draft", INPUT, requested_by=ground.user
            ),
        )


async def _orm(ground: Ground, number: int) -> float:
    on = natural.engine(secret(ground.settings.database_url))
    redis = await create_pool(to_arq_settings(secret(ground.settings.redis_url)))
    try:
        return await _rate(
            number,
            lambda place: natural.enqueue(
                on, redis, ground.projects[place % 10], ground.user, INPUT
            ),
        )
    finally:
        await redis.aclose(close_connection_pool=True)
        await on.dispose()


async def _function(ground: Ground, number: int) -> float:
    text = json.dumps(INPUT)
    nothing: list[None] = [None]
    async with asyncpg.create_pool(
        secret(ground.settings.database_url), min_size=1, max_size=1, reset=leave
    ) as pool:

        async def once(place: int) -> None:
            await pool.fetch(
                *(_FUNCTION, ground.projects[place % 10], ["draft"], [text], [ground.user]),
                *(nothing, nothing, nothing, [0], nothing),
            )

        return await _rate(number, once)
