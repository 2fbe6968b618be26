"""Statistics: what stands in a project and how its executions ended, counted by the database."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, extract, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from models.documents import DocumentVersion
from models.executions import AgentExecution
from models.states import State
from worker.readings.documents import latest_versions
from worker.reports import StatisticsReport


async def read_statistics(session: AsyncSession, project_id: UUID) -> StatisticsReport:
    """Return the figures of a project, as of one moment, in one statement.

    It reads every execution of the project once, and the latest version of each document.
    """
    row = (await session.execute(_figures(project_id))).mappings().one()
    return StatisticsReport.model_validate({"project_id": project_id, **row})


def _figures(project_id: UUID) -> Select[Any]:
    ended = _ended(project_id).cte("ended")
    by_status = (
        select(ended.c.status, func.sum(ended.c.number).label("number"))
        .group_by(ended.c.status)
        .subquery("by_status")
    )
    by_agent = (
        select(
            ended.c.agent_type,
            func.jsonb_object_agg(ended.c.status, ended.c.number).label("executions"),
            func.max(ended.c.p50).label("p50"),
            func.max(ended.c.p95).label("p95"),
        )
        .group_by(ended.c.agent_type)
        .subquery("by_agent")
    )
    documents = latest_versions(project_id, _newest(project_id)).subquery("documents")

    def number(*states: State) -> ColumnElement[Any]:
        of_these = ended.c.status.in_([state.value for state in states])
        return select(func.sum(ended.c.number)).where(of_these).scalar_subquery()

    over = func.nullif(number(State.COMPLETED, State.FAILED), 0)
    return select(
        _rows(documents.c, order=documents.c.document_type).label("documents"),
        select(func.coalesce(func.sum(documents.c.versions), 0))
        .scalar_subquery()
        .label("versions"),
        select(func.max(documents.c.updated_at)).scalar_subquery().label("updated_at"),
        select(
            func.coalesce(
                func.jsonb_object_agg(by_status.c.status, by_status.c.number),
                func.jsonb_build_object(),
                type_=JSONB,
            )
        )
        .scalar_subquery()
        .label("executions"),
        (func.coalesce(number(State.COMPLETED), 0) * 1.0 / over).label("success_rate"),
        _rows(by_agent.c, order=by_agent.c.agent_type).label("agents"),
    )


def _ended(project_id: UUID) -> Select[Any]:
    """Select the executions of a project by agent and status; seconds are of those completed."""
    execution = AgentExecution
    seconds = extract("epoch", execution.completed_at - execution.started_at)
    completed = execution.status == State.COMPLETED.value

    def percentile(fraction: float) -> ColumnElement[Any]:
        return func.percentile_cont(fraction).within_group(seconds).filter(completed)

    return (
        select(
            execution.agent_type,
            execution.status,
            func.count().label("number"),
            percentile(0.5).label("p50"),
            percentile(0.95).label("p95"),
        )
        .where(execution.project_id == project_id)
        .group_by(execution.agent_type, execution.status)
    )


def _newest(project_id: UUID) -> Select[*tuple[Any, ...]]:
    version = DocumentVersion
    # Versions are numbered without gaps, so the highest number is how many there are.
    return select(
        version.document_type,
        version.version.label("versions"),
        version.created_at.label("updated_at"),
    ).where(version.project_id == project_id)


def _rows(columns: Any, *, order: ColumnElement[Any]) -> ColumnElement[Any]:  # noqa: ANN401 - a collection
    """Select rows as one list of JSON objects."""
    pairs = [part for column in columns for part in (literal(column.name, Text), column)]
    rows = func.jsonb_agg(aggregate_order_by(func.jsonb_build_object(*pairs), order), type_=JSONB)
    return select(func.coalesce(rows, func.jsonb_build_array(), type_=JSONB)).scalar_subquery()
