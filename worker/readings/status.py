"""Status: one consistent picture of the executions of a correlation id."""

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any
from uuid import UUID

from models.states import Event
from worker.errors import DatabaseUnavailableError
from worker.identifiers import parse_id
from worker.ledger import MovePool
from worker.ledger.records import NEVER
from worker.reports import AttemptReport, EventReport, ExecutionReport, StatusReport
from worker.strict_json import decode

_SOON = 1.0
_READ = (
    "SELECT execution_id, project_id, correlation_id, agent_type, status, attempt, failures, "
    "max_attempts, priority, requested_by, created_at, least(scheduled_at, $4) AS scheduled_at, "
    "started_at, completed_at, cancel_requested_at, worker, error_code, error_message, output, "
    "retry_of, events, versions, exports FROM read_executions($1, $2, $3)"
)

_ENDINGS = {
    Event.COMPLETED,
    Event.RETRY_SCHEDULED,
    Event.SNOOZED,
    Event.FAILED,
    Event.RELEASED,
    Event.RESCUED,
    Event.CANCELLED,
}


async def read_status(pool: MovePool, project_id: UUID, correlation_id: UUID | str) -> StatusReport:
    """Return everything that stands under a correlation id in a project.

    An id that stands for nothing here is answered with an empty list, whether or not another
    project knows it.
    """
    correlation = parse_id(correlation_id)
    rows = await _read(pool, project_id, correlation, None)
    return StatusReport(
        project_id=project_id,
        correlation_id=correlation,
        executions=[_report(row) for row in rows],
    )


async def read_execution(
    pool: MovePool, project_id: UUID, execution_id: UUID
) -> ExecutionReport | None:
    """Return one execution of a project; None where it has no such."""
    rows = await _read(pool, project_id, None, execution_id)
    return _report(rows[0]) if rows else None


async def _read(
    pool: MovePool, project_id: UUID, correlation_id: UUID | None, execution_id: UUID | None
) -> list[Any]:
    asked = (project_id, correlation_id, execution_id, NEVER)
    began = monotonic()
    try:
        return await pool.call(_READ, *asked)
    except DatabaseUnavailableError:
        # A connection may have been cut since it was last used; a reading can be asked again. What
        # took long was no such thing, and would take as long again.
        if monotonic() - began > _SOON:
            raise
        return await pool.call(_READ, *asked)


def _report(row: Mapping[Any, Any]) -> ExecutionReport:
    events = [EventReport.model_validate(event) for event in decode(row["events"])]
    return ExecutionReport.model_validate(
        {
            **row,
            "output": decode(row["output"]),
            "events": events,
            "attempts": _attempts(events),
            "versions": decode(row["versions"]),
            "exports": decode(row["exports"]),
        }
    )


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
