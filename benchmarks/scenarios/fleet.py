"""More worker processes, and more projects: what is done in all, and what each costs whom."""

from contextlib import AsyncExitStack

from benchmarks.figures import Figure
from benchmarks.meters import cpu
from benchmarks.sizes import Size
from benchmarks.stage import Stage

WORKERS = "drain by {} worker processes, 50 slots each"
PROJECTS = "drain of {} projects, one process, 50 slots"


async def run(stage: Stage, size: Size) -> list[Figure]:
    """Drain the same queue with one, two and four processes; then of few projects, and of many."""
    return [
        *[
            await _drain(stage, size, WORKERS.format(workers), workers=workers, projects=50)
            for workers in (1, 2, 4)
        ],
        *[
            await _drain(stage, size, PROJECTS.format(projects), workers=1, projects=projects)
            for projects in (1, 10, 500)
        ],
    ]


async def _drain(stage: Stage, size: Size, name: str, *, workers: int, projects: int) -> Figure:
    async with stage.ground(projects=projects) as ground:
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
        return Figure(name, "copydesk", rate, "executions/s", used.each(size.drain - done))
