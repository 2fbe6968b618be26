"""A noisy neighbour: one project floods the queue, another enqueues now and then."""

import asyncio

from benchmarks.figures import Figure
from benchmarks.sizes import Size
from benchmarks.stage import Stage, WrongError
from benchmarks.work import INPUT
from worker.client import Client

START = "start beside another project's flood"
_PAUSE = 0.2


async def run(stage: Stage, size: Size) -> list[Figure]:
    """Flood one project, and measure from enqueue to claim in another, while the flood lasts."""
    async with stage.ground(projects=2) as ground:
        noisy, quiet = ground.projects
        await ground.fill(size.flood, projects=[noisy])
        async with ground.worker(concurrency=50), Client(ground.settings) as client:
            await ground.until_count("completed", 1)
            for _ in range(size.noise_samples):
                await client.enqueue(quiet, "draft", INPUT, requested_by=ground.user)
                await asyncio.sleep(_PAUSE)
            left = await ground.count("pending")
            rows = await ground.oracle.fetch(
                "SELECT extract(epoch FROM started_at - created_at)::float8 * 1000 AS ms "
                "FROM agent_executions WHERE project_id = $1 AND attempt = 1 ORDER BY 1",
                quiet,
            )
        if left < size.noise_samples or len(rows) < size.noise_samples - 2:
            raise WrongError(f"{left} of the flood left, {len(rows)} measured")
        waits = [row["ms"] for row in rows]
        return [
            Figure(f"{START}, p50", "copydesk", waits[len(waits) // 2], "ms"),
            Figure(
                f"{START}, p99",
                "copydesk",
                waits[min(len(waits) * 99 // 100, len(waits) - 1)],
                "ms",
            ),
        ]
