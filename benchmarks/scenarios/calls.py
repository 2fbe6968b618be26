"""What a call costs its caller's processor: through the move pool, and through the driver's own."""

import asyncio
from collections.abc import Awaitable, Callable
from time import process_time
from typing import Any

import asyncpg

from benchmarks.baseline.loop import leave
from benchmarks.figures import Figure
from benchmarks.sizes import Size
from benchmarks.stage import Stage
from worker.ledger import MovePool
from worker.settings import secret

CALL = "one call, processor time of the caller"
_ROUNDS = 15
_STATEMENT = "SELECT 1"


async def run(stage: Stage, size: Size) -> list[Figure]:
    """Measure turn about, and take the best round of each: what disturbs only adds."""
    number = min(size.enqueues, 200)
    async with stage.ground(projects=1) as ground:
        url = secret(ground.settings.database_url)
        async with (
            MovePool(url, size=1) as ours,
            asyncpg.create_pool(url, min_size=1, max_size=1, command_timeout=35) as reset,
            asyncpg.create_pool(url, min_size=1, max_size=1, reset=leave) as plain,
        ):

            async def through_driver(pool: asyncpg.Pool) -> None:
                async with asyncio.timeout(35), pool.acquire() as connection:
                    await connection.fetch(_STATEMENT)

            ways: dict[str, Callable[[], Awaitable[Any]]] = {
                "copydesk": lambda: ours.call(_STATEMENT),
                "asyncpg's pool": lambda: through_driver(reset),
                "asyncpg's pool, no reset": lambda: through_driver(plain),
            }
            best = dict.fromkeys(ways, float("inf"))
            for _ in range(_ROUNDS):
                for name, call in ways.items():
                    began = process_time()
                    for _ in range(number):
                        await call()
                    best[name] = min(best[name], (process_time() - began) / number)
    return [Figure(CALL, name, seconds * 1e6, "us") for name, seconds in best.items()]
