"""Does it get slower as rows gather? Claim, complete and status, empty and with a million rows."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import perf_counter
from typing import Any
from uuid import UUID

from benchmarks.figures import Figure
from benchmarks.history import store
from benchmarks.sizes import Size
from benchmarks.stage import Ground, Stage
from benchmarks.work import CONTENT, DOCUMENT_TYPE, INPUT, OUTPUT, prose
from worker.client import Client
from worker.ledger import Completion, Ledger, MovePool
from worker.ledger.records import DraftRow
from worker.requests import EnqueueRequest
from worker.settings import secret

_SAMPLES = 300
_PROJECTS = 200
_DRAFT = DraftRow(DOCUMENT_TYPE, CONTENT, "{}", None, None, None)
_LEASE = timedelta(minutes=10)


async def run(stage: Stage, size: Size) -> list[Figure]:
    """Measure on an empty database, and on one with the rows of a long life."""
    samples = min(_SAMPLES, size.rows)
    async with stage.ground(projects=_PROJECTS) as ground:
        empty = await _moves(ground, samples)
        contents = [prose(1000, seed) for seed in range(20)]
        await store(
            ground.oracle, size.rows, user=ground.user, projects=ground.projects, contents=contents
        )
        full = await _moves(ground, samples)
    label = f"{size.rows:,} rows"
    return [
        figure
        for move in empty
        for figure in (
            Figure(f"{move}, p50", "empty", empty[move], "ms"),
            Figure(f"{move}, p50", "copydesk", full[move], "ms", label),
        )
    ]


async def _moves(ground: Ground, number: int) -> dict[str, float]:
    """Return the median of claim, complete and status, each called by itself, in ms."""
    project = ground.projects[7]
    took: dict[str, list[float]] = {"claim": [], "complete": [], "status": []}

    async def timed(name: str, call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401
        began = perf_counter()
        answer = await call()
        took[name].append((perf_counter() - began) * 1000)
        return answer

    async with (
        MovePool(secret(ground.settings.database_url), size=1) as pool,
        Client(ground.settings) as client,
    ):
        ledger = Ledger(pool, worker="bench", input_limit=1_000_000)
        for _ in range(number):
            request = {
                "project_id": project,
                "agent_type": "draft",
                "input": INPUT,
                "requested_by": ground.user,
            }
            made = await ledger.enqueue(EnqueueRequest.checked(request))
            ids: list[UUID] = [made.execution_id]
            await timed("claim", lambda ids=ids: ledger.claim(project, ids, _LEASE, {"draft": 3}))  # type: ignore[misc]
            done = Completion(made.execution_id, 1, json.dumps(OUTPUT), (_DRAFT,))
            await timed("complete", lambda done=done: ledger.complete(project, done))  # type: ignore[misc]
            await timed(
                "status",
                lambda made=made: client.status(project, made.correlation_id),  # type: ignore[misc]
            )
    return {name: sorted(values)[len(values) // 2] for name, values in took.items()}
