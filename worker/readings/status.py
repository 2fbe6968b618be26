"""Status: one consistent picture of the executions of a correlation id."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from models.documents import DocumentVersion, Export
from models.executions import AgentExecution, ExecutionEvent
from models.states import Event
from worker.identifiers import parse_id
from worker.ledger.records import NEVER
from worker.reports import AttemptReport, EventReport, ExecutionReport, StatusReport

_ENDINGS = {
    Event.COMPLETED,
    Event.RETRY_SCHEDULED,
    Event.SNOOZED,
    Event.FAILED,
    Event.RELEASED,
    Event.RESCUED,
    Event.CANCELLED,
}


async def read_status(
    session: AsyncSession, project_id: UUID, correlation_id: UUID | str
) -> StatusReport:
    """Return everything that stands under a correlation id in the session's project.

    An id that stands for nothing here is answered with an empty list, whether or not another
    project knows it.
    """
    correlation = parse_id(correlation_id)
    rows = await session.execute(
        _executions(project_id)
        .where(AgentExecution.correlation_id == correlation)
        .order_by(AgentExecution.created_at, AgentExecution.id)
    )
    return StatusReport(
        project_id=project_id,
        correlation_id=correlation,
        executions=[_report(row) for row in rows.mappings()],
    )


async def read_execution(
    session: AsyncSession, project_id: UUID, execution_id: UUID
) -> ExecutionReport | None:
    """Return one execution of the session's project; None where it has no such."""
    rows = await session.execute(_executions(project_id).where(AgentExecution.id == execution_id))
    row = rows.mappings().one_or_none()
    return None if row is None else _report(row)


def _executions(project_id: UUID) -> Select[*tuple[Any, ...]]:
    execution = AgentExecution
    return select(
        execution.id.label("execution_id"),
        execution.project_id,
        execution.correlation_id,
        execution.agent_type,
        execution.status,
        execution.attempt,
        execution.failures,
        execution.max_attempts,
        execution.priority,
        execution.requested_by,
        execution.created_at,
        func.least(execution.scheduled_at, NEVER).label("scheduled_at"),
        execution.started_at,
        execution.completed_at,
        execution.cancel_requested_at,
        execution.worker,
        execution.error_code,
        execution.error_message,
        execution.output_data.label("output"),
        execution.retry_of,
        _events().label("events"),
        _versions().label("versions"),
        _exports().label("exports"),
    ).where(execution.project_id == project_id)


def _events() -> ColumnElement[Any]:
    event = ExecutionEvent
    return _list_of(
        {
            "event": event.event,
            "attempt": event.attempt,
            "worker": event.worker,
            "at": event.at,
            "detail": event.detail,
        },
        event,
        event.id,
    )


def _versions() -> ColumnElement[Any]:
    version = DocumentVersion
    return _list_of(
        {
            "document_type": version.document_type,
            "version": version.version,
            "readability_score": version.readability_score,
            "grammar_score": version.grammar_score,
            "base_version": version.base_version,
            "attempt": version.attempt,
            "created_at": version.created_at,
        },
        version,
        version.document_type,
    )


def _exports() -> ColumnElement[Any]:
    export = Export
    return _list_of(
        {
            "export_id": export.id,
            "status": export.status,
            "file_path": export.file_path,
            "created_at": export.created_at,
            "expires_at": export.expires_at,
        },
        export,
        export.id,
    )


def _list_of(
    fields: Mapping[str, Any],
    table: type[ExecutionEvent | DocumentVersion | Export],
    order: Any,  # noqa: ANN401 - an instrumented column of any type
) -> ColumnElement[Any]:
    pairs = [part for name, column in fields.items() for part in (name, column)]
    rows = func.jsonb_agg(aggregate_order_by(func.jsonb_build_object(*pairs), order), type_=JSONB)
    return (
        select(func.coalesce(rows, func.jsonb_build_array(), type_=JSONB))
        .where(
            table.project_id == AgentExecution.project_id,
            table.execution_id == AgentExecution.id,
        )
        .correlate(AgentExecution)
        .scalar_subquery()
    )


def _report(row: Mapping[Any, Any]) -> ExecutionReport:
    events = [EventReport.model_validate(event) for event in row["events"]]
    return ExecutionReport.model_validate({**row, "events": events, "attempts": _attempts(events)})


def _attempts(events: Sequence[EventReport]) -> list[AttemptReport]:
    attempts: dict[int, AttemptReport] = {}
    for event in events:
        if event.event is Event.CLAIMED:
            attempts[event.attempt] = AttemptReport(
                attempt=event.attempt,
                worker=event.worker,
                started_at=event.at,
                ended_at=None,
                ending=None,
                error_code=None,
            )
        elif event.event in _ENDINGS and event.attempt in attempts:
            open_attempt = attempts[event.attempt]
            if open_attempt.ending is None:
                attempts[event.attempt] = open_attempt.model_copy(
                    update={
                        "ended_at": event.at,
                        "ending": event.event,
                        "error_code": event.detail.get("error_code"),
                    }
                )
    return list(attempts.values())
