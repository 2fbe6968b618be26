"""More worker processes: more is done, never less, and what each execution costs whom."""

from contextlib import AsyncExitStack

from benchmarks.figures import Figure
from benchmarks.meters import cpu
from benchmarks.sizes import Size
from benchmarks.stage import Stage

WORKERS = "drain by {} worker processes, 50 slots each"


async def run(stage: Stage, size: Size) -> list[Figure]:
    """Drain the same queue with one, two and four processes."""
    figures = []
    for workers in (1, 2, 4):
        async with stage.ground(projects=50) as ground:
            await ground.fill(size.drain)
            await ground.oracle.execute("CHECKPOINT")
            async with AsyncExitStack() as stack:
                processes = [
                    await stack.enter_async_context(ground.worker(concurrency=50))
                    for _ in range(workers)
                ]
                pids = [process.pid for process in processes]
                await ground.until_count("completed", 1)
                before, done = cpu(stage, pids), await ground.count("completed")
                await ground.until_count("completed", size.drain)
                used = cpu(stage, pids) - before
            await ground.check(size.drain)
            rate = size.drain / await ground.seconds()
            figures.append(
                Figure(
                    WORKERS.format(workers),
                    "copydesk",
                    rate,
                    "executions/s",
                    used.each(size.drain - done),
                )
            )
    return figures
