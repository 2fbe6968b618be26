"""Pruning: executions that ended long ago go, with their events, export files and old versions.

What is recorded stays right. An execution that wrote a version which is kept is kept, or nobody
could say who wrote it; one that another execution repeats goes together with that one, or not at
all. The latest version of a document is never removed, so that numbering goes on where it was.

Each batch is one short transaction that waits for nobody: a row that somebody holds is left for the
next time.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from models.documents import DocumentVersion, Export
from models.executions import AgentExecution
from models.projects import Project
from models.states import FINAL
from worker.database import Database
from worker.errors import NotFoundError
from worker.ledger import MovePool
from worker.maintenance.files import ExportFiles, name_in
from worker.maintenance.leftovers import FILES, Leftovers
from worker.maintenance.patience import patiently
from worker.maintenance.rows import Counts, among, count_of, gone, remove, unbound, within

_MOST_EVENTS = 20_000
_PROJECTS_AT_ONCE = 1000
_VERSIONS = DocumentVersion.__tablename__

Place = tuple[datetime, UUID]
"""Where an execution stands in its project: when it was enqueued, and its id."""


@dataclass(frozen=True)
class Order:
    """What is to be pruned.

    Attributes:
        older_than: executions that ended longer ago than this; None leaves all of them.
        documents: old versions go too, but never the latest of a document.
        for_real: remove; otherwise nothing is changed, and what would go is counted.
    """

    older_than: timedelta | None
    documents: bool = False
    for_real: bool = False


class Pruner:
    """Prunes projects, one at a time.

    Args:
        database: as copydesk_maintenance.
        files: the exports directory, None where none is configured.
        batch: executions looked at in one transaction, at most.
    """

    def __init__(self, database: Database, files: ExportFiles | None, *, batch: int) -> None:
        self._database = database
        self._files = files
        self._batch = batch
        self._leftovers = None if files is None else Leftovers(database, files)

    async def prune(self, project_id: UUID, order: Order) -> Counts:
        """Prune a project; return how many rows and files went, or would go.

        Raises:
            NotFoundError: there is no such project, nor a file of one.
        """
        counts: Counts = Counter()
        names: set[str] = set()
        now = await self._now(project_id)
        if order.older_than is not None:
            before = now - order.older_than
            after: Place | None = None
            while True:
                step = partial(self._step, project_id, before, after, order)
                after, some, files = await patiently(step)
                counts.update(some)
                names.update(files)
                if self._files is not None and order.for_real:
                    # Behind the commit, so that every row that stays has its file.
                    counts[FILES] += self._files.remove(project_id, files)
                if after is None:
                    break
        if self._leftovers is not None:
            counts += await self._leftovers.prune(project_id, names, for_real=order.for_real)
        return counts

    async def _now(self, project_id: UUID) -> datetime:
        """Return the database's time, for a project that is there."""
        async with self._database.project(project_id, snapshot=True) as session:
            there = await session.scalar(select(Project.id).where(Project.id == project_id))
            now: datetime = (await session.execute(select(func.now()))).scalar_one()
        if there is None and not (self._files and self._files.of(project_id)):
            raise NotFoundError("project_id: there is no such project")
        return now

    async def _step(
        self, project_id: UUID, before: datetime, after: Place | None, order: Order
    ) -> tuple[Place | None, Counts, list[str]]:
        """Prune a batch of executions enqueued later than `after`.

        Returns where to go on, None at the end; what went; and the names of its export files.
        """
        execution = AgentExecution
        page = (
            select(execution.id, execution.created_at)
            .where(execution.project_id == project_id, execution.created_at < before)
            # What repeats another one is looked at together with that one.
            .where(execution.retry_of.is_(None))
            .order_by(execution.created_at, execution.id)
            .limit(self._batch)
        )
        if after is not None:
            page = page.where(tuple_(execution.created_at, execution.id) > after)
        async with self._database.project(project_id, snapshot=not order.for_real) as session:
            places = {row[0]: (row[1], row[0]) for row in await session.execute(page)}
            if not places:
                return None, Counter(), []
            looked_at = await within(session, project_id, list(places), _MOST_EVENTS)
            ended = await _ended(session, project_id, looked_at, before, lock=order.for_real)
            kept = await _with_versions_that_stay(session, project_id, ended, order)
            others = [id_ for id_ in ended if id_ not in kept]
            going = await unbound(session, project_id, others)
            names = await _names(session, project_id, going)
            if order.for_real:
                counts = await _remove(session, project_id, ended, going, order)
            else:
                counts = await _count(session, project_id, ended, going, order)
        return places[looked_at[-1]], counts, names


async def projects(dispatch: MovePool) -> AsyncIterator[UUID]:
    """Yield the projects that have executions; `dispatch` is as copydesk_dispatch."""
    after = UUID(int=0)
    while True:
        rows = await dispatch.call(
            "SELECT project_id FROM find_projects($1, $2)", after, _PROJECTS_AT_ONCE
        )
        for row in rows:
            after = UUID(str(row["project_id"]))
            yield after
        if len(rows) < _PROJECTS_AT_ONCE:
            return


async def _ended(
    session: AsyncSession, project_id: UUID, ids: Sequence[UUID], before: datetime, *, lock: bool
) -> list[UUID]:
    """Return those that ended before, and of what repeats them those that did."""
    execution = AgentExecution
    found: list[UUID] = []
    level: ColumnElement[bool] = execution.id == among(ids)
    while True:
        # A statement for each level: to what is locked by the last one no retry can be added.
        statement = (
            select(execution.id)
            .where(execution.project_id == project_id, level)
            .where(execution.status.in_([state.value for state in FINAL]))
            .where(execution.completed_at < before)
            .order_by(execution.id)
        )
        if lock:
            statement = statement.with_for_update(skip_locked=True)
        known = set(found)
        some = [id_ for id_ in await session.scalars(statement) if id_ not in known]
        if not some:
            return found
        found += some
        level = execution.retry_of == among(some)


def _is_latest() -> ColumnElement[bool]:
    version, later = DocumentVersion, aliased(DocumentVersion)
    latest = (
        select(func.max(later.version))
        .where(later.project_id == version.project_id)
        .where(later.document_type == version.document_type)
        .correlate(version)
        .scalar_subquery()
    )
    return version.version == latest


async def _with_versions_that_stay(
    session: AsyncSession, project_id: UUID, ids: Sequence[UUID], order: Order
) -> set[UUID]:
    version = DocumentVersion
    found = await session.scalars(
        select(version.execution_id)
        .where(version.project_id == project_id, version.execution_id == among(ids))
        .where(_is_latest() if order.documents else true())
    )
    return set(found)


async def _names(session: AsyncSession, project_id: UUID, ids: Sequence[UUID]) -> list[str]:
    """Return the names of the export files of these executions."""
    paths = await session.scalars(
        select(Export.file_path).where(
            Export.project_id == project_id, Export.execution_id == among(ids)
        )
    )
    return [name for path in paths if (name := name_in(project_id, path))]


async def _remove(
    session: AsyncSession,
    project_id: UUID,
    ended: Sequence[UUID],
    going: Sequence[UUID],
    order: Order,
) -> Counts:
    version = DocumentVersion
    counts: Counts = Counter()
    if order.documents:
        counts[_VERSIONS] = await gone(
            session,
            delete(version)
            .where(version.project_id == project_id, version.execution_id == among(ended))
            .where(~_is_latest()),
        )
    counts.update(await remove(session, project_id, going))
    return counts


async def _count(
    session: AsyncSession,
    project_id: UUID,
    ended: Sequence[UUID],
    going: Sequence[UUID],
    order: Order,
) -> Counts:
    version = DocumentVersion
    counts = await count_of(session, project_id, going)
    if order.documents:
        old = (
            select(func.count())
            .where(version.project_id == project_id, version.execution_id == among(ended))
            .where(~_is_latest())
        )
        counts[_VERSIONS] = await session.scalar(old) or 0
    return counts
