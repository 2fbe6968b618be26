"""More worker processes, and more projects: what is done in all, and what each costs whom."""

from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from benchmarks.figures import Figure
from benchmarks.meters import cpu
from benchmarks.sizes import Size
from benchmarks.stage import Stage, WrongError

WORKERS = "drain by {} worker processes, 50 slots each"
ONE = "one process"
MORE = (2, 4)
PROJECTS = "drain of {} projects, one process, 50 slots"
# How soon the queue is full, with room for a machine that is busy with something else.
_FILLED_A_SECOND = 3000
_AT_LEAST = timedelta(seconds=5)


async def run(stage: Stage, size: Size) -> list[Figure]:
    """Drain the same queue with one, two and four processes; then of few projects, and of many."""
    fleets = {
        workers: await _drain(stage, size, WORKERS.format(workers), workers=workers, projects=50)
        for workers in (1, *MORE)
    }
    return [
        *fleets.values(),
        *(replace(fleets[1], name=WORKERS.format(workers), of=ONE) for workers in MORE),
        *[
            await _drain(stage, size, PROJECTS.format(projects), workers=1, projects=projects)
            for projects in (1, 10, 500)
        ],
    ]


async def _drain(stage: Stage, size: Size, name: str, *, workers: int, projects: int) -> Figure:
    async with stage.ground(projects=projects) as ground, AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(ground.worker(concurrency=50)) for _ in range(workers)
        ]
        await ground.until_at_work(workers)
        # All of it comes due in one moment, for a fleet that stands.
        due = datetime.now(UTC) + _AT_LEAST + timedelta(seconds=size.drain / _FILLED_A_SECOND)
        await ground.fill(size.drain, not_before=due)
        await ground.oracle.execute("CHECKPOINT")
        if datetime.now(UTC) > due:
            raise WrongError("the queue was not full yet when it came due")
        pids = [process.pid for process in processes]
        before = cpu(stage, pids)
        await ground.until_count("completed", size.drain)
        used = cpu(stage, pids) - before
        await ground.check(size.drain)
        rate = size.drain / await ground.seconds()
        return Figure(name, "copydesk", rate, "executions/s", used.each(size.drain))
