"""How fast a full queue is worked off: copydesk, and others that do the same unit of work."""

from asyncio.subprocess import Process
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from benchmarks.baseline.natural import fill_queue
from benchmarks.figures import Figure
from benchmarks.meters import cpu
from benchmarks.stage import Ground, Stage
from worker.settings import secret

Start = Callable[[Ground], AbstractAsyncContextManager[Process]]


@dataclass(frozen=True)
class Contender:
    """Who works: its name, how it starts, and what has to tell it of the work."""

    name: str
    start: Start
    share: float = 1.0
    tells: str = "copydesk"


def copydesk(concurrency: int) -> Contender:
    """Return copydesk with so many slots."""
    return Contender("copydesk", lambda ground: ground.worker(concurrency=concurrency))


def natural(concurrency: int) -> Contender:
    """Return arq with SQLAlchemy's ORM."""
    return Contender(
        "arq + ORM",
        lambda ground: ground.process("-m", "benchmarks.baseline.natural", str(concurrency)),
        share=0.1,
        tells="arq",
    )


def direct(concurrency: int) -> Contender:
    """Return arq with asyncpg."""
    return Contender(
        "arq + asyncpg",
        lambda ground: ground.process("-m", "benchmarks.baseline.direct", str(concurrency)),
        share=0.3,
        tells="arq",
    )


def loop(concurrency: int, *, batched: bool = False) -> Contender:
    """Return the loop without a queue."""
    kind = ["batched"] if batched else []
    return Contender(
        "batched loop" if batched else "loop",
        lambda ground: ground.process("-m", "benchmarks.baseline.loop", str(concurrency), *kind),
        tells="nobody",
    )


async def drain(
    stage: Stage, name: str, contender: Contender, *, number: int, projects: int
) -> Figure:
    """Fill the queue, start the worker, and measure from the first claim to the last completion."""
    number = int(number * contender.share)
    async with stage.ground(projects=projects) as ground:
        await ground.fill(number, hints=contender.tells == "copydesk")
        if contender.tells == "arq":
            rows = await ground.oracle.fetch(
                "SELECT project_id, id FROM agent_executions ORDER BY id"
            )
            await fill_queue(secret(ground.settings.redis_url), [(row[0], row[1]) for row in rows])
        await ground.oracle.execute("VACUUM ANALYZE agent_executions")
        await ground.oracle.execute("CHECKPOINT")
        async with contender.start(ground) as process:
            await ground.until_count("completed", 1)
            before, done = cpu(stage, [process.pid]), await ground.count("completed")
            await ground.until_count("completed", number)
            used = cpu(stage, [process.pid]) - before
        await ground.check(number)
        rate = number / await ground.seconds()
        return Figure(name, contender.name, rate, "executions/s", used.each(number - done))
