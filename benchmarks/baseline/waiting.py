"""What a wait costs elsewhere: a bare task with its input in hand, and a job of arq."""

import asyncio
import json
import os
import sys
from typing import Any

import uvloop
from arq import create_pool
from arq.connections import ArqRedis
from arq.worker import Worker, func

from benchmarks.work import INPUT, Text
from worker.queue.connection import to_arq_settings

_COUNTER = "bench:waiting"


async def _wait(payload: str, begun: ArqRedis) -> None:
    text = Text.model_validate(json.loads(payload))
    await begun.incr(_COUNTER)
    await asyncio.Event().wait()
    raise AssertionError(text)


async def bare(redis: ArqRedis, number: int) -> None:
    """Start so many tasks when told, each with an input of its own."""
    await redis.set(_COUNTER, 0)
    while not await redis.get("bench:go"):  # noqa: ASYNC110 - another process decides
        await asyncio.sleep(0.05)
    await asyncio.gather(
        *(asyncio.create_task(_wait(json.dumps({**INPUT, "n": n}), redis)) for n in range(number))
    )


async def hold(ctx: dict[str, Any], payload: dict[str, Any]) -> None:
    """Wait for ever."""
    await _wait(json.dumps(payload), ctx["redis"])


async def arq(redis: ArqRedis, number: int) -> None:
    """Run arq's worker with that many slots."""
    await redis.set(_COUNTER, 0)
    worker = Worker(
        [func(hold, name="hold", timeout=3600)],
        queue_name="bench:hold",
        redis_settings=to_arq_settings(os.environ["COPYDESK_REDIS_URL"]),
        max_jobs=number + 50,
    )
    await worker.async_run()


async def main(kind: str, number: int) -> None:
    """Wait, in one of the two ways."""
    redis = await create_pool(to_arq_settings(os.environ["COPYDESK_REDIS_URL"]))
    await (arq if kind == "arq" else bare)(redis, number)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
