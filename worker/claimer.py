"""Claims: the one way by which work found by a hint or by a sweep becomes a running attempt.

Slots are reserved before the database is asked, so that a hint and a sweep together never claim
more than can run. One call claims all that is wanted of a project. A claim that was begun is seen
through, even where whoever asked for it is stopped meanwhile: what the database gave must be run.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from worker.errors import CopydeskError
from worker.executor import Executor
from worker.ledger import Claim, Ledger
from worker.outages import OutageLog


class Claimer:
    """Claims executions for the executor's agents and starts them."""

    def __init__(self, ledger: Ledger, executor: Executor, *, lease: timedelta) -> None:
        self._ledger = ledger
        self._executor = executor
        self._lease = lease
        self._open = True
        self._under_way: set[asyncio.Task[dict[UUID, Claim | None]]] = set()
        self._outage = OutageLog(structlog.get_logger("copydesk.claimer"), "claims")

    @property
    def free(self) -> int:
        """How many more executions may be claimed now."""
        return max(self._executor.free, 0) if self._open else 0

    @property
    def agents(self) -> dict[str, int]:
        """The agents that can run here: agent_type -> its max_attempts."""
        return self._executor.agents

    async def wait_for_free(self) -> None:
        """Return when something may be claimed, or nothing will be any more."""
        while self._open and self.free == 0:
            await self._executor.wait_for_change()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing more will be claimed."""
        return not self._open

    def holds(self, project_id: UUID, execution_id: UUID) -> bool:
        """Whether an attempt of that execution runs in this process."""
        return self._executor.holds(project_id, execution_id)

    def quiet(self) -> None:
        """Claim nothing more."""
        self._open = False
        self._executor.notice_change()

    async def settle(self) -> None:
        """Return when every claim that was begun has been answered."""
        while self._under_way:
            await asyncio.wait(set(self._under_way))

    async def claim(
        self, project_id: UUID, execution_ids: Sequence[UUID]
    ) -> dict[UUID, Claim | None]:
        """Claim what is due of these, as far as slots are free, and start it.

        Returns an answer for every execution that was asked for, None where the project has no
        such. Those left out were not asked for: they run here already, no slot was free, or
        PostgreSQL did not answer.
        """
        free = [id_ for id_ in execution_ids if not self._executor.holds(project_id, id_)]
        wanted = free[: self.free]
        if not wanted:
            return {}
        self._executor.reserve(len(wanted))
        task = asyncio.create_task(self._claim(project_id, wanted))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def _claim(self, project_id: UUID, wanted: list[UUID]) -> dict[UUID, Claim | None]:
        try:
            claims = await self._ledger.claim(
                project_id, wanted, self._lease, self._executor.agents
            )
        except CopydeskError as error:
            self._outage.failed(error)
            return {}
        finally:
            self._executor.unreserve(len(wanted))
        self._outage.over()
        for claim in claims:
            if claim.claimed:
                self._executor.start(claim)
        return {**dict.fromkeys(wanted), **{claim.execution_id: claim for claim in claims}}


def by_project(found: Iterable[tuple[UUID, UUID]]) -> dict[UUID, list[UUID]]:
    """Group (project, execution) pairs by project, keeping their order."""
    projects: dict[UUID, list[UUID]] = defaultdict(list)
    for project_id, execution_id in found:
        projects[project_id].append(execution_id)
    return projects
