"""Progress: agents report as often as they like; the latest word of each is recorded, in batches.

Reports come from the event loop and from threads. One loop takes what has changed a few times a
second and records it, one call a project; nothing is recorded twice and nothing queues up.
"""

import asyncio
import threading
from collections import defaultdict
from uuid import UUID

import structlog

from worker.errors import CopydeskError
from worker.ledger import Claim, Ledger, Progress

_EVERY = 0.25
_LONGEST = 500


class ProgressBoard:
    """The latest report of every running attempt, and the loop that records what is new."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._new: dict[UUID, tuple[UUID, Progress]] = {}
        self._lock = threading.Lock()
        self._log = structlog.get_logger("copydesk.progress")

    def put(self, claim: Claim, fraction: float | None, message: str) -> None:
        """Replace the attempt's latest report; safe from any thread."""
        text = str(message)[:_LONGEST].replace("\x00", "").encode("utf-8", "replace").decode()
        report = Progress(claim.execution_id, claim.attempt, fraction, text)
        with self._lock:
            self._new[claim.execution_id] = (claim.project_id, report)

    def forget(self, execution_id: UUID) -> None:
        """Drop what is left of an attempt that has ended."""
        with self._lock:
            self._new.pop(execution_id, None)

    async def run(self) -> None:
        """Record reports until cancelled."""
        while True:
            await asyncio.sleep(_EVERY)
            if self._new:
                await self._record()

    async def _record(self) -> None:
        with self._lock:
            new, self._new = self._new, {}
        projects: dict[UUID, list[Progress]] = defaultdict(list)
        for project_id, report in new.values():
            projects[project_id].append(report)
        for project_id, reports in projects.items():
            try:
                await self._ledger.progress(project_id, reports)
            except CopydeskError as error:
                # A report is worth no retry: the next one says more.
                self._log.debug("progress_not_recorded", code=error.code)
