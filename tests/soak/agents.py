"""What the workers of a soak run: work that takes a moment, and now and then goes wrong."""

import asyncio
from datetime import timedelta

from pydantic import BaseModel

from worker.agents.contract import Agent, AgentError, Backoff, Draft, Outcome, RunContext, agent


class Work(BaseModel):
    """How long it takes (seconds), how often it fails first, and what is written."""

    seconds: float
    failures: int
    document_type: str
    text: str


@agent("steady", backoff=Backoff(first=timedelta(milliseconds=100), factor=2), max_attempts=20)
async def steady(context: RunContext, input: Work) -> Outcome:  # noqa: A002
    """Take a while, fail as often as told, then write one document."""
    context.progress(0.5, "half way")
    await asyncio.sleep(input.seconds)
    if context.attempt <= input.failures:
        raise AgentError("not this time", code="unlucky", retryable=True)
    content = f"# {input.text}\n\nWritten by attempt {context.attempt}.\n"
    return Outcome(
        output={"attempt": context.attempt},
        drafts=[Draft(document_type=input.document_type, content=content)],
    )


agents: list[Agent] = [steady]
