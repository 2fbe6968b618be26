"""Which results in Redis are a project's: PostgreSQL knows the executions that they tell of."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from models.executions import AgentExecution
from models.states import State
from worker.maintenance.messages import Result
from worker.maintenance.rows import among
from worker.maintenance.traces import QueueTraces

_EARLIEST_MS, _LATEST_MS = 1_000_000_000_000, 10_000_000_000_000
_MARGIN = timedelta(milliseconds=2)


async def results_of(session: AsyncSession, project_id: UUID, traces: QueueTraces) -> set[bytes]:
    """Return the ids of the messages whose results tell of executions of the session's project."""
    completed: dict[UUID, list[bytes]] = defaultdict(list)
    failed: list[tuple[bytes, Result]] = []
    async for message_id, result in traces.results():
        if result.execution_id is not None:
            completed[result.execution_id].append(message_id)
        else:
            failed.append((message_id, result))
    found = {id_ for id_, result in failed if await _tells_of(session, project_id, result)}
    if completed:
        mine = await session.scalars(
            select(AgentExecution.id).where(
                AgentExecution.project_id == project_id, AgentExecution.id == among([*completed])
            )
        )
        found |= {message_id for execution in mine for message_id in completed[execution]}
    return found


async def _tells_of(session: AsyncSession, project_id: UUID, result: Result) -> bool:
    """Whether a failure says, word for word, how an execution of the project ended.

    It names none. It has the moment at which its execution was enqueued, and its error.
    """
    execution = AgentExecution
    for moment in {each for each in result.numbers if _EARLIEST_MS < each < _LATEST_MS}:
        at = datetime.fromtimestamp(moment / 1000, UTC)
        rows = await session.execute(
            select(execution.status, execution.error_code, execution.error_message)
            .where(execution.project_id == project_id)
            .where(_enqueued_about(at))
            .where(execution.status.in_([State.FAILED.value, State.CANCELLED.value]))
        )
        if any(_told(*row) in result.texts for row in rows):
            return True
    return False


def _enqueued_about(at: datetime) -> ColumnElement[bool]:
    return AgentExecution.created_at.between(at - _MARGIN, at + _MARGIN)


def _told(status: str, error_code: str | None, error_message: str | None) -> str:
    """Return what a producer is told of such an end (see `worker.deliveries.endings`)."""
    return f"{status}: {error_code or 'cancelled'}: {error_message or ''}".rstrip(": ")
