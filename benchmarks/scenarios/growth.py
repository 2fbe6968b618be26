"""Does it get slower as rows gather? Each kind of call, empty and with a million rows behind it."""

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import perf_counter
from typing import Any

from benchmarks.figures import Figure
from benchmarks.history import store
from benchmarks.sizes import Size
from benchmarks.stage import Ground, Stage
from benchmarks.work import CONTENT, DOCUMENT_TYPE, INPUT, OUTPUT, prose
from worker.client import Client
from worker.ledger import Completion, Dispatch, Failure, Ledger, MovePool, Release
from worker.ledger.records import DraftRow
from worker.settings import secret

_SAMPLES = 200
_SELDOM = 10  # one of so many rounds asks what reads a whole project
_PROJECTS = 200
_DRAFT = DraftRow(DOCUMENT_TYPE, CONTENT, '{"language": "en"}', None, None, None)
_LEASE = timedelta(minutes=10)

Times = dict[str, list[float]]


async def run(stage: Stage, size: Size) -> list[Figure]:
    """Measure on an empty database, and on one with the rows of a long life."""
    samples = min(_SAMPLES, size.rows)
    async with stage.ground(projects=_PROJECTS) as ground:
        empty = await _calls(ground, samples)
        contents = [prose(1000, seed) for seed in range(20)]
        await store(
            ground.oracle, size.rows, user=ground.user, projects=ground.projects, contents=contents
        )
        full = await _calls(ground, samples)
    label = f"{size.rows:,} rows"
    return [
        Figure(f"{call}, {name}", of, _percentile(times[call], share), "ms", note)
        for call in empty
        for name, share in (("p50", 0.5), ("p99", 0.99))
        for of, times, note in (("empty", empty, ""), ("copydesk", full, label))
    ]


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


async def _calls(ground: Ground, number: int) -> Times:
    """Return how long each call of each kind took, in ms, one after the other, in one project."""
    project = ground.projects[7]
    took: Times = defaultdict(list)

    async def timed(name: str, call: Awaitable[Any]) -> Any:  # noqa: ANN401
        began = perf_counter()
        answer = await call
        took[name].append((perf_counter() - began) * 1000)
        return answer

    async with (
        MovePool(secret(ground.settings.database_url), size=1) as pool,
        MovePool(secret(ground.settings.dispatch_url), size=1) as dispatch_pool,
        Client(ground.settings) as client,
    ):
        ledger = Ledger(pool, worker="bench", input_limit=1_000_000)
        dispatch = Dispatch(dispatch_pool)

        async def claimed() -> Any:  # noqa: ANN401
            made = await timed(
                "enqueue", client.enqueue(project, "draft", INPUT, requested_by=ground.user)
            )
            claim = ledger.claim(project, [made.execution_id], _LEASE, {"draft": 3})
            await timed("claim", claim)
            return made

        for turn in range(number):
            made = await claimed()
            held = dispatch.extend("bench", {made.execution_id: 1}, _LEASE)
            await timed("extend (heartbeat)", held)
            done = Completion(made.execution_id, 1, json.dumps(OUTPUT), (_DRAFT,))
            await timed("complete", ledger.complete(project, done))
            await timed("status", client.status(project, made.correlation_id))
            await timed("execution", client.execution(project, made.execution_id))
            lost = await claimed()
            failure = Failure(lost.execution_id, 1, "agent_error", "no", None)
            await timed("fail", ledger.fail(project, failure))
            await timed("retry", client.dead_letters.retry(project, [lost.execution_id]))
            given = await claimed()
            await timed("release", ledger.release(project, Release(given.execution_id, 1, "")))
            await timed("cancel", client.cancel(project, given.execution_id))
            await timed("documents", client.documents(project))
            await timed("document", client.document(project, DOCUMENT_TYPE))
            await timed("failed", client.dead_letters.list(project, limit=20))
            await timed(
                "find_due", dispatch.find_due(["none"], after=project, projects=50, per_project=4)
            )
            await timed("find_expired", dispatch.find_expired(100))
            if turn % _SELDOM == 0:
                await _seldom(client, project, timed)
    return took


async def _seldom(client: Client, project: Any, timed: Callable[..., Awaitable[Any]]) -> None:  # noqa: ANN401
    await timed("statistics", client.statistics(project))
    often, never = {"language": "en"}, {"language": "none"}
    await timed(
        "search_documents, frequent", client.search_documents(project, metadata=often, limit=20)
    )
    await timed(
        "search_documents, none", client.search_documents(project, metadata=never, limit=20)
    )
    await timed(
        "search_executions, none", client.search_executions(project, output=never, limit=20)
    )
    await timed("search_text", client.search_text(project, "quick brown fox"))
