"""Fifty agents that complete the same document at once: versions one after the other, no gap."""

import asyncio
import json
from datetime import timedelta
from time import perf_counter

from benchmarks.figures import Figure
from benchmarks.sizes import Size
from benchmarks.stage import Stage
from benchmarks.work import CONTENT, DOCUMENT_TYPE, OUTPUT
from worker.ledger import Claim, Completion, Ledger, MovePool
from worker.ledger.records import DraftRow
from worker.settings import secret

SAME = "versions of one document, 50 at once"
_AT_ONCE = 50
_DRAFT = DraftRow(DOCUMENT_TYPE, CONTENT, "{}", None, None, None)


async def run(stage: Stage, size: Size) -> list[Figure]:
    """Claim everything first; then fifty complete side by side, through the worker's ledger."""
    async with stage.ground(projects=1) as ground:
        await ground.fill(size.versions, hints=False)
        rows = await ground.oracle.fetch("SELECT id FROM agent_executions ORDER BY id")
        async with MovePool(secret(ground.settings.database_url), size=8) as pool:
            ledger = Ledger(pool, worker="bench", input_limit=1_000_000)
            claims: list[Claim] = []
            for start in range(0, len(rows), 500):
                ids = [row["id"] for row in rows[start : start + 500]]
                claims += await ledger.claim(
                    ground.projects[0], ids, timedelta(minutes=10), {"draft": 3}
                )
            output = json.dumps(OUTPUT)

            async def complete() -> None:
                while claims:
                    claim = claims.pop()
                    done = Completion(claim.execution_id, claim.attempt, output, (_DRAFT,))
                    await ledger.complete(claim.project_id, done)

            began = perf_counter()
            await asyncio.gather(*(complete() for _ in range(_AT_ONCE)))
            rate = size.versions / (perf_counter() - began)
        await ground.check(size.versions)
    return [Figure(SAME, "copydesk", rate, "versions/s")]
