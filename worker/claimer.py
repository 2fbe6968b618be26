"""Claims: the one way by which work found by a hint or by a sweep becomes a running attempt.

One call claims all that is wanted of a project. A claim that was begun is seen
through, even where whoever asked for it is stopped meanwhile: what the database gave must be run.

A claim whose answer was lost may have gone through, so it is repeated, for as long as the lease
holds that it may have opened. Until it is answered, nobody else here asks for the same executions:
they get its answer.
"""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Any
from uuid import UUID

import structlog

from worker.backoff import Backoff
from worker.errors import CopydeskError
from worker.executor import Executor
from worker.ledger import Claim, Ledger
from worker.outages import OutageLog
from worker.slots import Slots
from worker.telemetry import Source, Telemetry

Answers = dict[UUID, Claim | None]

_AGAIN = Backoff(first=timedelta(milliseconds=50), factor=2, cap=timedelta(seconds=2), jitter=0.5)


class Claimer:
    """Claims executions for the executor's agents and starts them."""

    def __init__(
        self,
        ledger: Ledger,
        executor: Executor,
        slots: Slots,
        telemetry: Telemetry,
        *,
        lease: timedelta,
    ) -> None:
        self._ledger = ledger
        self._executor = executor
        self._slots = slots
        self._telemetry = telemetry
        self._lease = lease
        self._quiet = asyncio.Event()
        self._under_way: set[asyncio.Task[Answers]] = set()
        self._asked: dict[tuple[UUID, UUID], asyncio.Task[Answers]] = {}
        self._outage = OutageLog(structlog.get_logger("copydesk.claimer"), "claims")

    @property
    def agents(self) -> dict[str, int]:
        """The agents that can run here: agent_type -> its max_attempts."""
        return self._executor.agents

    @property
    def is_quiet(self) -> bool:
        """Whether nothing more will be claimed."""
        return not self._slots.is_open

    def holds(self, project_id: UUID, execution_id: UUID) -> bool:
        """Whether an attempt of that execution runs in this process."""
        return self._executor.holds(project_id, execution_id)

    def quiet(self) -> None:
        """Claim nothing more."""
        self._slots.close()
        self._quiet.set()

    async def settle(self) -> None:
        """Return when every claim that was begun has been answered."""
        while self._under_way:
            await asyncio.wait(set(self._under_way))

    def claim(
        self, project_id: UUID, execution_ids: Sequence[UUID], source: Source
    ) -> Coroutine[Any, Any, Answers]:
        """Claim what is due of these, as far as slots are free, and start it.

        `source` is what told of them. Slots are taken before this returns, so that whoever asks
        next how much room there is gets a true answer; what is returned is to be awaited.

        It gives an answer for every execution that was asked for, None where the project has no
        such. Those left out were not asked for: they run here already, no slot was free, or
        PostgreSQL did not answer.
        """
        asked = {id_: self._asked.get((project_id, id_)) for id_ in execution_ids}
        free = [
            id_
            for id_, task in asked.items()
            if task is None and not self._executor.holds(project_id, id_)
        ]
        wanted = free[: self._slots.room(source)]
        begun = self._begin(project_id, wanted, source) if wanted else None
        return self._answers(asked, begun)

    async def _answers(
        self,
        asked: Mapping[UUID, asyncio.Task[Answers] | None],
        begun: asyncio.Task[Answers] | None,
    ) -> Answers:
        answers: Answers = {}
        if begun is not None:
            answers |= await asyncio.shield(begun)
        for id_, task in asked.items():
            if task is not None:
                answer = await asyncio.shield(task)
                answers |= {id_: answer[id_]} if id_ in answer else {}
        return answers

    def _begin(self, project_id: UUID, wanted: list[UUID], source: Source) -> asyncio.Task[Answers]:
        self._slots.take(len(wanted))
        task = asyncio.create_task(self._claim(project_id, wanted, source))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        self._asked |= dict.fromkeys(((project_id, id_) for id_ in wanted), task)
        return task

    async def _claim(self, project_id: UUID, wanted: list[UUID], source: Source) -> Answers:
        claims: list[Claim] = []
        started = 0
        try:
            claims = await self._until_answered(project_id, wanted)
        except CopydeskError as error:
            self._outage.failed(error)
            return {}
        finally:
            for id_ in wanted:
                del self._asked[project_id, id_]
            for claim in claims:
                if claim.claimed:
                    self._executor.start(claim)
                    started += 1
            self._slots.give_back(len(wanted) - started)
        self._telemetry.claimed[source] += started
        self._outage.over()
        return {**dict.fromkeys(wanted), **{claim.execution_id: claim for claim in claims}}

    async def _until_answered(self, project_id: UUID, wanted: list[UUID]) -> list[Claim]:
        until = monotonic() + self._lease.total_seconds()
        tries = 0
        while True:
            try:
                return await self._ledger.claim(
                    project_id, wanted, self._lease, self._executor.agents, again=tries > 0
                )
            except CopydeskError as error:
                # One that is quiet has no use for more; what was opened is left to its lease.
                if not error.retryable or not self._slots.is_open or monotonic() > until:
                    raise
                tries += 1
                self._outage.failed(error)
                await self._pause(_AGAIN.delay(tries).total_seconds())

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._quiet.wait()


def by_project(found: Iterable[tuple[UUID, UUID]]) -> dict[UUID, list[UUID]]:
    """Group (project, execution) pairs by project, keeping their order."""
    projects: dict[UUID, list[UUID]] = defaultdict(list)
    for project_id, execution_id in found:
        projects[project_id].append(execution_id)
    return projects
