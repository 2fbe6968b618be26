"""Enqueue inside a caller's own SQLAlchemy transaction: the row stands or falls with their work."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import DateTime, Integer, Text, Uuid, bindparam, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from worker.errors import IdempotencyConflictError
from worker.ledger.faults import translate
from worker.ledger.moves import checked_input, enqueued
from worker.ledger.records import Enqueued
from worker.requests import EnqueueRequest

_ENQUEUE = text(
    "SELECT * FROM enqueue_executions(:project_id, ARRAY[:agent_type], "
    # As text that was checked: the serializer of the caller's engine may write something else.
    "ARRAY[CAST(:input AS jsonb)], "
    "ARRAY[:requested_by], ARRAY[:correlation_id], ARRAY[:idempotency_key], ARRAY[:not_before], "
    "ARRAY[:priority], ARRAY[:max_attempts])"
).bindparams(
    bindparam("project_id", type_=Uuid),
    bindparam("agent_type", type_=Text),
    bindparam("input", type_=Text),
    bindparam("requested_by", type_=Uuid),
    bindparam("correlation_id", type_=Uuid),
    bindparam("idempotency_key", type_=Text),
    bindparam("not_before", type_=DateTime(timezone=True)),
    bindparam("priority", type_=Integer),
    bindparam("max_attempts", type_=Integer),
)

_INFO = "copydesk.after_commit"


async def enqueue_joined(
    session: AsyncSession, request: EnqueueRequest, *, input_limit: int
) -> Enqueued:
    """Record an execution in the session's transaction, which is bound to its project by it.

    Raises:
        InputInvalidError: the input cannot be stored as JSON, or is too large.
        ScopeConflictError: the transaction is bound to another project.
        IdempotencyConflictError: the key stands for a different request.
        NotFoundError: no such project or user.
    """
    values: dict[str, Any] = request.model_dump(exclude={"input"})
    values["input"] = checked_input(request, input_limit)
    try:
        row = (await session.execute(_ENQUEUE, values)).mappings().one()
    except DBAPIError as error:
        cause = error.orig
        raise translate((cause and cause.__cause__) or cause or error) from None
    answer = enqueued(request.project_id, dict(row))
    if isinstance(answer, IdempotencyConflictError):
        raise answer
    return answer


def call_after_commit(session: AsyncSession, callback: Callable[[], None]) -> None:
    """Call back once the outermost transaction has committed, and not at all otherwise."""
    inner = session.sync_session
    waiting = inner.info.get(_INFO)
    if waiting is None:
        waiting = inner.info[_INFO] = _AfterCommit(inner)
    waiting.add(inner, callback)


class _AfterCommit:
    """Callbacks of one session, by the transaction or savepoint they were left in.

    A savepoint that is released hands its callbacks to what surrounds it; whatever ends otherwise
    takes them along. The listeners stay: SQLAlchemy forbids to remove one while it is called.
    """

    def __init__(self, session: Session) -> None:
        self._waiting: dict[SessionTransaction | None, list[Callable[[], None]]] = {}
        event.listen(session, "after_commit", self._committed)
        event.listen(session, "after_transaction_end", self._ended)

    def add(self, session: Session, callback: Callable[[], None]) -> None:
        """Keep a callback for the end of the session's innermost transaction."""
        innermost = session.get_nested_transaction() or session.get_transaction()
        self._waiting.setdefault(innermost, []).append(callback)

    def _committed(self, session: Session) -> None:
        savepoint = session.get_nested_transaction()
        callbacks = self._waiting.pop(savepoint or session.get_transaction(), [])
        if savepoint is not None:
            self._waiting.setdefault(savepoint.parent, []).extend(callbacks)
            return
        for callback in callbacks:
            callback()

    def _ended(self, _session: Session, transaction: SessionTransaction) -> None:
        self._waiting.pop(transaction, None)
