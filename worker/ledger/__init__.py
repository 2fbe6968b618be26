"""The ledger: every change of an execution's state, as one call of one SQL function."""

from worker.ledger.dispatch import Dispatch, Found, Held
from worker.ledger.life import Life, session_name
from worker.ledger.moves import Ledger
from worker.ledger.pool import MovePool
from worker.ledger.records import (
    Claim,
    Completion,
    Ended,
    Enqueued,
    Failure,
    Progress,
    Release,
)

__all__ = [
    "Claim",
    "Completion",
    "Dispatch",
    "Ended",
    "Enqueued",
    "Failure",
    "Found",
    "Held",
    "Ledger",
    "Life",
    "MovePool",
    "Progress",
    "Release",
    "session_name",
]
