"""Agents that behave in every way an agent should not, and a few that behave well.

Named by the setting `agents = ["tests.support.desk_agents"]`. What waits, waits for a file that the
test makes, never for a time; what has begun says so by making a file of its own.
"""

import asyncio
import logging
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from pydantic import BaseModel, field_validator

from tests.support import misdeeds
from worker.agents.contract import (
    Agent,
    AgentError,
    Answer,
    Backoff,
    Cancel,
    Draft,
    ExportFile,
    Outcome,
    Retry,
    RunContext,
    Snooze,
    ThreadContext,
    agent,
)

SOON = Backoff(first=timedelta(milliseconds=20), factor=1, jitter=0)
PASSWORD = "correct-horse-battery"


class Nothing(BaseModel):
    """No input."""


class Echo(BaseModel):
    """What to answer, and the document to file, if any."""

    value: Any = None
    document_type: str | None = None


class Gate(BaseModel):
    """Files: `begun` is made by each attempt with its number as ending, `path` is waited for."""

    path: Path
    begun: Path


class Kind(BaseModel):
    """Which case."""

    kind: str


class Times(BaseModel):
    """How many attempts go wrong before one goes right."""

    failures: int
    how: str = "error"


class Trap(BaseModel):
    """An input whose validator raises what no validator should."""

    value: str

    @field_validator("value")
    @classmethod
    def _spring(cls, value: str) -> str:
        misdeeds.commit(value)
        return value


def begin(context: RunContext | ThreadContext, gate: Gate) -> None:
    """Make the file that says that an attempt runs, with the process in it."""
    name = f"{gate.begun.name}.{context.attempt}"
    draft = gate.begun.with_name(f".{name}")
    draft.write_text(str(os.getpid()))
    draft.replace(gate.begun.with_name(name))


async def opened(gate: Gate) -> None:
    """Wait until the file is there."""
    while not gate.path.exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.01)


def by(context: RunContext | ThreadContext) -> Outcome:
    """Return an outcome that tells which attempt wrote it."""
    text = f"# Written by attempt {context.attempt} in {os.getpid()}\n"
    return Outcome(
        output={"attempt": context.attempt, "pid": os.getpid()},
        drafts=[Draft(document_type="notes", content=text)],
    )


@agent("echo", backoff=SOON)
async def echo(context: RunContext, input: Echo) -> Outcome:  # noqa: A002
    """Answer what it was given."""
    drafts = []
    if input.document_type:
        content = f"# Attempt {context.attempt}\n"
        drafts.append(Draft(document_type=input.document_type, content=content))
    return Outcome(output={"value": input.value}, drafts=drafts)


@agent("gated", backoff=SOON)
async def gated(context: RunContext, input: Gate) -> Outcome:  # noqa: A002
    """Wait for a file, and let itself be stopped."""
    begin(context, input)
    await opened(input)
    return by(context)


@agent("gated_thread", backoff=SOON)
def gated_thread(context: ThreadContext, input: Gate) -> Outcome:  # noqa: A002
    """Wait for a file in a thread; each report is a chance to be stopped."""
    begin(context, input)
    while not input.path.exists():
        context.progress(None, "waiting")
        time.sleep(0.01)
    return by(context)


@agent("nap")
async def nap(context: RunContext, input: Nothing) -> Outcome:  # noqa: A002, ARG001
    """Take a moment."""
    await asyncio.sleep(0.02)
    return Outcome()


@agent("late_failure", backoff=SOON)
async def late_failure(context: RunContext, input: Gate) -> Outcome:  # noqa: A002
    """Wait for a file, then fail."""
    await gated.function(context, input)
    raise AgentError("too late")


@agent("late_snooze", backoff=SOON)
async def late_snooze(context: RunContext, input: Gate) -> Answer:  # noqa: A002
    """Wait for a file, then ask for more time."""
    await gated.function(context, input)
    return Snooze(datetime.now(UTC))


@agent("late_cancel", backoff=SOON)
async def late_cancel(context: RunContext, input: Gate) -> Answer:  # noqa: A002
    """Wait for a file, then see no point."""
    await gated.function(context, input)
    return Cancel("too late")


@agent("hasty", timeout=0.2, max_attempts=1)
async def hasty(context: RunContext, input: Gate) -> Outcome:  # noqa: A002
    """Have too little time."""
    return await gated.function(context, input)  # type: ignore[no-any-return]


@agent("hasty_thread", timeout=0.2, max_attempts=1)
def hasty_thread(context: ThreadContext, input: Gate) -> Outcome:  # noqa: A002
    """Have too little time, and notice nothing."""
    return stubborn_thread.function(context, input)  # type: ignore[no-any-return]


@agent("hasty_stubborn", timeout=0.2, max_attempts=1)
async def hasty_stubborn(context: RunContext, input: Gate) -> Outcome:  # noqa: A002
    """Have too little time, and swallow every cancellation."""
    return await stubborn.function(context, input)  # type: ignore[no-any-return]


@agent("hasty_thread_stubborn", timeout=0.2, max_attempts=1)
def hasty_thread_stubborn(context: ThreadContext, input: Gate) -> Outcome:  # noqa: A002
    """Block a thread past the time there is, whatever happens."""
    begin(context, input)
    while not input.path.exists():
        time.sleep(0.01)
    return by(context)


@agent("fatal", backoff=SOON)
async def fatal(context: RunContext, input: Nothing) -> Outcome:  # noqa: A002, ARG001
    """Take the whole process down."""
    os.kill(os.getpid(), signal.SIGKILL)
    return Outcome()


@agent("exporter", backoff=SOON)
async def exporter(context: RunContext, input: Nothing) -> Outcome:  # noqa: A002, ARG001
    """Build a file."""
    file = ExportFile(content=b"an export", suffix=".bin", manifest={}, lifetime=timedelta(hours=1))
    return Outcome(exports=[file])


@agent("stubborn", backoff=SOON)
async def stubborn(context: RunContext, input: Gate) -> Outcome:  # noqa: A002
    """Swallow every cancellation until the file is there."""
    begin(context, input)
    while not input.path.exists():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            input.begun.with_name("asked_to_stop").touch()
    return by(context)


@agent("stubborn_thread", backoff=SOON)
def stubborn_thread(context: ThreadContext, input: Gate) -> Outcome:  # noqa: A002
    """Block a thread until the file is there, whatever happens."""
    begin(context, input)
    while not input.path.exists():
        time.sleep(0.01)
    return by(context)


@agent("aside", backoff=SOON)
async def aside(context: RunContext, input: Gate) -> Outcome:  # noqa: A002
    """Block a thread of asyncio's own until the file is there."""
    begin(context, input)

    def block() -> None:
        while not input.path.exists():
            time.sleep(0.01)

    await asyncio.to_thread(block)
    return by(context)


@agent("flaky", backoff=SOON)
async def flaky(context: RunContext, input: Times) -> Answer:  # noqa: A002
    """Go wrong some times, then right."""
    if context.attempt > input.failures:
        return Outcome(output={"attempt": context.attempt})
    if input.how == "retry":
        return Retry("not yet", after=timedelta(milliseconds=10))
    if input.how == "ages":
        return Retry("not in our time", after=timedelta.max)
    if input.how == "snooze":
        return Snooze(datetime.now(UTC) + timedelta(milliseconds=10), "too early")
    raise AgentError("the provider is busy", code="provider_busy", retryable=True)


@agent("failing", backoff=SOON)
async def failing(context: RunContext, input: Nothing) -> Outcome:  # noqa: A002, ARG001
    """Refuse for good."""
    raise AgentError("there is no text to work on", code="no_text")


@agent("pointless", backoff=SOON)
async def pointless(context: RunContext, input: Nothing) -> Answer:  # noqa: A002, ARG001
    """Answer that the work is not worth doing."""
    return Cancel("the document is gone")


@agent("trapped", max_attempts=1)
async def trapped(context: RunContext, input: Trap) -> Outcome:  # noqa: A002, ARG001
    """Have an input that cannot be read."""
    return Outcome()


@agent("raises", max_attempts=1)
async def raises(context: RunContext, input: Kind) -> Outcome:  # noqa: A002, ARG001
    """Raise."""
    misdeeds.commit(input.kind)
    return Outcome()


@agent("raises_in_thread", max_attempts=1)
def raises_in_thread(context: ThreadContext, input: Kind) -> Outcome:  # noqa: A002, ARG001
    """Raise in a thread."""
    misdeeds.commit(input.kind)
    return Outcome()


@agent("returns", max_attempts=3)
async def returns(context: RunContext, input: Kind) -> Any:  # noqa: A002, ARG001
    """Return what is no answer, or one that cannot be kept."""
    return misdeeds.answer(input.kind)


@agent("returns_from_thread", max_attempts=3)
def returns_from_thread(context: ThreadContext, input: Kind) -> Any:  # noqa: A002, ARG001
    """Return the same from a thread."""
    return misdeeds.answer(input.kind)


@agent("says", max_attempts=1)
async def says(context: RunContext, input: Kind) -> Outcome:  # noqa: A002
    """Log what does not belong in a log."""
    misdeeds.say(context.log, input.kind)
    return Outcome()


@agent("heavy")
async def heavy(context: RunContext, input: Kind) -> Outcome:  # noqa: A002, ARG001
    """Answer 200 MB."""
    return misdeeds.heavy(input.kind)


@agent("heavy_in_thread")
def heavy_in_thread(context: ThreadContext, input: Kind) -> Outcome:  # noqa: A002, ARG001
    """Answer as much from a thread."""
    return misdeeds.heavy(input.kind)


class Elsewhere(BaseModel):
    """Another project."""

    other: UUID


@agent("trespasser", max_attempts=1)
async def trespasser(context: RunContext, input: Elsewhere) -> Outcome:  # noqa: A002
    """Point its own context at another project, and write."""
    object.__setattr__(context.run, "project_id", input.other)
    seen = [document.document_type for document in await context.latest_documents()]
    draft = Draft(
        document_type="notes", content="# Mine\n", metadata={"project_id": str(input.other)}
    )
    return Outcome(output={"seen": seen, "project_id": str(input.other)}, drafts=[draft])


@agent("reporter", backoff=SOON)
async def reporter(context: RunContext, input: Gate) -> Outcome:  # noqa: A002
    """Report progress, much faster than anyone reads, until the file is there."""
    begin(context, input)
    for step in range(1000):
        context.progress(step / 1000, f"step {step}\x00\ud800")
    await opened(input)
    return Outcome()


@agent("talker", backoff=SOON)
async def talker(context: RunContext, input: Nothing) -> Outcome:  # noqa: A002, ARG001
    """Log by every road, with what does not belong in a log."""
    context.log.info("said", text="\x1b[31mred\x1b[0m\r\nforged", api_key=PASSWORD)
    structlog.get_logger("any").info("structured", url=f"redis://me:{PASSWORD}@host/0")
    library = logging.getLogger("some.library")
    library.warning("from %s\nforged \x1b[2J %s", "a library", f"amqp://u:{PASSWORD}@h")
    await asyncio.to_thread(library.warning, "from a thread")
    await asyncio.create_task(_mutter(library))
    return Outcome()


async def _mutter(library: logging.Logger) -> None:
    library.warning("from a task")


agents: list[Agent] = [value for value in globals().values() if isinstance(value, Agent)]
