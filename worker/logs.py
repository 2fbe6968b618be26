"""Logs: one line an event, with the ids of the execution it belongs to, and no secret in it.

JSON where a machine reads, colours on a terminal. Lines of libraries take the same road, so that
they too carry the ids bound by `execution_log`. Values are escaped: whatever an agent logs stays
one line, and belongs to the attempt it was logged in.
"""

import logging
import math
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from worker.settings import Settings

_SECRET_KEYS = re.compile(
    r"password|passwd|secret|token|api_?key|authorization|credential", re.IGNORECASE
)
# From a literal on, and bounded: what an agent logs must not make the search slow.
_URL_PASSWORD = re.compile(r"(://[^\s:/@]{0,256}):[^\s@]{1,1024}@")
_COMPLAINTS = "copydesk.logs"
_HIDDEN = "[redacted]"
# Control characters would move the cursor, forge lines or colour other people's terminals.
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_ESCAPES.update({0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x2028: "\\u2028", 0x2029: "\\u2029"})
_LINE_ESCAPES = {code: text for code, text in _ESCAPES.items() if code not in (0x09, 0x0A)}
_IDS = frozenset({"project_id", "execution_id", "attempt", "agent", "correlation_id", "worker"})
_MULTILINE = frozenset({"exception", "stack"})
_LONGEST = 100_000
_LONGEST_URL = 2_000
_MOST_VALUES = 10_000
_DEEPEST = 20


def escaped(text: str, *, lines: bool = False) -> str:
    """Return text without control characters; with `lines`, line ends and tabs stay."""
    return text.translate(_LINE_ESCAPES if lines else _ESCAPES)


class Redact:
    """Processor: hides values under secret-sounding keys, passwords in URLs and known secrets."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = [secret for secret in secrets if secret]

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Return the event with every secret hidden and every value on one line."""
        return {
            escaped(key): self._clean(key, value, iter(range(_MOST_VALUES)), 0)
            for key, value in event.items()
        }

    def _clean(self, key: str, value: object, left: Iterator[int], depth: int) -> object:
        # A value may hold itself, or more than anybody reads.
        if depth > _DEEPEST or next(left, None) is None:
            return "..."
        if value is None or isinstance(value, bool | int) or _is_finite(value):
            return value
        if _SECRET_KEYS.search(key):
            return _HIDDEN
        if isinstance(value, dict):
            pairs = ((str(name), inner) for name, inner in islice(value.items(), _MOST_VALUES))
            return {name: self._clean(name, inner, left, depth + 1) for name, inner in pairs}
        if isinstance(value, list | tuple):
            inside = islice(value, _MOST_VALUES)
            return [self._clean(key, inner, left, depth + 1) for inner in inside]
        return self._text(key, value)

    def _text(self, key: str, value: object) -> str:
        text = str(value)
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        # A little more than is kept: a password that the cut would part is seen whole.
        kept = _URL_PASSWORD.sub(rf"\1:{_HIDDEN}@", text[: _LONGEST + _LONGEST_URL])
        if len(text) > _LONGEST:
            kept = f"{kept[:_LONGEST]}... ({len(text)} characters)"
        return escaped(kept, lines=key in _MULTILINE)


def _is_finite(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _add_bound(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Processor: adds what is bound; of an id, a line's own value is kept as `given_...`."""
    bound = structlog.contextvars.get_contextvars()
    given = {f"given_{name}": event.pop(name) for name in _IDS & bound.keys() & event.keys()}
    return {**bound, **event, **given}


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines; one that cannot be written is mentioned, where logging would print it all."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        if record.name == _COMPLAINTS:
            return
        # An agent may log what cannot be formatted; what was in it may be a secret.
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
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    handler = _Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                Redact(settings.secrets()),
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    # httpx and openai write a line a request, arq the arguments of jobs: theirs count as debug.
    for name in ("httpx", "httpx2", "openai", "arq", "asyncio"):
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


@contextmanager
def execution_log(**ids: object) -> Iterator[structlog.stdlib.BoundLogger]:
    """Bind an attempt's ids to every line logged inside, by whomever, and yield its logger."""
    with structlog.contextvars.bound_contextvars(**{name: str(id_) for name, id_ in ids.items()}):
        yield structlog.get_logger("copydesk.agent")
