"""The statements that read a project for an archive, one a table; each row is a line of JSON.

PostgreSQL writes the JSON, so that numbers of any size and times to the microsecond are exact.
"""

from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    Text,
    case,
    cast,
    func,
    literal,
    null,
    select,
    union_all,
)

from models.documents import DocumentVersion, Export
from models.executions import AgentExecution, ExecutionEvent
from models.projects import Project, User
from models.states import State
from models.tables import Base
from worker.maintenance.archive.format import COLUMNS, USERS

UNFINISHED = (State.PENDING.value, State.RUNNING.value)
"""What is written as cancelled, where it is written at all."""

_REASON = "under way when the project was exported"


def _as_line(rows: Select) -> Select[str]:  # type: ignore[type-arg]
    """Return a statement whose rows are the lines of these, in the same order."""
    return select(cast(func.row_to_json(rows.subquery("r").table_valued()), Text))


def _columns(table: str, **instead: ColumnElement) -> list[ColumnElement]:  # type: ignore[type-arg]
    """Return the columns of the format, some of them computed."""
    own = Base.metadata.tables[table].c
    return [instead[name].label(name) if name in instead else own[name] for name in COLUMNS[table]]


def users_of(project_id: UUID) -> Select[str]:
    """Return whoever is named by the project."""
    named = (
        select(Project.created_by)
        .where(Project.id == project_id)
        .union(
            select(AgentExecution.requested_by).where(AgentExecution.project_id == project_id),
            select(DocumentVersion.created_by).where(DocumentVersion.project_id == project_id),
        )
    )
    return _as_line(select(*_columns(USERS)).where(User.id.in_(named)).order_by(User.id))


def project_of(project_id: UUID) -> Select[str]:
    """Return the project's own row."""
    return _as_line(select(*_columns("projects")).where(Project.id == project_id))


def executions_of(project_id: UUID, *, repeating: bool) -> Select[str]:
    """Return executions: those that repeat another one, in the order of asking, or all others."""
    execution = AgentExecution
    unfinished = execution.status.in_(UNFINISHED)
    columns = _columns(
        "agent_executions",
        status=case((unfinished, State.CANCELLED.value), else_=execution.status),
        completed_at=func.coalesce(execution.completed_at, func.now()),
        cancel_requested_at=case(
            (unfinished, func.coalesce(execution.cancel_requested_at, func.now())),
            else_=execution.cancel_requested_at,
        ),
    )
    rows = select(*columns).where(execution.project_id == project_id)
    if repeating:
        return _as_line(
            rows.where(execution.retry_of.is_not(None)).order_by(execution.created_at, execution.id)
        )
    return _as_line(rows.where(execution.retry_of.is_(None)).order_by(execution.id))


def events_of(project_id: UUID, *, unfinished_as_cancelled: bool) -> Select[str]:
    """Return events, those of an execution in their order."""
    event = ExecutionEvent
    recorded = select(*_columns("execution_events")).where(event.project_id == project_id)
    if not unfinished_as_cancelled:
        return _as_line(recorded.order_by(event.execution_id, event.id))
    # What is written as cancelled gets the event that goes with it, behind its others.
    places = ("after", "id")
    both = union_all(
        recorded.add_columns(literal(0).label("after"), event.id.label("id")),
        _cancellations(project_id).add_columns(literal(1).label("after"), literal(0).label("id")),
    ).subquery()
    columns = (column for column in both.c if column.name not in places)
    return _as_line(select(*columns).order_by(both.c.execution_id, both.c.after, both.c.id))


def _cancellations(project_id: UUID) -> Select:  # type: ignore[type-arg]
    execution = AgentExecution
    columns = {
        "project_id": execution.project_id,
        "execution_id": execution.id,
        "event": literal(State.CANCELLED.value),
        "attempt": execution.attempt,
        "worker": cast(null(), String),
        "at": func.now(),
        "detail": func.jsonb_build_object("reason", literal(_REASON)),
    }
    return select(*(columns[name].label(name) for name in COLUMNS["execution_events"])).where(
        execution.project_id == project_id, execution.status.in_(UNFINISHED)
    )


def versions_of(project_id: UUID) -> Select[str]:
    """Return versions, document by document, from the first to the latest."""
    version = DocumentVersion
    return _as_line(
        select(*_columns("document_versions"))
        .where(version.project_id == project_id)
        .order_by(version.document_type, version.version)
    )


def exports_of(project_id: UUID) -> Select[str]:
    """Return the rows of export files."""
    return _as_line(
        select(*_columns("exports")).where(Export.project_id == project_id).order_by(Export.id)
    )
