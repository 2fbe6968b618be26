"""The drains: a full queue, one worker process, in three shapes."""

from benchmarks.figures import Figure
from benchmarks.scenarios.drain import copydesk, direct, drain, loop, natural
from benchmarks.sizes import Size
from benchmarks.stage import Stage

SPREAD = "drain, 50 slots, 50 projects"
WIDE = "drain, 500 slots, 50 projects"
HOT = "drain, 200 slots, one project"


async def run(stage: Stage, size: Size) -> list[Figure]:
    """Measure each shape, and what it is compared with, one after the other."""
    return [
        *[
            await drain(stage, SPREAD, contender, number=size.drain, projects=50)
            for contender in (copydesk(50), natural(50), direct(50), loop(50))
        ],
        *[
            await drain(stage, WIDE, contender, number=size.drain, projects=50)
            for contender in (copydesk(500), loop(500, batched=True))
        ],
        await drain(stage, HOT, copydesk(200), number=size.drain, projects=1),
    ]
