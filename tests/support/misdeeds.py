"""What agents may raise and return although they should not, by name."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
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


class Raising:
    """A value whose text raises what no text should."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __str__(self) -> str:
        raise self.error

    __repr__ = __str__


class Derived(Outcome):
    """An outcome that raises when it is looked at."""

    @property  # type: ignore[misc]
    def drafts(self) -> Any:
        """Raise."""
        raise SystemExit(3)


class Liar:
    """Says that it is an outcome."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """Lie."""
        return Outcome

    @property
    def output(self) -> Any:
        """Raise."""
        raise KeyboardInterrupt


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


def _unchecked(**parts: Any) -> Outcome:
    return Outcome.model_construct(**{"output": {}, "drafts": [], "exports": [], **parts})


def _draft(**fields: Any) -> Outcome:
    known = {"readability_score": None, "grammar_score": None, "base_version": None}
    made = {"document_type": "notes", "content": "# Notes\n", "metadata": {}, **known, **fields}
    return _unchecked(drafts=[Draft.model_construct(**made)])


def _export(**fields: Any) -> Outcome:
    made = {"content": b"x", "suffix": ".zip", "manifest": {}, "lifetime": timedelta(1), **fields}
    return _unchecked(exports=[ExportFile.model_construct(**made)])


def _appended() -> Outcome:
    outcome = Outcome()
    outcome.drafts.append("a draft")  # type: ignore[arg-type]
    return outcome


async def _coroutine() -> None: ...


async def _generator() -> Any:
    yield 1


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
    "HugeError": lambda: type("HugeError", (Exception,), {})(PASSWORD * 2_500_000),
    "ExceptionGroup": lambda: ExceptionGroup(PASSWORD, [ValueError(PASSWORD)]),
}
"""Each becomes `agent_exception`."""

STRANGE_ERRORS: dict[str, Callable[[], BaseException]] = {
    "cancelled": asyncio.CancelledError,
    "code_is_no_text": lambda: AgentError("no", code=7),  # type: ignore[arg-type]
    "code_is_long": lambda: AgentError("no", code="x" * 300),
    "code_is_unstorable": lambda: AgentError("no", code="a\x00\ud800"),
    "message_is_no_text": lambda: AgentError(Unprintable()),  # type: ignore[arg-type]
    "message_moves_the_cursor": lambda: AgentError("first\r\nforged\x1b[2J\u2028forged"),
    "message_is_unstorable": lambda: AgentError("no\x00\ud800" + "x" * 5000),
    "code_has_a_line_end": lambda: AgentError("no", code="a\r\nb"),
    "message_is_huge": lambda: AgentError("x" * 50_000_000),
    "delay_is_no_time": lambda: AgentError("no", retryable=True, retry_after=5),  # type: ignore[arg-type]
}

NO_ANSWER: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "generator": lambda: (n for n in range(3)),
    "coroutine": _coroutine,
    "bytes": lambda: b"bytes",
    "set": lambda: {1, 2},
    "text": lambda: "text",
    "number": lambda: 1,
    "dict": lambda: {"output": {}, "drafts": []},
    "list": lambda: [Outcome()],
    "async_generator": _generator,
    "function": lambda: _coroutine,
    "exception": lambda: ValueError(PASSWORD),
    "ellipsis": lambda: ...,
    "not_implemented": lambda: NotImplemented,
    "class": lambda: Outcome,
    "liar": Liar,
    "derived": lambda: Derived.model_construct(output={}, exports=[]),
    "changed": _appended,
    "unprintable": Unprintable,
    "nul": lambda: Outcome(output={"text": "a\x00b"}),
    "nul_in_a_key": lambda: Outcome(output={"a": {"\x00": 1}}),
    "surrogate": lambda: Outcome(output={"text": "\ud800"}),
    "nan": lambda: Outcome(output={"number": float("nan")}),
    "infinity": lambda: Outcome(output={"number": float("inf")}),
    "huge": lambda: Outcome(output={"text": "x" * 2_000_000}),
    "digits": lambda: Outcome(output={"number": 10**5000}),
    "number_as_key": lambda: Outcome(output={"a": {1: "b"}}),
    "none_as_key": lambda: Outcome(output={"a": [{None: "b"}]}),
    "decimal": lambda: Outcome(output={"number": Decimal("0.1")}),
    "too_deep": lambda: Outcome(output={"list": _deep(300)}),
    "endless": lambda: Outcome(output={"list": _deep(100_000)}),
    "circular": lambda: Outcome.model_construct(output=_circular(), drafts=[], exports=[]),
    "no_json": lambda: Outcome(output={"object": object()}),
    "unchecked": lambda: Outcome.model_construct(**_UNCHECKED),
    "output_list": lambda: _unchecked(output=[1]),
    "output_none": lambda: _unchecked(output=None),
    "type_empty": lambda: _draft(document_type=""),
    "type_path": lambda: _draft(document_type="../etc"),
    "type_long": lambda: _draft(document_type="a" * 10_000),
    "type_nul": lambda: _draft(document_type="a\x00"),
    "type_composed": lambda: _draft(document_type="caf\u00e9"),
    "type_decomposed": lambda: _draft(document_type="cafe\u0301"),
    "type_refused": lambda: _notes(document_type="../etc"),
    "type_extra": lambda: Draft(**{"document_type": "a", "content": "", "a\x00\r\n": 1}),
    "content_none": lambda: _draft(content=None),
    "content_surrogate": lambda: _notes(content="\ud800"),
    "score_nan": lambda: _draft(grammar_score=float("nan")),
    "base_huge": lambda: _draft(base_version=2**40),
    "base_to_come": lambda: _notes(base_version=7_000_000),
    "export_suffix": lambda: _export(suffix="/../../../tmp/stolen.txt"),
    "export_content": lambda: _export(content="text"),
    "export_for_ever": lambda: _export(lifetime=timedelta.max),
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
    "retry_exits": lambda: Retry(Raising(SystemExit(3))),  # type: ignore[arg-type]
    "cancel_interrupts": lambda: Cancel(Raising(KeyboardInterrupt())),  # type: ignore[arg-type]
    "cancel_cancels": lambda: Cancel(Raising(asyncio.CancelledError())),  # type: ignore[arg-type]
    "snooze_out_of_range": lambda: Snooze(
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))
    ),
    "snooze_infinity": lambda: Snooze(float("inf")),  # type: ignore[arg-type]
    "retry_unprintable": lambda: Retry(Unprintable()),  # type: ignore[arg-type]
    "snooze_without_zone": lambda: Snooze(datetime(2030, 1, 1)),  # noqa: DTZ001
    "snooze_without_time": lambda: Snooze("tomorrow"),  # type: ignore[arg-type]
    "cancel_unprintable": lambda: Cancel(Unprintable()),  # type: ignore[arg-type]
}
"""Each is refused for good, as `output_invalid`, or as `output_too_large`."""

TOO_LARGE = {"huge", "draft_huge"}

SAID: dict[str, Callable[[Any], object]] = {
    "colours": lambda log: log.info("\x1b[31mred\x1b[0m", text="\x1b[2J\x1b]0;title\x07\x9b31m"),
    "line_ends": lambda log: log.info("a\r\nforged", text="b\nforged\u2028forged"),
    "key": lambda log: log.info("said", **{"key\nforged\x1b[2J": 1}),
    "password_by_name": lambda log: log.info("said", api_key=PASSWORD, _token=PASSWORD),
    "password_in_a_url": lambda log: log.info("said", url=f"redis://me:{PASSWORD}@host/0"),
    "password_inside": lambda log: log.info("said", credentials={"list": [PASSWORD]}),
    "long_word": lambda log: log.info("said", text="x" * 5_000_000),
    "surrogate": lambda log: log.info("said\ud800", text="\ud800"),
    "nan": lambda log: log.info("said", score=float("nan")),
    "unprintable": lambda log: log.info("said", it=Unprintable()),
    "deep": lambda log: log.info("said", it=_deep(100_000)),
    "circular": lambda log: log.info("said", it=_circular()),
    "digits": lambda log: log.info("said", it=10**5000),
}
"""Each is written as one line, or told to be none that can be written."""


def commit(kind: str) -> None:
    """Raise what `kind` names, if it names anything."""
    if kind == "RecursionError":
        _overflow()
    make = RAISED.get(kind) or STRANGE_ERRORS.get(kind)
    if make is not None:
        raise make()


def heavy(kind: str) -> Outcome:
    """Return an outcome of some 200 MB as JSON."""
    value: dict[str, Any] = {
        "text": lambda: "x" * 200_000_000,
        "numbers": lambda: [0] * 100_000_000,
        "texts": lambda: ["x" * 100] * 2_000_000,
    }
    return Outcome(output={"value": value[kind]()})


def say(log: Any, kind: str) -> None:
    """Log what `kind` names."""
    SAID[kind](log)


def answer(kind: str) -> Any:
    """Return what `kind` names."""
    return NO_ANSWER[kind]()
