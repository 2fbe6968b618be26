"""The sweep: the guarantee behind the hints. It finds due and abandoned rows in PostgreSQL.

Every pass first rescues executions whose lease has run out, then claims what is due and no hint has
brought, a few of each project in turn. Passes are spread by jitter, so that many workers do not
come at the same moment, and rows that another worker is moving are skipped.

Hints come first in, first out, and some get lost. In a full worker they would take every slot that
comes free, so there the sweep looks several times a second, and the next free slots are its own:
what no hint tells of, and who stands behind another project's flood, gets its turn.
"""

import asyncio
import random
from contextlib import suppress
from time import monotonic
from uuid import UUID

import structlog

from models.states import State
from worker.claimer import Claimer, by_project
from worker.errors import CopydeskError
from worker.ledger import Dispatch, Ledger
from worker.outages import OutageLog
from worker.slots import Slots
from worker.telemetry import Telemetry

_JITTER = 0.25
# Seconds between passes that follow each other, where hints bring work too, and where they do not.
_SPACING = 0.1
_SHORTEST = 0.01
# A full worker keeps one slot in so many for the sweep, and at least one.
_SHARE = 8
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
        slots: Slots,
        agent_types: tuple[str, ...],
        telemetry: Telemetry,
        *,
        every: float,
    ) -> None:
        self._dispatch = dispatch
        self._ledger = ledger
        self._claimer = claimer
        self._slots = slots
        self._agent_types = agent_types
        self._telemetry = telemetry
        self._every = every
        self._after = _START
        self._rescue_at = 0.0
        self._by_hint = 0
        self._log = structlog.get_logger("copydesk.sweep")
        self._outage = OutageLog(self._log, "sweep")

    async def run(self) -> None:
        """Sweep until cancelled, at once the first time."""
        while True:
            more = await self.once()
            self._slots.keep_for_sweep(0)
            await asyncio.sleep(self._spacing())
            await self._pause(more=more)

    def _spacing(self) -> float:
        """Return the least time between passes: longer where hints bring most of the work."""
        before, self._by_hint = self._by_hint, self._telemetry.claimed["hint"]
        return _SPACING if self._by_hint != before else _SHORTEST

    async def _pause(self, *, more: bool) -> None:
        """Wait for the next pass, or, in a full worker and for more, for a free slot to keep."""
        spread = 1 + random.uniform(-_JITTER, _JITTER)  # noqa: S311 - not a secret
        with suppress(TimeoutError):
            async with asyncio.timeout(self._every * spread):
                if not more:
                    await self._slots.wait_until_full()
                self._slots.keep_for_sweep(max(self._slots.total // _SHARE, 1))
                await self._slots.wait_for_room("sweep")

    async def once(self) -> bool:
        """Make one pass; return whether there may be more to claim."""
        try:
            if monotonic() >= self._rescue_at:
                await self._rescue()
                self._rescue_at = monotonic() + self._every / 2
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
        if self._slots.room("sweep") == 0:
            return False
        due = await self._dispatch.find_due(
            self._agent_types, after=self._after, projects=_PROJECTS, per_project=_PER_PROJECT
        )
        places = [(row.project_id, row.execution_id) for row in due]
        wanted = [place for place in places if not self._claimer.holds(*place)]
        # What is found comes in turns, one of each project: so are the slots handed out that hints
        # have left meanwhile. With more asked for than there are, the first project of the circle
        # would take them all, be it the noisiest.
        found = by_project(wanted[: self._slots.room("sweep")])
        seen = {project_id for project_id, _ in wanted}
        # The circle goes on behind the last project served, and begins anew at its end.
        circle_ends = len(seen) < _PROJECTS and len(found) == len(seen)
        began_in_the_middle = self._after != _START
        self._after = _START if circle_ends else max(found, default=self._after)
        claims = await asyncio.gather(
            *(self._claimer.claim(project_id, ids, "sweep") for project_id, ids in found.items())
        )
        claimed = any(c is not None and c.claimed for answers in claims for c in answers.values())
        return claimed or (circle_ends and began_in_the_middle)
