"""How many updates of executions stay on their page (HOT), by fillfactor and size of the input.

A fleet in steps, on an empty table each time: claim what is missing from the number in flight,
renew all their leases some times, complete a part, and so on until all are done. Only renewals can
be HOT (claims and completions change `status`, which is indexed), and they are most of all updates.
`python -m benchmarks.fillfactor` prints the table of docs/operations/maintenance.md.
"""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from uuid import UUID

import uvloop

from benchmarks.figures import markdown
from benchmarks.stage import Ground, Stage, opened_stage
from worker.ledger import Dispatch, Ledger, MovePool
from worker.requests import EnqueueRequest
from worker.settings import secret

_EXECUTIONS = 20_000
_IN_FLIGHT = 1000
_ENDING = 200
_RENEWALS = 2
_PROJECTS = 20
_LEASE = timedelta(minutes=5)
_FACTORS = (100, 90, 80, 70, 60, 50)
_INPUTS = (100, 1000)
_KINDS = ("claim", "renew", "complete")

# The settings of the server's session are those of the moves; only what it counts is told at once.
_TELL = "SELECT pg_stat_force_next_flush()"
_COUNTS = (
    "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'agent_executions'"
)
_SIZES = (
    "SELECT pg_relation_size('agent_executions') AS heap, "
    "pg_indexes_size('agent_executions') AS indexes"
)


@dataclass
class Run:
    """One fillfactor and one size of input: updates, HOT ones, and seconds, by kind of move."""

    factor: int
    size: int
    updates: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_KINDS, 0))
    hot: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_KINDS, 0))
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_KINDS, 0.0))
    heap: int = 0
    indexes: int = 0

    def row(self) -> tuple[str, ...]:
        """Return the run as a row of the table."""
        ratios = (f"{100 * self.hot[kind] / self.updates[kind]:.0f} %" for kind in _KINDS)
        renewal = f"{1e6 * self.seconds['renew'] / self.updates['renew']:.0f} us"
        sizes = (f"{self.heap / 1e6:.0f} MB", f"{self.indexes / 1e6:.0f} MB")
        return (f"{self.size} B", str(self.factor), *ratios, renewal, *sizes)


class Fleet:
    """A worker's moves on one database, over connections that are counted after each step."""

    def __init__(self, ground: Ground, moves: MovePool, control: MovePool, run: Run) -> None:
        self._ground = ground
        self._moves = moves
        self._control = control
        self._run = run
        self._ledger = Ledger(moves, worker="bench", input_limit=1_000_000)
        self._dispatch = Dispatch(control)
        self._waiting: list[tuple[UUID, UUID]] = []
        self._running: list[tuple[UUID, UUID]] = []

    async def fill(self) -> None:
        """Enqueue everything, dealt out over the projects in turns, as callers would."""
        fields = {"agent_type": "draft", "requested_by": self._ground.user}
        text = {"text": "x" * self._run.size}
        for _ in range(_EXECUTIONS // _PROJECTS // 100):
            for project in self._ground.projects:
                ask = EnqueueRequest.checked({**fields, "project_id": project, "input": text})
                for made in await self._ledger.enqueue_many([ask] * 100):
                    self._waiting.append((project, made.execution_id))

    async def work(self) -> None:
        """Step until everything is done."""
        while self._waiting or self._running:
            async with self._counted("claim"):
                await self._claim()
            async with self._counted("renew"):
                for _ in range(_RENEWALS):
                    held = {id_: 1 for _, id_ in self._running}
                    await self._dispatch.extend("bench", held, _LEASE)
            async with self._counted("complete"):
                await self._complete()
        sizes = await self._ground.oracle.fetchrow(_SIZES)
        self._run.heap, self._run.indexes = sizes["heap"], sizes["indexes"]

    async def _claim(self) -> None:
        room = _IN_FLIGHT - len(self._running)
        new, self._waiting = self._waiting[:room], self._waiting[room:]
        for project in self._ground.projects:
            ids = [id_ for owner, id_ in new if owner == project]
            if ids:
                await self._ledger.claim(project, ids, _LEASE, {"draft": 3})
        self._running += new

    async def _complete(self) -> None:
        done, self._running = self._running[:_ENDING], self._running[_ENDING:]
        for project in self._ground.projects:
            ids = [id_ for owner, id_ in done if owner == project]
            if ids:
                await self._moves.call(
                    "SELECT * FROM complete_executions($1, 'bench', $2, $3, $4, '{}', '{}', '{}',"
                    " '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')",
                    project,
                    ids,
                    [1] * len(ids),
                    [json.dumps({"done": True})] * len(ids),
                )

    @asynccontextmanager
    async def _counted(self, kind: str) -> AsyncIterator[None]:
        before = await self._counts()
        began = monotonic()
        yield
        self._run.seconds[kind] += monotonic() - began
        after = await self._counts()
        self._run.updates[kind] += after[0] - before[0]
        self._run.hot[kind] += after[1] - before[1]

    async def _counts(self) -> tuple[int, int]:
        for pool in (self._moves, self._control):
            await pool.call(_TELL)
        row = await self._ground.oracle.fetchrow(_COUNTS)
        return int(row["n_tup_upd"]), int(row["n_tup_hot_upd"])


async def measure(stage: Stage) -> list[Run]:
    """Run every fillfactor with every size of input."""
    await stage.prepare()
    runs = []
    for size in _INPUTS:
        for factor in _FACTORS:
            run = Run(factor, size)
            async with stage.ground(projects=_PROJECTS) as ground:
                await ground.oracle.execute(
                    f"ALTER TABLE agent_executions SET (fillfactor = {factor})"
                )
                async with (
                    MovePool(secret(ground.settings.database_url), size=1) as moves,
                    MovePool(secret(ground.settings.dispatch_url), size=1) as control,
                ):
                    fleet = Fleet(ground, moves, control, run)
                    await fleet.fill()
                    await fleet.work()
            print("  ".join(run.row()), flush=True)  # noqa: T201 - a benchmark talks
            runs.append(run)
    return runs


def main() -> int:
    """Measure and print."""
    with opened_stage() as stage:
        runs = uvloop.run(measure(stage))
    headings = (
        *("input", "fillfactor", "claims HOT", "renewals HOT", "completions HOT"),
        *("a renewal", "table", "indexes"),
    )
    print(markdown(headings, [run.row() for run in runs]))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
