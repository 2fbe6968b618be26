"""An agent that puts its word into everything an agent can write."""

from datetime import timedelta

from pydantic import BaseModel

from worker.agents.contract import (
    AgentError,
    Answer,
    Backoff,
    Cancel,
    Draft,
    ExportFile,
    Outcome,
    RunContext,
    agent,
)

_SOON = Backoff(first=timedelta(milliseconds=50), jitter=0)


class Loud(BaseModel):
    """A word, and how it is to end."""

    word: str
    ending: str = "completed"


@agent("loud", backoff=_SOON, max_attempts=1)
async def loud(context: RunContext, input: Loud) -> Answer:  # noqa: A002
    """Say the word everywhere."""
    context.progress(0.5, f"thinking of {input.word}")
    if input.ending == "failed":
        raise AgentError(f"no more {input.word}", code=input.word)
    if input.ending == "cancelled":
        return Cancel(f"enough {input.word}")
    said = {input.word: input.word}
    return Outcome(
        output=said,
        drafts=[Draft(document_type=input.word, content=f"# {input.word}\n", metadata=said)],
        exports=[
            ExportFile(
                content=f"file of {input.word}".encode(),
                suffix=".txt",
                manifest=said,
                lifetime=timedelta(days=1),
            )
        ],
    )
