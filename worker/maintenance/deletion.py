"""Deleting a project: rows, what stands of it in Redis, export files.

It may be interrupted anywhere and begun again: whatever is left is found by the project's id. New
work that comes in meanwhile is removed as well; a worker that still runs an attempt whose rows are
gone writes nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from uuid import UUID

from sqlalchemy import func, select

from models.documents import Export
from models.executions import AgentExecution
from models.states import State
from worker.database import Database
from worker.errors import NotFoundError, SettingsError
from worker.maintenance.emptying import Emptying, Place, busy, count_running
from worker.maintenance.files import ExportFiles
from worker.maintenance.patience import patiently
from worker.maintenance.results import results_of
from worker.maintenance.rows import Counts, count_project
from worker.maintenance.statistics import forget_values
from worker.maintenance.traces import QueueTraces
from worker.queue.signals import Signals

REDIS, FILES = "redis", "files"
"""What is counted beside rows: keys and members in Redis, export files."""

_BATCH = 500
_LOOK_AGAIN = 0.2


@dataclass(frozen=True)
class Survey:
    """What there is of a project: counts by table, `redis` and `files`; what of it is under way."""

    counts: Counts
    pending: int
    running: int


@dataclass(frozen=True)
class Receipt:
    """What was removed, and sentences about what may be left."""

    counts: Counts = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)


class Deletion:
    """Deletes projects.

    Args:
        database: as copydesk_maintenance.
        traces: of the queue that carries the project's messages.
        signals: tells workers of cancellations.
        files: the exports directory, None where none is configured.
        batch: executions removed in one transaction, at most.
    """

    def __init__(
        self,
        database: Database,
        traces: QueueTraces,
        signals: Signals,
        files: ExportFiles | None,
        *,
        batch: int = _BATCH,
    ) -> None:
        self._database = database
        self._rows = Emptying(database, batch=batch)
        self._traces = traces
        self._signals = signals
        self._files = files

    async def survey(self, project_id: UUID) -> Survey:
        """Return what a deletion would remove.

        Raises:
            NotFoundError: there is nothing of such a project, anywhere.
            SettingsError: it has export files, and no directory is configured.
        """
        await self._traces.check()
        async with self._database.project(project_id, snapshot=True) as session:
            counts = await count_project(session, project_id)
            running = await count_running(session, project_id)
            pending = await session.scalar(
                select(func.count())
                .where(AgentExecution.project_id == project_id)
                .where(AgentExecution.status == State.PENDING.value)
            )
            answered = await results_of(session, project_id, self._traces)
        if counts[Export.__tablename__] and self._files is None:
            raise SettingsError(
                "COPYDESK_EXPORTS_DIRECTORY is not set, and the project has export files; "
                "name the directory that the workers write to"
            )
        messages = {*await self._traces.messages(project_id), *answered}
        counts[REDIS] = len(messages)
        counts[REDIS] += len(await self._traces.own_keys(project_id))
        counts[REDIS] += len(await self._traces.quarantined(project_id))
        counts[FILES] = len(self._files.of(project_id)) if self._files is not None else 0
        if not any(counts.values()):
            raise NotFoundError("project_id: there is no such project, and nothing is left of one")
        return Survey(counts, pending or 0, running)

    async def delete(
        self, project_id: UUID, *, cancel_running: bool = False, wait: float = 60
    ) -> Receipt:
        """Remove everything there is of a project.

        Args:
            project_id: the project; what an interrupted deletion has left of one is removed too.
            cancel_running: cancel what runs, and wait until it has stopped.
            wait: for so many seconds at most.

        Raises:
            NotFoundError: there is nothing of such a project.
            ProjectBusyError: attempts run. Nothing was removed; or they began while rows went, and
                the rest waits for the next call.
            DatabaseUnavailableError, RedisUnavailableError: call it again.
        """
        found = await self.survey(project_id)
        if cancel_running:
            await self._stop(project_id, wait)
        elif found.running:
            raise busy(found.running, "wait for them, or cancel them with --cancel-running")
        receipt = Receipt()
        asked = await self._forget_messages(project_id, receipt)
        while True:
            await self._remove_rows(project_id, receipt)
            if cancel_running:
                await self._stop(project_id, wait)
            last = await patiently(partial(self._rows.remove_last, project_id))
            if last is not None:
                receipt.counts.update(last)
                break
        await self._clear_redis(project_id, asked, receipt)
        if self._files is not None:
            receipt.counts[FILES] += self._files.remove_project(project_id)
        receipt.remarks.extend(await forget_values(self._database))
        return receipt

    async def _stop(self, project_id: UUID, wait: float) -> None:
        """Cancel all that is pending or runs, and wait until nothing runs."""
        until = monotonic() + wait
        while True:
            cancelled, told = await patiently(partial(self._rows.cancel, project_id))
            for execution_id in told:
                await self._signals.publish_cancel(project_id, execution_id)
            if cancelled:
                continue
            running = await self._rows.running(project_id)
            if not running:
                return
            if monotonic() > until:
                raise busy(running, f"they have not stopped within {wait:g} s of a cancellation")
            await asyncio.sleep(_LOOK_AGAIN)

    async def _forget_messages(self, project_id: UUID, receipt: Receipt) -> Sequence[bytes]:
        """Remove messages and results, as long as rows tell whose results are; return their ids."""
        asked = await self._traces.messages(project_id)
        async with self._database.project(project_id, snapshot=True) as session:
            answered = await results_of(session, project_id, self._traces)
        receipt.counts[REDIS] += await self._traces.forget({*asked, *answered})
        return asked

    async def _remove_rows(self, project_id: UUID, receipt: Receipt) -> None:
        """Remove what does not run, from the newest to the oldest, until nothing more goes."""
        removed = True
        while removed:
            removed = False
            below: Place | None = None
            while True:
                step = partial(self._rows.remove_some, project_id, below)
                below, ids, counts = await patiently(step)
                receipt.counts.update(counts)
                receipt.counts[REDIS] += await self._traces.forget(str(id_).encode() for id_ in ids)
                removed |= bool(ids)
                if below is None:
                    break

    async def _clear_redis(
        self, project_id: UUID, asked: Sequence[bytes], receipt: Receipt
    ) -> None:
        # Results of messages that were under way when they were removed, and what came meanwhile.
        late = {*asked, *await self._traces.messages(project_id)}
        receipt.counts[REDIS] += await self._traces.forget(late)
        keys = await self._traces.own_keys(project_id)
        receipt.counts[REDIS] += await self._traces.remove_keys(keys)
        aside = await self._traces.quarantined(project_id)
        receipt.counts[REDIS] += await self._traces.remove_quarantined(aside)
