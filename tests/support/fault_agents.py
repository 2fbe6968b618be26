"""Agents for faults that need one of their own."""

import asyncio
import mmap
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel

from tests.support.desk_agents import SOON, Nothing
from worker.agents.contract import Agent, Draft, Outcome, RunContext, agent


class Marks(BaseModel):
    """A file that is made by what goes on after the return."""

    path: Path


@agent("greedy", backoff=SOON, max_attempts=2)
async def greedy(context: RunContext, input: Nothing) -> Outcome:  # noqa: A002, ARG001
    """Take all the memory there is."""
    taken: list[object] = []
    with suppress(OSError):
        while True:  # room that is only reserved costs the machine nothing
            taken.append(mmap.mmap(-1, 16 * 1024 * 1024))
    while True:
        taken.append(bytearray(256 * 1024))


@agent("lingering", backoff=SOON)
async def lingering(context: RunContext, input: Marks) -> Outcome:  # noqa: A002
    """Return, and leave a task behind that goes on with the attempt's context and its drafts."""
    outcome = Outcome(output={}, drafts=[Draft(document_type="notes", content="# Mine\n")])

    async def go_on() -> None:
        refused = False
        for _ in range(50):
            await asyncio.sleep(0.01)
            outcome.drafts.append(Draft(document_type="more", content="# Too late\n"))
            try:
                context.progress(1, "still here")
            except Exception:  # noqa: BLE001 - which one is the worker's choice
                refused = True
        input.path.write_text("refused" if refused else "heard")

    # Kept by the loop's own reference only, as a careless agent would.
    context.log.info("left", task=str(asyncio.create_task(go_on()).get_name()))
    return outcome


agents: list[Agent] = [greedy, lingering]
