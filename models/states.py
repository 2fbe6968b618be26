"""The states of an execution, and the events that lead from one to the next."""

from enum import StrEnum


class State(StrEnum):
    """Where an execution stands. Waiting for a retry is `pending` with a later `scheduled_at`."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether no move leaves this state."""
        return self in FINAL


FINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})


class Event(StrEnum):
    """What stands in `execution_events.event`: one per transition, refusal and milestone."""

    ENQUEUED = "enqueued"
    CLAIMED = "claimed"
    PROGRESS = "progress"
    COMPLETED = "completed"
    RETRY_SCHEDULED = "retry_scheduled"
    SNOOZED = "snoozed"
    FAILED = "failed"
    RELEASED = "released"
    RESCUED = "rescued"
    CANCEL_REQUESTED = "cancel_requested"
    CANCELLED = "cancelled"
    WRITE_REJECTED = "write_rejected"
