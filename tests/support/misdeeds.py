"""What agents may raise and return although they should not, by name."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NoReturn

from worker.agents.contract import (
    AgentError,
    Cancel,
    Draft,
    ExportFile,
    Outcome,
    Retry,
    Snooze,
)

PASSWORD = "correct-horse-battery"


class OwnBaseError(BaseException):
    """Not even an Exception."""


class UnprintableError(Exception):
    """Cannot be turned into text."""

    def __str__(self) -> str:
        raise RuntimeError(PASSWORD)

    __repr__ = __str__


class Unprintable:
    """A value that cannot be turned into text."""

    def __str__(self) -> str:
        raise RuntimeError(PASSWORD)

    __repr__ = __str__


_UNCHECKED: dict[str, Any] = {"output": {}, "drafts": None, "exports": None}


def _deep(levels: int) -> object:
    value: object = 0
    for _ in range(levels):
        value = [value]
    return value


def _circular() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


def _notes(**fields: Any) -> Outcome:
    return Outcome(drafts=[Draft(**{"document_type": "notes", "content": "# Notes\n", **fields})])


async def _coroutine() -> None: ...


def _overflow() -> NoReturn:
    _overflow()


RAISED: dict[str, Callable[[], BaseException]] = {
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "StopIteration": lambda: StopIteration(1),
    "StopAsyncIteration": StopAsyncIteration,
    "OwnBaseError": OwnBaseError,
    "MemoryError": MemoryError,
    "UnprintableError": UnprintableError,
    "RuntimeError": lambda: RuntimeError(f"postgresql://me:{PASSWORD}@host/db"),
    "ExceptionGroup": lambda: ExceptionGroup(PASSWORD, [ValueError(PASSWORD)]),
}
"""Each becomes `agent_exception`."""

STRANGE_ERRORS: dict[str, Callable[[], BaseException]] = {
    "cancelled": asyncio.CancelledError,
    "code_is_no_text": lambda: AgentError("no", code=7),  # type: ignore[arg-type]
    "code_is_long": lambda: AgentError("no", code="x" * 300),
    "code_is_unstorable": lambda: AgentError("no", code="a\x00\ud800"),
    "message_is_no_text": lambda: AgentError(Unprintable()),  # type: ignore[arg-type]
    "message_is_unstorable": lambda: AgentError("no\x00\ud800" + "x" * 5000),
    "delay_is_no_time": lambda: AgentError("no", retryable=True, retry_after=5),  # type: ignore[arg-type]
}

NO_ANSWER: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "generator": lambda: (n for n in range(3)),
    "coroutine": _coroutine,
    "bytes": lambda: b"bytes",
    "set": lambda: {1, 2},
    "text": lambda: "text",
    "class": lambda: Outcome,
    "unprintable": Unprintable,
    "nul": lambda: Outcome(output={"text": "a\x00b"}),
    "surrogate": lambda: Outcome(output={"text": "\ud800"}),
    "nan": lambda: Outcome(output={"number": float("nan")}),
    "infinity": lambda: Outcome(output={"number": float("inf")}),
    "huge": lambda: Outcome(output={"text": "x" * 2_000_000}),
    "digits": lambda: Outcome(output={"number": 10**5000}),
    "too_deep": lambda: Outcome(output={"list": _deep(300)}),
    "endless": lambda: Outcome(output={"list": _deep(100_000)}),
    "circular": lambda: Outcome.model_construct(output=_circular(), drafts=[], exports=[]),
    "no_json": lambda: Outcome(output={"object": object()}),
    "unchecked": lambda: Outcome.model_construct(**_UNCHECKED),
    "same_type_twice": lambda: Outcome(
        drafts=[Draft(document_type="notes", content=text) for text in ("# One\n", "# Two\n")]
    ),
    "draft_nul": lambda: _notes(content="a\x00b"),
    "draft_huge": lambda: _notes(content="x" * 2_000_000),
    "metadata_nan": lambda: _notes(metadata={"score": float("nan")}),
    "export_manifest": lambda: Outcome(
        exports=[
            ExportFile(content=b"", suffix=".zip", manifest={"n": object()}, lifetime=timedelta(1))
        ]
    ),
    "retry_without_time": lambda: Retry("later", after="soon"),  # type: ignore[arg-type]
    "retry_unprintable": lambda: Retry(Unprintable()),  # type: ignore[arg-type]
    "snooze_without_zone": lambda: Snooze(datetime(2030, 1, 1)),  # noqa: DTZ001
    "snooze_without_time": lambda: Snooze("tomorrow"),  # type: ignore[arg-type]
    "cancel_unprintable": lambda: Cancel(Unprintable()),  # type: ignore[arg-type]
}
"""Each is refused for good, as `output_invalid`, or as `output_too_large`."""

TOO_LARGE = {"huge", "draft_huge"}


def commit(kind: str) -> None:
    """Raise what `kind` names, if it names anything."""
    if kind == "RecursionError":
        _overflow()
    make = RAISED.get(kind) or STRANGE_ERRORS.get(kind)
    if make is not None:
        raise make()


def answer(kind: str) -> Any:
    """Return what `kind` names."""
    return NO_ANSWER[kind]()
