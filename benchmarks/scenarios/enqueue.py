"""What an enqueue costs its caller: one at a time, and a thousand in a call."""

import json
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import asyncpg
from arq import create_pool

from benchmarks.baseline import natural
from benchmarks.baseline.loop import leave
from benchmarks.figures import Figure
from benchmarks.sizes import Size
from benchmarks.stage import Ground, Stage, WrongError
from benchmarks.work import INPUT
from worker.client import Client
from worker.queue.connection import to_arq_settings
from worker.settings import secret

ONE = "enqueue, one call at a time"
MANY = "enqueue_many, 1,000 a call"
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
    async with stage.ground(projects=1) as ground, Client(ground.settings) as client:
        request = {"agent_type": "draft", "input": INPUT, "requested_by": ground.user}
        await client.enqueue_many(ground.projects[0], [request])
        at_once = min(1000, size.many)
        began = perf_counter()
        for _ in range(size.many // at_once):
            await client.enqueue_many(ground.projects[0], [request] * at_once)
        rate = size.many / (perf_counter() - began)
        if await ground.count("pending") != size.many + 1:
            raise WrongError(f"not {size.many} enqueued")
        figures.append(Figure(MANY, "copydesk", rate, "executions/s"))
    return figures


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
