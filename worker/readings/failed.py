"""Dead letters: executions that failed for good and wait for a person to look at them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from models.executions import AgentExecution
from models.states import State
from worker.reports import DeadLetter


async def list_failed(
    session: AsyncSession,
    project_id: UUID,
    *,
    agent_type: str | None,
    since: datetime | None,
    limit: int,
) -> list[DeadLetter]:
    """Return failed executions of the session's project, latest first.

    `retried_as` names the latest execution that repeats one, where somebody has asked for it.
    """
    failed, again = AgentExecution, aliased(AgentExecution)
    retried_as = (
        select(again.id)
        .where(again.project_id == failed.project_id, again.retry_of == failed.id)
        .order_by(again.created_at.desc())
        .limit(1)
        .correlate(failed)
        .scalar_subquery()
    )
    statement = (
        select(
            failed.id.label("execution_id"),
            failed.correlation_id,
            failed.agent_type,
            failed.attempt,
            failed.failures,
            failed.error_code,
            func.coalesce(failed.error_message, "").label("error_message"),
            failed.created_at,
            failed.completed_at,
            retried_as.label("retried_as"),
        )
        .where(failed.project_id == project_id, failed.status == State.FAILED.value)
        # The index on status is ordered by the start of the last attempt.
        .order_by(failed.started_at.desc())
        .limit(limit)
    )
    if agent_type is not None:
        statement = statement.where(failed.agent_type == agent_type)
    if since is not None:
        statement = statement.where(failed.completed_at >= since)
    rows = await session.execute(statement)
    return [DeadLetter.model_validate(row) for row in rows.mappings()]
