"""`python -m benchmarks.server`: what a setting of PostgreSQL, or of a table, gains or costs.

Each is drained beside what the stage has, a few times in turn, so that what else the machine does
meets both; the ratio of the medians is the figure. Something that is not durable is measured to
show what durability costs, and for nothing else.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

import uvloop

from benchmarks.figures import markdown
from benchmarks.meters import cpu
from benchmarks.stage import Stage, opened_stage

_TURNS = 3
_EXECUTIONS = 4000
_SLOTS = 50
_PROJECTS = 20


@dataclass(frozen=True)
class Variant:
    """Settings of the server that differ, and statements that change the tables."""

    name: str
    settings: dict[str, str] = field(default_factory=dict)
    statements: Sequence[str] = ()


VARIANTS = (
    Variant("synchronous_commit = off (not durable)", {"synchronous_commit": "off"}),
    Variant("shared_buffers = 32MB", {"shared_buffers": "32MB"}),
    Variant("max_wal_size = 64MB", {"max_wal_size": "64MB", "min_wal_size": "32MB"}),
    Variant("wal_compression = pglz", {"wal_compression": "pglz"}),
    Variant("io_method = sync", {"io_method": "sync"}),
    Variant("jit = on", {"jit": "on"}),
    Variant(
        "fillfactor = 100", statements=("ALTER TABLE agent_executions SET (fillfactor = 100)",)
    ),
    Variant(
        "versions not compressed (STORAGE EXTERNAL)",
        statements=("ALTER TABLE document_versions ALTER content SET STORAGE EXTERNAL",),
    ),
    Variant(
        "inputs and outputs not compressed",
        statements=("ALTER TABLE agent_executions SET (toast_tuple_target = 4080)",),
    ),
    Variant(
        "GIN: fastupdate = off",
        statements=[
            f"ALTER INDEX {name} SET (fastupdate = off)"
            for name in ("idx_agent_output", "idx_documents_metadata")
        ],
    ),
    Variant(
        "no GIN indexes",
        statements=("DROP INDEX idx_agent_output", "DROP INDEX idx_documents_metadata"),
    ),
)


@dataclass
class Drained:
    """Executions a second, microseconds of PostgreSQL's processor and bytes of WAL for each."""

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    wal: list[float] = field(default_factory=list)


async def _drain(stage: Stage, variant: Variant, into: Drained) -> None:
    async with stage.ground(projects=_PROJECTS) as ground:
        for statement in variant.statements:
            await ground.oracle.execute(statement)
        await ground.fill(_EXECUTIONS)
        await ground.oracle.execute("VACUUM ANALYZE agent_executions")
        await ground.oracle.execute("CHECKPOINT")
        since = await ground.oracle.fetchval("SELECT pg_current_wal_insert_lsn()")
        before = cpu(stage)
        async with ground.worker(concurrency=_SLOTS):
            await ground.until_count("completed", _EXECUTIONS)
        used = cpu(stage) - before
        wal = await ground.oracle.fetchval("SELECT pg_current_wal_insert_lsn() - $1", since)
        await ground.check(_EXECUTIONS)
        into.rates.append(_EXECUTIONS / await ground.seconds())
        into.cpu.append(used.postgres / _EXECUTIONS * 1e6)
        into.wal.append(float(wal) / _EXECUTIONS)


async def _compare(base: Stage, other: Stage, variant: Variant) -> tuple[str, ...]:
    as_it_is, changed = Drained(), Drained()
    for _ in range(_TURNS):
        await _drain(base, Variant("as it is"), as_it_is)
        await _drain(other, variant, changed)

    def change(of: str) -> str:
        ratio = median(getattr(changed, of)) / median(getattr(as_it_is, of))
        return f"{(ratio - 1) * 100:+.0f} %"

    return variant.name, change("rates"), change("cpu"), change("wal")


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server")
    parser.add_argument("--only", help="settings whose name has this in it")
    given = parser.parse_args()
    rows = []
    with opened_stage() as base:
        uvloop.run(base.prepare())
        for variant in (one for one in VARIANTS if (given.only or "") in one.name):
            with ExitStack() as stack:
                other = base
                if variant.settings:
                    other = stack.enter_context(opened_stage(variant.settings))
                    uvloop.run(other.prepare())
                rows.append(uvloop.run(_compare(base, other, variant)))
                print(*rows[-1], flush=True)  # noqa: T201 - a benchmark talks
    headings = ("setting", "executions/s", "processor of PostgreSQL", "WAL")
    print(markdown(headings, rows))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
