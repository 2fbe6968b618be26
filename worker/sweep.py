"""The sweep: the guarantee behind the hints. It finds due and abandoned rows in PostgreSQL.

Every pass first rescues executions whose lease has run out, then claims what is due and no hint has
brought, a few of each project in turn. Passes are spread by jitter, so that many workers do not
come at the same moment, and rows that another worker is moving are skipped.
"""

import asyncio
import random
from contextlib import suppress
from uuid import UUID

import structlog

from models.states import State
from worker.claimer import Claimer, by_project
from worker.errors import CopydeskError
from worker.ledger import Dispatch, Ledger
from worker.outages import OutageLog
from worker.telemetry import Telemetry

_JITTER = 0.25
_SHORTEST = 0.05
_RESCUE_BATCH = 200
_PROJECTS = 50
_PER_PROJECT = 20
_START = UUID(int=0)


class Sweep:
    """Looks every `every` seconds, spread by a quarter, until cancelled."""

    def __init__(
        self,
        dispatch: Dispatch,
        ledger: Ledger,
        claimer: Claimer,
        agent_types: tuple[str, ...],
        telemetry: Telemetry,
        *,
        every: float,
    ) -> None:
        self._dispatch = dispatch
        self._ledger = ledger
        self._claimer = claimer
        self._agent_types = agent_types
        self._telemetry = telemetry
        self._every = every
        self._after = _START
        self._log = structlog.get_logger("copydesk.sweep")
        self._outage = OutageLog(self._log, "sweep")

    async def run(self) -> None:
        """Sweep until cancelled, at once the first time."""
        while True:
            more = await self.once()
            if not more:
                spread = 1 + random.uniform(-_JITTER, _JITTER)  # noqa: S311 - not a secret
                await self._pause(self._every * spread)

    async def _pause(self, seconds: float) -> None:
        """Wait for the next pass; with all slots taken, only until one is free, but never spin."""
        if self._claimer.free > 0:
            await asyncio.sleep(seconds)
            return
        await asyncio.sleep(min(seconds, _SHORTEST))
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds - _SHORTEST, 0)):
                await self._claimer.wait_for_free()

    async def once(self) -> bool:
        """Make one pass; return whether it is worth going on at once."""
        try:
            await self._rescue()
            more = await self._claim()
        except CopydeskError as error:
            self._outage.failed(error)
            return False
        self._outage.over()
        return more

    async def _rescue(self) -> None:
        expired = await self._dispatch.find_expired(_RESCUE_BATCH)
        found = by_project((row.project_id, row.execution_id) for row in expired)
        for project_id, execution_ids in found.items():
            for execution_id, status in (
                await self._ledger.rescue(project_id, execution_ids)
            ).items():
                self._telemetry.rescued[status] += 1
                log = self._log.error if status == State.FAILED else self._log.warning
                log(
                    "rescued",
                    project_id=str(project_id),
                    execution_id=str(execution_id),
                    status=status,
                )

    async def _claim(self) -> bool:
        if self._claimer.free == 0:
            return False
        due = await self._dispatch.find_due(
            self._agent_types, after=self._after, projects=_PROJECTS, per_project=_PER_PROJECT
        )
        places = [(row.project_id, row.execution_id) for row in due]
        wanted = [place for place in places if not self._claimer.holds(*place)]
        # What is found comes in turns, one of each project: so are the free slots handed out.
        found = by_project(wanted[: self._claimer.free])
        seen = {project_id for project_id, _ in wanted}
        # The circle goes on behind the last project served, and begins anew at its end.
        circle_ends = len(seen) < _PROJECTS and len(found) == len(seen)
        began_in_the_middle = self._after != _START
        self._after = _START if circle_ends else max(found, default=self._after)
        claimed = 0
        for project_id, execution_ids in found.items():
            claims = await self._claimer.claim(project_id, execution_ids, "sweep")
            claimed += sum(claim is not None and claim.claimed for claim in claims.values())
        return self._claimer.free > 0 and (claimed > 0 or (circle_ends and began_in_the_middle))
