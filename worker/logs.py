"""Logs: one line an event, with the ids of the execution it belongs to, and no secret in it.

JSON where a machine reads, colours on a terminal. copydesk's own lines take the short road to the
stream, since each attempt writes one; lines of libraries come by Python's logging, and are made
alike, so that they too carry the ids bound by `execution_log`. Values are escaped: whatever an
agent logs stays one line, and belongs to the attempt it was logged in.
"""

import logging
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from worker.redaction import Redaction
from worker.settings import Settings

_COMPLAINTS = "copydesk.logs"
_IDS = frozenset({"project_id", "execution_id", "attempt", "agent", "correlation_id", "worker"})


def _add_bound(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Processor: adds what is bound; of an id, a line's own value is kept as `given_...`."""
    bound = structlog.contextvars.get_contextvars()
    given = {f"given_{name}": event.pop(name) for name in _IDS & bound.keys() & event.keys()}
    return {**bound, **event, **given}


class _Lines:
    """Makes the loggers of copydesk's own lines: each writes to the stream, and never raises."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, name: str = "") -> "_Logger":
        return _Logger(name, self)

    def write(self, line: str) -> None:
        # A stream that is closed or full must stop nobody's work.
        with suppress(OSError, ValueError):
            self._stream.write(f"{line}\n")
            self._stream.flush()


class _Logger:
    """Writes what the processors have made of an event."""

    def __init__(self, name: str, lines: _Lines) -> None:
        self.name = name
        self.debug = self.info = self.warning = self.error = self.critical = lines.write


class _Rendering:
    """The last processor: an event without secrets as a line; what cannot be written is mentioned.

    An agent may log what cannot be formatted, and what was in it may be a secret.
    """

    def __init__(self, redaction: Redaction, renderer: Processor) -> None:
        self._redaction = redaction
        self._renderer = renderer

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> Any:  # noqa: ANN401
        try:
            return self._renderer(logger, method, self._redaction.clean(dict(event)))
        except Exception as error:  # noqa: BLE001 - a value picks what its text raises
            ids = {name: event[name] for name in _IDS & event.keys() if type(event[name]) is str}
            mention = {
                **ids,
                "event": "line_not_written",
                "of": event.get("logger"),
                "fault": type(error).__name__,
                "level": "warning",
                "logger": _COMPLAINTS,
                "timestamp": event.get("timestamp"),
            }
            return self._renderer(logger, method, self._redaction.clean(mention))


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines of libraries; where logging would print all of a bad one, it is mentioned."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        kind = type(sys.exc_info()[1]).__name__
        with suppress(Exception):
            complaint = structlog.get_logger(_COMPLAINTS)
            complaint.warning("line_not_written", of=record.name, fault=kind)


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Send copydesk's and every library's log lines to `stream` (default: standard error)."""
    stream = stream or sys.stderr
    as_json = settings.log_format == "json" or (
        settings.log_format == "auto" and not stream.isatty()
    )
    shared: list[Processor] = [
        _add_bound,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    rendering = _Rendering(Redaction(settings.secrets()), renderer)
    handler = _Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    # httpx and openai write a line a request, arq the arguments of jobs: theirs count as debug.
    for name in ("httpx", "httpx2", "openai", "arq", "asyncio"):
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    structlog.configure(
        processors=[*shared, rendering],
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        logger_factory=_Lines(stream),
        cache_logger_on_first_use=False,
    )


def execution_log(**ids: object) -> structlog.stdlib.BoundLogger:
    """Bind an attempt's ids to every line that its task logs from here on; return its logger."""
    structlog.contextvars.bind_contextvars(**{name: str(id_) for name, id_ in ids.items()})
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger("copydesk.agent"))
