"""Redis away, as one part of the process sees it: said once when it goes and once when it is back.

Postgres remembers, so an absent Redis is a condition to wait out, not an error to raise. What is
waited grows and is spread, so that a fleet does not come back in one moment.
"""

import time
from datetime import timedelta

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from worker.backoff import Backoff

_LOG = structlog.get_logger("worker.queue")

RETRY = Backoff(first=timedelta(milliseconds=100), cap=timedelta(seconds=5), jitter=0.5)


class Outage:
    """Faults in a row of one part; `part` names it in the log, `backoff` paces the tries."""

    def __init__(self, part: str, *, backoff: Backoff = RETRY) -> None:
        self._part = part
        self._backoff = backoff
        self._faults = 0
        self._announced = False
        self._resume_at = 0.0

    @property
    def pausing(self) -> bool:
        """Whether the pause after the last fault still runs: a try now would only cost time."""
        return time.monotonic() < self._resume_at

    def failed(self, error: Exception) -> float:
        """Take note of a fault; returns the seconds to wait before the next try."""
        self._faults += 1
        pause = self._backoff.delay(self._faults).total_seconds()
        self._resume_at = time.monotonic() + pause
        if not isinstance(error, RedisError | OSError):
            # Not Redis but the program: each one is worth its traceback.
            _LOG.error("queue_fault", part=self._part, exc_info=error)
        elif not self._announced:
            self._announced = True
            _LOG.warning("redis_unavailable", part=self._part, fault=describe_fault(error))
        return pause

    def over(self) -> None:
        """Take note that Redis answered."""
        if self._announced:
            _LOG.info("redis_available", part=self._part, faults=self._faults)
        self._faults = 0
        self._announced = False
        self._resume_at = 0.0


def describe_fault(error: Exception) -> str:
    """Return a fault as one short line.

    Only connection faults tell their text: the others may repeat the command, and with it the
    whole payload.
    """
    name = type(error).__name__
    if isinstance(error, RedisConnectionError | RedisTimeoutError):
        text = " ".join(str(error).split())
        return f"{name}: {text[:200]}" if text else name
    return name
