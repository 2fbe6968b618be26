"""The rows of one project: counted, locked, and removed in the order of their foreign keys.

Every function takes a session that is bound to the project, and names the project all the same.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    CursorResult,
    Delete,
    Uuid,
    any_,
    bindparam,
    delete,
    func,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession

from models.documents import DocumentVersion, Export
from models.executions import AgentExecution, ExecutionEvent
from models.projects import Project
from models.states import State

Counts = Counter[str]
"""How many of what, by the table's name, or by what else was found or removed."""

_OF_EXECUTIONS: tuple[type[ExecutionEvent | DocumentVersion | Export], ...] = (
    ExecutionEvent,
    DocumentVersion,
    Export,
)


def among(ids: Sequence[UUID]) -> ColumnElement[bool]:
    """Return what a column of ids is compared with: one array, however many there are."""
    return any_(bindparam(None, list(ids), type_=ARRAY(Uuid)))


async def count_project(session: AsyncSession, project_id: UUID) -> Counts:
    """Return how many rows the project has in each table, its own row among them."""
    counts: Counts = Counter()
    for table in (*_OF_EXECUTIONS, AgentExecution):
        number = select(func.count()).where(table.project_id == project_id)
        counts[table.__tablename__] = await session.scalar(number) or 0
    own = select(func.count()).where(Project.id == project_id)
    counts[Project.__tablename__] = await session.scalar(own) or 0
    return counts


async def count_of(session: AsyncSession, project_id: UUID, ids: Sequence[UUID]) -> Counts:
    """Return how many rows go with these executions, in each table, and how many they are."""
    counts: Counts = Counter({AgentExecution.__tablename__: len(ids)})
    for table in _OF_EXECUTIONS:
        number = select(func.count()).where(
            table.project_id == project_id, table.execution_id == among(ids)
        )
        counts[table.__tablename__] = await session.scalar(number) or 0
    return counts


async def remove(session: AsyncSession, project_id: UUID, ids: Sequence[UUID]) -> Counts:
    """Remove these executions with everything that names them; return how many rows went."""
    counts: Counts = Counter()
    for table in _OF_EXECUTIONS:
        counts[table.__tablename__] = await gone(
            session,
            delete(table).where(table.project_id == project_id, table.execution_id == among(ids)),
        )
    counts[AgentExecution.__tablename__] = await gone(
        session,
        delete(AgentExecution).where(
            AgentExecution.project_id == project_id, AgentExecution.id == among(ids)
        ),
    )
    return counts


async def gone(session: AsyncSession, statement: Delete) -> int:
    """Delete, and return how many rows went."""
    return cast("CursorResult[Any]", await session.execute(statement)).rowcount


async def within(
    session: AsyncSession, project_id: UUID, ids: Sequence[UUID], most: int
) -> list[UUID]:
    """Return the first of these executions whose events are at most `most`, and at least one.

    A transaction stays short however long the histories are.
    """
    rows = await session.execute(
        select(ExecutionEvent.execution_id, func.count())
        .where(ExecutionEvent.project_id == project_id, ExecutionEvent.execution_id == among(ids))
        .group_by(ExecutionEvent.execution_id)
    )
    events: dict[UUID, int] = {row[0]: row[1] for row in rows}
    chosen: list[UUID] = []
    left = most
    for id_ in ids:
        left -= events.get(id_, 0)
        if left < 0 and chosen:
            break
        chosen.append(id_)
    return chosen


def is_running() -> ColumnElement[bool]:
    """Whether an attempt of an execution runs: whoever let the lease run out writes nothing."""
    return (AgentExecution.status == State.RUNNING.value) & (
        AgentExecution.lease_expires_at > func.clock_timestamp()
    )


async def unbound(session: AsyncSession, project_id: UUID, ids: Collection[UUID]) -> list[UUID]:
    """Return those of these executions that nothing which stays is a retry of.

    With them locked for an update the answer holds to the end of the transaction.
    """
    rows = await session.execute(
        select(AgentExecution.id, AgentExecution.retry_of).where(
            AgentExecution.project_id == project_id,
            AgentExecution.retry_of == among(list(ids)),
        )
    )
    retries = [(row[0], row[1]) for row in rows]
    free = set(ids)
    while kept := {old for new, old in retries if new not in free and old in free}:
        free -= kept
    return [id_ for id_ in ids if id_ in free]
