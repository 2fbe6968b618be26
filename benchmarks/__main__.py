"""`python -m benchmarks`: every scenario some times over, a table, and benchmarks/results.md.

Each run of a scenario checks that all was done, once, and that versions have no gaps; a figure of
work that went wrong is no figure.
"""

import argparse
import os
import sys
from pathlib import Path
from platform import python_version

import uvloop

from benchmarks.figures import Figures, Target, markdown
from benchmarks.scenarios import (
    calls,
    documents,
    drains,
    enqueue,
    fleet,
    growth,
    idle,
    limit,
    noise,
    payload,
    waiting,
)
from benchmarks.sizes import FULL, TINY, Size
from benchmarks.stage import POSTGRES, Stage, opened_stage

SCENARIOS = {
    "drains": drains.run,
    "enqueue": enqueue.run,
    "idle": idle.run,
    "waiting": waiting.run,
    "documents": documents.run,
    "limit": limit.run,
    "calls": calls.run,
    "payload": payload.run,
    "fleet": fleet.run,
    "noise": noise.run,
    "growth": growth.run,
}
# Takes longer than the others together, and spreads little.
ONCE = {"growth"}
TARGETS = [
    Target(drains.SPREAD, "arq + ORM", least=12),
    Target(drains.SPREAD, "arq + asyncpg", least=2.5),
    Target(drains.SPREAD, "loop", least=0.6),
    Target(drains.WIDE, "batched loop", least=0.5),
    Target(drains.HOT, least=4000),
    Target(enqueue.ONE, "ORM", least=4),
    Target(enqueue.ONE, "bare function call", least=0.65),
    *(Target(name, least=20_000) for name in enqueue.MANY),
    Target(f"{idle.LATENCY}, p50", most=4.8),
    Target(f"{idle.LATENCY}, p99", most=7.8),
    Target(idle.IDLE_CPU, most=1),
    Target(idle.IDLE_STATEMENTS, most=5),
    Target(waiting.EACH, most=12),
    Target(waiting.IDLE, most=70),
    Target(waiting.NEW, most=5),
    Target(waiting.BEATS, most=1),
    Target(documents.SAME, least=4000),
    *(Target(fleet.WORKERS.format(workers), fleet.ONE, least=1) for workers in fleet.MORE),
    Target(f"{noise.START}, p99", most=250),
    *(Target(f"{move}, p50", "empty", most=1.3) for move in ("claim", "complete", "status")),
]
_PAGE = Path(__file__).with_name("results.md")


async def measure(stage: Stage, names: list[str], size: Size, runs: int) -> Figures:
    """Run the scenarios and return their figures."""
    await stage.prepare()
    figures = Figures()
    for name in names:
        for _ in range(1 if name in ONCE else runs):
            found = await SCENARIOS[name](stage, size)
            figures.add(found)
            for figure in found:
                print(  # noqa: T201 - a benchmark talks
                    f"{name}: {figure.name}: {figure.of}: {figure.value:,.2f} {figure.unit}"
                    f" {figure.note}",
                    flush=True,
                )
    return figures


def page(figures: Figures, runs: int) -> str:
    """Return the results as a page."""
    settings = ", ".join(f"{name} = {value}" for name, value in POSTGRES.items())
    return (
        "# Results\n\n"
        f"Medians of {runs} runs (growth: 1) on {os.cpu_count()} processors, shared by PostgreSQL, "
        f"Redis, workers and callers; CPython {python_version()}.\nPostgreSQL: {settings}; "
        "everything else as in `worker/embedded/postgres.py`. The unit of work is 1 KB in, 1 KB "
        "out,\na document version of 4 KB, events, durable commits, row level security. Written by "
        "`make bench`.\n\n## Held against the targets\n\n"
        + markdown(("what", "measured", "found", "asked for", "met"), figures.judged(TARGETS))
        + "\n## Measured\n\nThe last column is microseconds of processor time for each execution: "
        "PostgreSQL / Redis / worker, or caller.\n\n"
        + markdown(("what", "who", "median", "from ... to", "note"), figures.measured())
    )


def main() -> int:
    """Read the command line, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--tiny", action="store_true", help="only see that everything still runs")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="may be repeated")
    given = parser.parse_args()
    names = given.only or list(SCENARIOS)
    runs = 1 if given.tiny else given.runs
    with opened_stage() as stage:
        figures = uvloop.run(measure(stage, names, TINY if given.tiny else FULL, runs))
    text = page(figures, runs)
    print(text)  # noqa: T201
    if not given.tiny and not given.only:
        _PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
