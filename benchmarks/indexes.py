"""`python -m benchmarks.indexes`: what the GIN indexes cost a completion, in one run.

Three databases alike but for their indexes take turns, so that what else the machine does meets all
of them. Each completes executions of 1 KB in and out with a version of 4 KB and metadata.
"""

import json
import sys
from collections import defaultdict
from contextlib import AsyncExitStack
from datetime import timedelta
from time import perf_counter

import psutil
import uvloop

from benchmarks.figures import markdown
from benchmarks.stage import Ground, Stage, opened_stage
from benchmarks.work import CONTENT, DOCUMENT_TYPE, INPUT, OUTPUT
from worker.ledger import Completion, Ledger, MovePool
from worker.ledger.records import DraftRow
from worker.requests import EnqueueRequest
from worker.settings import secret

_TURNS, _BATCH = 60, 50
_GIN = ("idx_agent_output", "idx_documents_metadata")
_KINDS = {
    "as it is": (),
    "without GIN": tuple(f"DROP INDEX {name}" for name in _GIN),
    "with trigrams of contents": (
        "CREATE INDEX trigrams ON document_versions USING gin (content gin_trgm_ops)",
    ),
}


class Measured:
    """Completions of one database: milliseconds of each, and bytes of WAL and seconds of CPU."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self.wal = 0
        self.cpu = 0.0
        self.merges: list[str] = []


async def _turn(
    ground: Ground, ledger: Ledger, pool: MovePool, measured: Measured, turn: int
) -> None:
    project = ground.projects[turn % len(ground.projects)]
    request = {
        "project_id": project,
        "agent_type": "draft",
        "input": INPUT,
        "requested_by": ground.user,
    }
    made = await ledger.enqueue_many([EnqueueRequest.checked(request) for _ in range(_BATCH)])
    ids = [each.execution_id for each in made]
    await ledger.claim(project, ids, timedelta(minutes=10), {"draft": 3})
    [backend] = await pool.call("SELECT pg_backend_pid() AS pid")
    process = psutil.Process(backend["pid"])
    before = await ground.oracle.fetchval("SELECT pg_current_wal_insert_lsn()")
    used = sum(process.cpu_times()[:2])
    for place, execution in enumerate(ids):
        metadata = {"language": "en", "place": turn * _BATCH + place, "words": {"count": place}}
        row = DraftRow(DOCUMENT_TYPE, CONTENT, json.dumps(metadata), None, None, None)
        output = json.dumps({**OUTPUT, "place": turn * _BATCH + place})
        began = perf_counter()
        await ledger.complete(project, Completion(execution, 1, output, (row,)))
        measured.took.append((perf_counter() - began) * 1000)
    measured.cpu += sum(process.cpu_times()[:2]) - used
    measured.wal += await ground.oracle.fetchval("SELECT pg_current_wal_insert_lsn()") - before


async def measure(stage: Stage) -> dict[str, Measured]:
    """Complete in each database in turn."""
    await stage.prepare()
    found: dict[str, Measured] = defaultdict(Measured)
    async with AsyncExitStack() as stack:
        places = {}
        for kind, statements in _KINDS.items():
            ground = await stack.enter_async_context(stage.ground(projects=20))
            for statement in statements:
                await ground.oracle.execute(statement)
            pool = await stack.enter_async_context(
                MovePool(secret(ground.settings.database_url), size=1)
            )
            places[kind] = ground, Ledger(pool, worker="bench", input_limit=1_000_000), pool
        for turn in range(_TURNS):
            for kind, (ground, ledger, pool) in places.items():
                await _turn(ground, ledger, pool, found[kind], turn)
        ground, _, _ = places["as it is"]
        found["as it is"].merges = [await _merge(ground, name) for name in _GIN]
    return found


async def _merge(ground: Ground, index: str) -> str:
    """Merge the list of new entries of an index, as the completion that fills it has to."""
    began = perf_counter()
    pages = await ground.oracle.fetchval("SELECT gin_clean_pending_list($1::regclass)", index)
    return f"{index}: {pages} pages merged in {(perf_counter() - began) * 1000:.1f} ms"


def main() -> int:
    """Measure, and print a table."""
    with opened_stage() as stage:
        found = uvloop.run(measure(stage))
    rows: list[tuple[str, ...]] = []
    for kind, measured in found.items():
        took, number = sorted(measured.took), len(measured.took)
        rows.append(
            (
                kind,
                f"{took[number // 2]:.2f} ms",
                f"{took[number * 99 // 100]:.1f} ms",
                f"{took[-1]:.0f} ms",
                f"{measured.wal / number / 1000:.1f} KB",
                f"{measured.cpu / number * 1e6:.0f} us",
            )
        )
    headings = ("completions", "p50", "p99", "longest", "WAL each", "CPU each")
    print(markdown(headings, rows))  # noqa: T201 - a benchmark talks
    print(*found["as it is"].merges, sep="\n")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
