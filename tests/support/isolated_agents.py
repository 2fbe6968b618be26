"""Agents that run in processes of their own, and take them down in every way there is."""

import asyncio
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tests.support import misdeeds
from tests.support.desk_agents import (
    SOON,
    Gate,
    Kind,
    Nothing,
    Times,
    Trap,
    begin,
    by,
    flaky,
    gated,
    gated_thread,
    stubborn,
)
from worker.agents.contract import (
    Agent,
    Answer,
    Draft,
    ExportFile,
    Outcome,
    RunContext,
    ThreadContext,
    agent,
)

MEMORY = 512 * 1024 * 1024


class Seen(BaseModel):
    """What to read."""

    document_type: str
    version: int | None = None


@agent("own_gated", backoff=SOON, isolation="process")
async def own_gated(context: RunContext, input: Gate) -> Outcome:  # noqa: A002
    """Wait for a file, and let itself be stopped."""
    return await gated.function(context, input)  # type: ignore[no-any-return]


@agent("own_gated_thread", backoff=SOON, isolation="process")
def own_gated_thread(context: ThreadContext, input: Gate) -> Outcome:  # noqa: A002
    """Wait for a file in a thread."""
    return gated_thread.function(context, input)  # type: ignore[no-any-return]


@agent("own_stubborn", backoff=SOON, isolation="process")
async def own_stubborn(context: RunContext, input: Gate) -> Outcome:  # noqa: A002
    """Swallow every cancellation until the file is there."""
    return await stubborn.function(context, input)  # type: ignore[no-any-return]


@agent("own_endless", backoff=SOON, isolation="process")
async def own_endless(context: RunContext, input: Gate) -> Outcome:  # noqa: A002
    """Block for ever, deaf to SIGTERM, with a process of its own making beside it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(  # noqa: ASYNC220 - it blocks anyway
        [sys.executable, "-c", "import time; time.sleep(3600)"]
    )
    input.begun.with_name("grandchild").write_text(str(child.pid))
    begin(context, input)
    while True:
        time.sleep(3600)  # noqa: ASYNC251 - what this agent is for


@agent("own_survived", backoff=SOON, isolation="process")
async def own_survived(context: RunContext, input: Gate) -> Outcome:  # noqa: A002
    """End, and leave a process in a session of its own that keeps the streams open."""
    child = subprocess.Popen(  # noqa: ASYNC220 - it is begun at once
        [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True
    )
    input.begun.with_name("grandchild").write_text(str(child.pid))
    begin(context, input)
    return Outcome(output={"done": True})


@agent("own_hasty", timeout=5, max_attempts=1, isolation="process")
async def own_hasty(context: RunContext, input: Gate) -> Outcome:  # noqa: A002
    """Have too little time, and never return."""
    return await own_endless.function(context, input)  # type: ignore[no-any-return]


@agent("own_death", max_attempts=1, isolation="process", memory_limit=MEMORY)
def own_death(context: ThreadContext, input: Kind) -> Outcome:  # noqa: A002, ARG001
    """End the process in a given way, without an answer."""
    match input.kind:
        case "exit":
            os._exit(7)
        case "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)
        case "SIGSEGV":
            ctypes.string_at(0)
        case "noise":
            for number in range(3, 64):
                try:
                    os.write(number, b"\xff" * 4096)
                except OSError:
                    continue
            time.sleep(3600)
    return Outcome()


@agent("own_bomb", backoff=SOON, max_attempts=2, isolation="process", memory_limit=MEMORY)
def own_bomb(context: ThreadContext, input: Nothing) -> Outcome:  # noqa: A002, ARG001
    """Take all the memory there is."""
    hoard: list[bytes] = []
    while True:
        hoard.append(bytes(64 * 1024 * 1024))


@agent("own_reader", backoff=SOON, isolation="process")
async def own_reader(context: RunContext, input: Seen) -> Outcome:  # noqa: A002
    """Read in several ways at once, report, log and print."""
    one, latest = await asyncio.gather(
        context.document(input.document_type, input.version), context.latest_documents()
    )
    context.progress(0.5, "half\x00\ud800")
    context.log.info(
        "own_line\ud800",
        text="\ud800",
        count=len(latest),
        api_key=misdeeds.PASSWORD,
        path=Path("/tmp"),
    )
    logging.getLogger("some.library").warning("from %s\nforged", "a library")
    print("said aloud")  # noqa: T201 - what this agent is for
    print("complained", file=sys.stderr)  # noqa: T201
    facts = {
        "project": str(context.project_id),
        "language": context.language,
        "attempt": context.attempt,
        "pid": os.getpid(),
        "settings": sorted(name for name in os.environ if name.startswith("COPYDESK_")),
        "types": [document.document_type for document in latest],
        "metadata": one.metadata,
    }
    file = ExportFile(content=b"\x00\xff", suffix=".bin", manifest={}, lifetime="PT1H")
    draft = Draft(document_type="copy", content=one.content, metadata={"n": 2**70})
    return Outcome(output=facts, drafts=[draft], exports=[file])


@agent("own_thread_reader", backoff=SOON, isolation="process")
def own_thread_reader(context: ThreadContext, input: Seen) -> Outcome:  # noqa: A002
    """Read from a thread."""
    document = context.document(input.document_type, input.version)
    return Outcome(output={"content": document.content, "all": len(context.latest_documents())})


@agent("own_raises", max_attempts=1, isolation="process")
async def own_raises(context: RunContext, input: Kind) -> Outcome:  # noqa: A002, ARG001
    """Raise."""
    misdeeds.commit(input.kind)
    return Outcome()


@agent("own_returns", isolation="process")
async def own_returns(context: RunContext, input: Kind) -> Any:  # noqa: A002, ARG001
    """Return what is no answer, or one that cannot be kept."""
    return misdeeds.answer(input.kind)


@agent("own_says", max_attempts=1, isolation="process")
async def own_says(context: RunContext, input: Kind) -> Outcome:  # noqa: A002
    """Log what does not belong in a log."""
    misdeeds.say(context.log, input.kind)
    return Outcome()


@agent("own_heavy", isolation="process")
def own_heavy(context: ThreadContext, input: Kind) -> Outcome:  # noqa: A002, ARG001
    """Answer 200 MB."""
    return misdeeds.heavy(input.kind)


@agent("own_flaky", backoff=SOON, isolation="process")
async def own_flaky(context: RunContext, input: Times) -> Answer:  # noqa: A002
    """Go wrong some times, then right."""
    return await flaky.function(context, input)  # type: ignore[no-any-return]


@agent("own_trapped", max_attempts=1, isolation="process")
async def own_trapped(context: RunContext, input: Trap) -> Outcome:  # noqa: A002, ARG001
    """Have an input that cannot be read."""
    return Outcome()


@agent("own_littering", isolation="process")
async def own_littering(context: RunContext, input: Gate) -> Outcome:  # noqa: A002
    """Answer, and leave a task and a thread behind that never end."""
    begin(context, input)

    async def linger() -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(linger())
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)
    await asyncio.sleep(0)
    assert not task.done()
    return by(context)


@agent("blocking", backoff=SOON)
async def blocking(context: RunContext, input: Gate) -> Outcome:  # noqa: A002
    """Hold up the worker's event loop until the file is there."""
    begin(context, input)
    while not input.path.exists():
        time.sleep(0.01)  # noqa: ASYNC251 - what this agent is for
    return by(context)


agents: list[Agent] = [
    value
    for name, value in globals().items()
    if isinstance(value, Agent) and name.startswith(("own_", "blocking"))
]
