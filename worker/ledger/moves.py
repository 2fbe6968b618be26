"""The moves: each a typed call of the SQL function of that name, batched per project.

A worker's moves name the execution and the attempt; `Ended.accepted` False means "no longer yours":
the database wrote nothing but the event that says so. Moves of one project that arrive together
share a call, so that a hundred attempts ending at once cost a few transactions.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from operator import itemgetter
from typing import Any
from uuid import UUID

from worker.errors import IdempotencyConflictError, InputInvalidError, NotFoundError
from worker.ledger.batching import Batcher
from worker.ledger.pool import MovePool
from worker.ledger.records import (
    NEVER,
    Cancellation,
    Claim,
    Completion,
    Ended,
    Enqueued,
    Failure,
    Progress,
    Release,
    Retried,
)
from worker.requests import EnqueueRequest
from worker.strict_json import UnstorableJsonError, encode

_BATCH = 64
# Characters in one call: what is heavier takes PostgreSQL so long that nobody should wait for it.
_HEAVIEST = 4_000_000
_CLAIM = (
    "SELECT execution_id, claimed, status, attempt, agent_type, input_data, correlation_id, "
    "requested_by, language, failures, max_attempts, created_at, "
    "least(scheduled_at, $8) AS scheduled_at, output_data, error_code, error_message "
    "FROM claim_executions($1, $2, $3, $4, $5, $6, $7)"
)
_ENQUEUE = "SELECT * FROM enqueue_executions($1, $2, $3, $4, $5, $6, $7, $8, $9)"

Ask = tuple[EnqueueRequest, str]
"""A request, and its input as JSON text that was checked."""


class Ledger:
    """The app role's moves, in the name of one worker (or of a client, which has none)."""

    def __init__(self, pool: MovePool, *, worker: str = "", input_limit: int) -> None:
        self._pool = pool
        self._worker = worker
        self._input_limit = input_limit
        self._enqueues = Batcher(self._enqueue, limit=_BATCH)
        self._completions = Batcher(
            self._complete, limit=_BATCH, weigh=Completion.weigh, most=_HEAVIEST
        )
        self._failures = Batcher(self._fail, limit=_BATCH)
        self._releases = Batcher(self._release, limit=_BATCH)
        self._cancellations = Batcher(self._cancel_attempts, limit=_BATCH)

    async def enqueue(self, request: EnqueueRequest) -> Enqueued:
        """Record one execution.

        Raises:
            InputInvalidError: the input cannot be stored as JSON, or is too large.
            IdempotencyConflictError: the key stands for a different request.
            NotFoundError: no such project or user.
            DatabaseUnavailableError: not known to be accepted; try again.
        """
        ask = (request, checked_input(request, self._input_limit))
        return _unless_conflict(await self._enqueues.submit(request.project_id, ask))

    async def enqueue_many(self, requests: Sequence[EnqueueRequest]) -> list[Enqueued]:
        """Record executions of one project in one transaction, all or none.

        Raises as `enqueue` does; a conflict of one takes the others along.
        """
        answers: list[Enqueued] = []

        def keep(rows: Sequence[Mapping[str, Any]]) -> None:
            answers.extend(_unless_conflict(enqueued(project_id, row)) for row in _in_order(rows))

        asks = [
            (request, checked_input(request, self._input_limit, f"requests[{place}].input"))
            for place, request in enumerate(requests)
        ]
        project_id = requests[0].project_id
        await self._pool.call(_ENQUEUE, project_id, *enqueue_columns(asks), check=keep)
        return answers

    async def claim(
        self,
        project_id: UUID,
        execution_ids: Sequence[UUID],
        lease: timedelta,
        agents: Mapping[str, int],
        *,
        again: bool = False,
    ) -> list[Claim]:
        """Claim what is due of `execution_ids` for `agents` (agent_type -> its max_attempts).

        `again` repeats a claim whose answer was lost: what it opened is answered as claimed.
        """
        rows = await self._pool.call(
            _CLAIM,
            project_id,
            list(execution_ids),
            self._worker,
            lease,
            list(agents),
            list(agents.values()),
            again,
            NEVER,
        )
        return [Claim.read(project_id, row) for row in rows]

    async def complete(self, project_id: UUID, completion: Completion) -> Ended:
        """Complete an attempt and file its drafts; repeating it after a lost answer is safe."""
        return await self._completions.submit(project_id, completion)

    async def fail(self, project_id: UUID, failure: Failure) -> Ended:
        """Record that an attempt failed: another try after the delay, or the end."""
        return await self._failures.submit(project_id, failure)

    async def release(self, project_id: UUID, release: Release) -> Ended:
        """Give an attempt back unfinished; no failure is counted."""
        return await self._releases.submit(project_id, release)

    async def cancel_attempt(self, project_id: UUID, cancellation: Cancellation) -> Ended:
        """Record that an attempt has stopped for good, as cancelled."""
        return await self._cancellations.submit(project_id, cancellation)

    async def request_cancel(self, project_id: UUID, execution_id: UUID, reason: str) -> str:
        """Cancel a pending execution, or flag a running one; return the status it has now.

        Raises:
            NotFoundError: the project has no such execution.
        """
        rows = await self._pool.call(
            "SELECT * FROM cancel_executions($1, $2, $3)", project_id, [execution_id], reason
        )
        if not rows:
            raise NotFoundError("execution_id: the project has no such execution")
        return str(rows[0]["status"])

    async def rescue(
        self, project_id: UUID, execution_ids: Sequence[UUID], *, ended: str | None = None
    ) -> dict[UUID, str]:
        """Make abandoned executions claimable again; return the new status of those moved.

        Abandoned is what has an expired lease, or belongs to the worker `ended`, which is over.
        """
        rows = await self._pool.call(
            "SELECT * FROM rescue_executions($1, $2, $3)", project_id, list(execution_ids), ended
        )
        return {row["execution_id"]: row["status"] for row in rows}

    async def retry(
        self, project_id: UUID, execution_ids: Sequence[UUID], requested_by: UUID | None
    ) -> list[Retried]:
        """Open a new execution for each failed or cancelled one that has no successor yet."""
        rows = await self._pool.call(
            "SELECT * FROM retry_executions($1, $2, $3)",
            project_id,
            list(execution_ids),
            requested_by,
        )
        return [Retried(project_id=project_id, **row) for row in rows]

    async def progress(self, project_id: UUID, reports: Sequence[Progress]) -> None:
        """Record how far attempts are; those no longer this worker's leave no trace."""
        await self._pool.call(
            "SELECT record_progress($1, $2, $3, $4, $5, $6)",
            project_id,
            self._worker,
            [report.execution_id for report in reports],
            [report.attempt for report in reports],
            [report.fraction for report in reports],
            [report.message for report in reports],
        )

    async def _enqueue(
        self, project_id: UUID, asks: Sequence[Ask]
    ) -> list[Enqueued | IdempotencyConflictError]:
        rows = await self._pool.call(_ENQUEUE, project_id, *enqueue_columns(asks))
        return [enqueued(project_id, row) for row in _in_order(rows)]

    async def _complete(self, project_id: UUID, items: Sequence[Completion]) -> list[Ended]:
        drafts = [(place, draft) for place, item in enumerate(items, 1) for draft in item.drafts]
        exports = [(place, file) for place, item in enumerate(items, 1) for file in item.exports]
        rows = await self._pool.call(
            "SELECT * FROM complete_executions("
            "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
            project_id,
            self._worker,
            [item.execution_id for item in items],
            [item.attempt for item in items],
            [item.output for item in items],
            [place for place, _ in drafts],
            [draft.document_type for _, draft in drafts],
            [draft.content for _, draft in drafts],
            [draft.metadata for _, draft in drafts],
            [draft.readability_score for _, draft in drafts],
            [draft.grammar_score for _, draft in drafts],
            [draft.base_version for _, draft in drafts],
            [place for place, _ in exports],
            [file.file_path for _, file in exports],
            [file.manifest for _, file in exports],
            [file.lifetime for _, file in exports],
        )
        return [Ended(**row) for row in rows]

    async def _fail(self, project_id: UUID, items: Sequence[Failure]) -> list[Ended]:
        rows = await self._pool.call(
            "SELECT * FROM fail_executions($1, $2, $3, $4, $5, $6, $7)",
            project_id,
            self._worker,
            [item.execution_id for item in items],
            [item.attempt for item in items],
            [item.error_code for item in items],
            [item.error_message for item in items],
            [item.delay for item in items],
        )
        return [Ended(**row) for row in rows]

    async def _release(self, project_id: UUID, items: Sequence[Release]) -> list[Ended]:
        rows = await self._pool.call(
            "SELECT * FROM release_executions($1, $2, $3, $4, $5, $6)",
            project_id,
            self._worker,
            [item.execution_id for item in items],
            [item.attempt for item in items],
            [item.due_at for item in items],
            [item.reason for item in items],
        )
        return [Ended(**row) for row in rows]

    async def _cancel_attempts(
        self, project_id: UUID, items: Sequence[Cancellation]
    ) -> list[Ended]:
        rows = await self._pool.call(
            "SELECT * FROM cancel_attempts($1, $2, $3, $4, $5)",
            project_id,
            self._worker,
            [item.execution_id for item in items],
            [item.attempt for item in items],
            [item.reason for item in items],
        )
        return [Ended(**row) for row in rows]


def checked_input(request: EnqueueRequest, limit: int, field: str = "input") -> str:
    """Return the request's input as JSON text; InputInvalidError where it cannot be stored."""
    try:
        return encode(request.input, limit=limit)
    except UnstorableJsonError as error:
        raise InputInvalidError(f"{field}: {error}") from None


def enqueue_columns(asks: Sequence[Ask]) -> list[list[Any]]:
    """Return the array arguments of enqueue_executions, one list a column."""
    return [
        [request.agent_type for request, _ in asks],
        [text for _, text in asks],
        [request.requested_by for request, _ in asks],
        [request.correlation_id for request, _ in asks],
        [request.idempotency_key for request, _ in asks],
        [request.not_before for request, _ in asks],
        [request.priority for request, _ in asks],
        [request.max_attempts for request, _ in asks],
    ]


def enqueued(project_id: UUID, row: Mapping[str, Any]) -> Enqueued | IdempotencyConflictError:
    """Return the answer in a row of enqueue_executions; a conflict is an answer to one item."""
    if row["conflict"]:
        return IdempotencyConflictError(
            "idempotency_key: was used in this project for a different request; "
            "use another key, or ask for the same"
        )
    return Enqueued(
        project_id=project_id,
        execution_id=row["execution_id"],
        correlation_id=row["correlation_id"],
        status=row["status"],
        scheduled_at=row["scheduled_at"],
        created=row["created"],
    )


def _in_order(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return sorted(rows, key=itemgetter("ordinal"))


def _unless_conflict(answer: Enqueued | IdempotencyConflictError) -> Enqueued:
    if isinstance(answer, IdempotencyConflictError):
        raise answer
    return answer
