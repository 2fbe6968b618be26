"""What goes into the moves, and what comes back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from worker.strict_json import UnstorableJsonError, decode

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""Stands for every later time that SQL has put an execution off to, such as infinity."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The answer to an enqueue. `created` is False where an idempotency key was known already."""

    project_id: UUID
    execution_id: UUID
    correlation_id: UUID
    status: str
    scheduled_at: datetime
    created: bool


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for JSON that the database keeps and Python cannot read, or should not; says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What became of one execution a worker asked for.

    `claimed` tells whether attempt `attempt` is this worker's; only then is `input` there, or is
    Unreadable. For the others `status` and `scheduled_at` tell why, and final ones carry their
    result.
    """

    project_id: UUID
    execution_id: UUID
    claimed: bool
    status: str
    attempt: int
    agent_type: str
    input: Any
    correlation_id: UUID
    requested_by: UUID
    language: str
    failures: int
    max_attempts: int | None
    created_at: datetime
    scheduled_at: datetime
    output: Any
    error_code: str | None
    error_message: str | None

    @classmethod
    def read(cls, project_id: UUID, row: Mapping[str, Any]) -> "Claim":
        """Return the answer in a row of claim_executions."""
        fields = dict(row)
        return cls(
            project_id=project_id,
            input=_decoded(fields.pop("input_data")),
            output=_decoded(fields.pop("output_data")),
            **fields,
        )


@dataclass(frozen=True, slots=True)
class DraftRow:
    """A draft, checked, as it goes to the database; `metadata` is JSON text."""

    document_type: str
    content: str
    metadata: str
    readability_score: float | None
    grammar_score: float | None
    base_version: int | None


@dataclass(frozen=True, slots=True)
class ExportRow:
    """An export file that stands under the exports directory; `manifest` is JSON text."""

    file_path: str
    manifest: str
    lifetime: timedelta


@dataclass(frozen=True, slots=True)
class Completion:
    """The outcome of an attempt that did its work; `output` is JSON text."""

    execution_id: UUID
    attempt: int
    output: str
    drafts: tuple[DraftRow, ...] = ()
    exports: tuple[ExportRow, ...] = ()

    def weigh(self) -> int:
        """Return how many characters it sends to the database, its small fields left out."""
        drafts = sum(len(draft.content) + len(draft.metadata) for draft in self.drafts)
        return len(self.output) + drafts + sum(len(file.manifest) for file in self.exports)


@dataclass(frozen=True, slots=True)
class Failure:
    """The outcome of an attempt that failed; without `delay` it is final."""

    execution_id: UUID
    attempt: int
    error_code: str
    error_message: str
    delay: timedelta | None


@dataclass(frozen=True, slots=True)
class Release:
    """A claim given back, no failure counted; due again at `due_at`, or at once."""

    execution_id: UUID
    attempt: int
    reason: str
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cancellation:
    """An attempt that stopped because it was asked to, or saw no point in going on."""

    execution_id: UUID
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an attempt is: `fraction` in 0..1, None where that is not known."""

    execution_id: UUID
    attempt: int
    fraction: float | None
    message: str


@dataclass(frozen=True, slots=True)
class Retried:
    """A new execution that repeats a dead letter, `retry_of`."""

    project_id: UUID
    execution_id: UUID
    retry_of: UUID
    correlation_id: UUID
    status: str
    scheduled_at: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """The answer to a worker's move.

    `accepted` is False where the attempt was no longer this worker's: nothing was written but
    an event. `status` is where the execution stands now; None when there is no such execution.
    """

    execution_id: UUID
    accepted: bool
    status: str | None
    scheduled_at: datetime | None = field(default=None)


def _decoded(text: str | None) -> Any:  # noqa: ANN401 - JSON, or Unreadable
    # Who enqueues with SQL may have stored what no other door takes: it harms this one alone.
    try:
        return decode(text)
    except UnstorableJsonError as error:
        return Unreadable(str(error))
