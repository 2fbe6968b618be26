"""Log lines of an agent's own process, sent to its worker, which writes them beside its own.

The worker hides secrets and escapes what does not belong in a line; here they are only made plain.
"""

import json
import logging
from collections.abc import Callable

import structlog
from structlog.typing import EventDict, WrappedLogger

from worker.wire import LogLine, plain

Send = Callable[[LogLine], None]

_LEVELS = {"warn": "warning", "exception": "error", "fatal": "critical"}
_KNOWN = {"debug", "info", "warning", "error", "critical"}
_LONGEST = 100_000


def send_lines(send: Send, level: str) -> None:
    """Send every line that is logged in this process, through structlog or logging, to `send`."""
    root = logging.getLogger()
    root.handlers = [_Handler(send)]
    root.setLevel(level.upper())
    for name in ("httpx", "httpx2", "openai", "asyncio"):
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _Last(send),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


class _Last:
    """Processor: sends the event instead of passing it on."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Send the event; nothing is left for a logger of this process."""
        name = str(getattr(logger, "name", "structlog"))
        _send(self._send, name, method, str(event.pop("event", "")), dict(event))
        raise structlog.DropEvent


class _Handler(logging.Handler):
    """Sends the lines of libraries."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields: dict[str, object] = {}
            if record.exc_info:
                fields["exception"] = logging.Formatter().formatException(record.exc_info)
            level = record.levelname.lower()
            _send(self._send, record.name, level, record.getMessage(), fields)
        except Exception as error:  # noqa: BLE001 - what was to be logged may be anything
            fault = type(error).__name__
            _send(
                self._send,
                "copydesk.logs",
                "warning",
                "line_not_written",
                {"of": record.name, "fault": fault},
            )


def _send(send: Send, logger: str, level: str, event: str, fields: dict[str, object]) -> None:
    level = _LEVELS.get(level, level)
    values = {plain(name): _json(value) for name, value in fields.items()}
    send(
        LogLine(
            logger=plain(logger, 200),
            level=level if level in _KNOWN else "info",
            event=plain(event, _LONGEST),
            fields=values,
        )
    )


def _json(value: object) -> object:
    """Return a value as JSON has it, or its text."""
    try:
        text = json.dumps(value, default=str)
    except Exception:  # noqa: BLE001 - what an agent logs may be anything
        return f"<{type(value).__name__}>"
    return json.loads(text) if len(text) <= _LONGEST else text[:_LONGEST]
