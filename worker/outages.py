"""Outages in the log: once when something stops working, once when it works again."""

from time import monotonic

from structlog.stdlib import BoundLogger

from worker.errors import CopydeskError


class OutageLog:
    """Says `degraded` at the first failure in a row and `recovered` at the first success after."""

    def __init__(self, log: BoundLogger, what: str) -> None:
        self._log = log
        self._what = what
        self._since: float | None = None

    def failed(self, error: CopydeskError) -> None:
        """Take note of a failure."""
        if self._since is None:
            self._since = monotonic()
            self._log.warning("degraded", what=self._what, code=error.code, reason=error.message)

    def over(self) -> None:
        """Take note of a success."""
        if self._since is not None:
            seconds = round(monotonic() - self._since, 1)
            self._since = None
            self._log.info("recovered", what=self._what, after_seconds=seconds)
