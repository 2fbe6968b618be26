"""Emptying a project in PostgreSQL: cancel, remove in batches, and at last the project's own row.

Each call is one short transaction. While rows go, others may come: services may enqueue and workers
claim until the last transaction, which lets nobody add anything to the project any more.
"""

from collections import Counter
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from models.executions import AgentExecution
from models.projects import Project
from models.states import State
from worker.database import Database
from worker.errors import ProjectBusyError
from worker.maintenance.rows import (
    Counts,
    among,
    gone,
    is_running,
    remove,
    unbound,
    within,
)

_MOST_EVENTS = 20_000
_REASON = "the project is being deleted"

Place = tuple[datetime, UUID]
"""Where an execution stands in its project: when it was enqueued, and its id."""


class Emptying:
    """The transactions of a deletion, as copydesk_maintenance; `batch` executions in each."""

    def __init__(self, database: Database, *, batch: int) -> None:
        self._database = database
        self._batch = batch
        self._few = batch + 1

    async def running(self, project_id: UUID) -> int:
        """Return how many attempts run in the project."""
        async with self._database.project(project_id, snapshot=True) as session:
            return await count_running(session, project_id)

    async def cancel(self, project_id: UUID) -> tuple[int, list[UUID]]:
        """Cancel a batch of what is under way; return how many, and those that run."""
        async with self._database.project(project_id) as session:
            found = await session.scalars(
                select(AgentExecution.id)
                .where(
                    AgentExecution.project_id == project_id,
                    AgentExecution.status.in_([State.PENDING.value, State.RUNNING.value]),
                    AgentExecution.cancel_requested_at.is_(None),
                )
                .limit(self._batch)
            )
            ids = list(found)
            if not ids:
                return 0, []
            told = func.cancel_executions(project_id, ids, _REASON).table_valued(
                "execution_id", "status"
            )
            rows = await session.execute(select(told.c.execution_id, told.c.status))
            return len(ids), [row[0] for row in rows if row[1] == State.RUNNING.value]

    async def remove_some(
        self, project_id: UUID, below: Place | None
    ) -> tuple[Place | None, list[UUID], Counts]:
        """Remove executions older than `below` that do not run, newest first.

        Returns where the next call goes on, None at the end; which executions went; how many rows.
        """
        execution = AgentExecution
        page = (
            select(execution.id, execution.created_at)
            .where(execution.project_id == project_id)
            .order_by(execution.created_at.desc(), execution.id.desc())
            .limit(self._batch)
        )
        if below is not None:
            page = page.where(tuple_(execution.created_at, execution.id) < below)
        async with self._database.project(project_id) as session:
            rows = await session.execute(page)
            places = {row[0]: (row[1], row[0]) for row in rows}
            if not places:
                return None, [], Counter()
            looked_at = await within(session, project_id, list(places), _MOST_EVENTS)
            idle = await session.scalars(
                select(execution.id)
                .where(execution.project_id == project_id, execution.id == among(looked_at))
                .where(~is_running())
                .order_by(execution.id)
                .with_for_update()
            )
            removable = await unbound(session, project_id, list(idle))
            counts = await remove(session, project_id, removable)
        return places[looked_at[-1]], removable, counts

    async def remove_last(self, project_id: UUID) -> Counts | None:
        """Remove the few rows that are left and the project itself; None where they are not few.

        Raises:
            ProjectBusyError: an attempt has begun meanwhile.
        """
        async with self._database.project(project_id) as session:
            project = select(Project.id).where(Project.id == project_id).with_for_update()
            if await session.scalar(project) is None:
                return Counter()
            # From here on nothing can be added that names the project.
            rows = await session.execute(
                select(AgentExecution.id, is_running())
                .where(AgentExecution.project_id == project_id)
                .order_by(AgentExecution.id)
                .limit(self._few)
                .with_for_update()
            )
            left = {row[0]: row[1] for row in rows}
            if running := sum(left.values()):
                raise busy(running, "they began while rows went; call the deletion again")
            if len(left) == self._few:
                return None
            counts = await remove(session, project_id, list(left))
            counts[Project.__tablename__] = await gone(
                session, delete(Project).where(Project.id == project_id)
            )
            return counts


async def count_running(session: AsyncSession, project_id: UUID) -> int:
    """Return how many attempts run in the project."""
    number = (
        select(func.count())
        .where(AgentExecution.project_id == project_id)
        .where(AgentExecution.status == State.RUNNING.value)
        .where(is_running())
    )
    return await session.scalar(number) or 0


def busy(running: int, rest: str) -> ProjectBusyError:
    """Return the refusal that tells how many attempts run, and what to do about them."""
    return ProjectBusyError(f"project_id: {running} attempts run in this project; {rest}")
