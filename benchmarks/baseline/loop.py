"""A loop without any queue: it finds due rows, claims them in batches, and completes them.

This is what PostgreSQL and copydesk's SQL functions give to one Python process that has nothing
else to do: no hints, no heartbeat, no retries, no cancellation, no log. Completions go one call
each, or, with `batched`, together as they come, by project.
"""

import asyncio
import json
import os
import sys
from collections import defaultdict
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import uvloop

from benchmarks.work import CONTENT, DOCUMENT_TYPE, OUTPUT, Text

WORKER = "loop"
FIND = "SELECT * FROM find_due($1, $2, $3, $4)"
CLAIM = "SELECT * FROM claim_executions($1, $2, $3, $4, $5, $6)"
COMPLETE = (
    "SELECT * FROM complete_executions("
    "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
)
_LEASE = timedelta(seconds=30)
_START = UUID(int=0)
_CONNECTIONS = 8


async def leave(_connection: object) -> None:
    """Leave a connection as it is."""


def claim_arguments(project: UUID, executions: list[UUID]) -> list[Any]:
    """Return the arguments of CLAIM."""
    return [project, executions, WORKER, _LEASE, ["draft"], [3]]


def complete_arguments(project: UUID, done: list[tuple[UUID, int]]) -> list[Any]:
    """Return the arguments of COMPLETE for (execution, attempt), each with its document."""
    number = len(done)
    return [
        project,
        WORKER,
        [execution for execution, _ in done],
        [attempt for _, attempt in done],
        [json.dumps(OUTPUT)] * number,
        list(range(1, number + 1)),
        [DOCUMENT_TYPE] * number,
        [CONTENT] * number,
        ["{}"] * number,
        [None] * number,
        [None] * number,
        [None] * number,
        *([], [], [], []),
    ]


class Loop:
    """Keeps `slots` executions in flight."""

    def __init__(
        self, app: asyncpg.Pool, dispatch: asyncpg.Pool, slots: int, batched: bool
    ) -> None:
        self._app = app
        self._dispatch = dispatch
        self._slots = slots
        self._batched = batched
        self._in_flight = 0
        self._changed = asyncio.Event()
        self._waiting: dict[UUID, list[tuple[UUID, int]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Work until cancelled."""
        after = _START
        while True:
            free = self._slots - self._in_flight
            if free < self._slots // 4:
                self._changed.clear()
                await self._changed.wait()
                continue
            found = await self._dispatch.fetch(FIND, ["draft"], after, 50, 1 + free // 20)
            projects: dict[UUID, list[UUID]] = defaultdict(list)
            for row in found[:free]:
                projects[row["project_id"]].append(row["execution_id"])
            after = max(projects, default=_START) if len(projects) > 1 else _START
            if not projects:
                await asyncio.sleep(0.005)
                continue
            claimed = await asyncio.gather(
                *(self._app.fetch(CLAIM, *claim_arguments(p, ids)) for p, ids in projects.items())
            )
            for project, rows in zip(projects, claimed, strict=True):
                for row in rows:
                    if row["claimed"]:
                        self._in_flight += 1
                        self._start(self._execute(project, row))

    def _start(self, work: Any) -> None:  # noqa: ANN401 - a coroutine
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _execute(self, project: UUID, row: Any) -> None:  # noqa: ANN401 - a record
        Text.model_validate(json.loads(row["input_data"]))
        done = (row["execution_id"], row["attempt"])
        if not self._batched:
            await self._app.fetch(COMPLETE, *complete_arguments(project, [done]))
            self._ended(1)
        elif project in self._waiting:
            self._waiting[project].append(done)
        else:
            self._waiting[project] = [done]
            await self._drain(project)

    async def _drain(self, project: UUID) -> None:
        await asyncio.sleep(0)
        while batch := self._waiting[project]:
            self._waiting[project] = []
            await self._app.fetch(COMPLETE, *complete_arguments(project, batch))
            self._ended(len(batch))
        del self._waiting[project]

    def _ended(self, number: int) -> None:
        self._in_flight -= number
        self._changed.set()


async def main(slots: int, batched: bool) -> None:
    """Work until told to stop."""
    async with (
        asyncpg.create_pool(
            os.environ["COPYDESK_DATABASE_URL"],
            min_size=_CONNECTIONS,
            max_size=_CONNECTIONS,
            reset=leave,
        ) as app,
        asyncpg.create_pool(
            os.environ["COPYDESK_DISPATCH_URL"], min_size=1, max_size=1, reset=leave
        ) as dispatch,
    ):
        await Loop(app, dispatch, slots, batched).run()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2:] == ["batched"]))
