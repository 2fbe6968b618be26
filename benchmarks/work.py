"""The unit of work that is measured: 1 KB in, 1 KB out, a document version of 4 KB.

Every worker that is compared runs the same agent, as a plain function or as a copydesk agent.
"""

import asyncio
import random
from functools import cache
from typing import Any

from pydantic import BaseModel

from worker.agents.contract import Draft, Outcome, RunContext, agent

DOCUMENT_TYPE = "article"
_WORDS = (
    "the a of to and in that is was for it with as his on be at by had not are but from or have "
    "an they which one you were all her she there would their we him been has when who will no "
    "more if out so up said what its about than into them can only other time new some could these"
)


def prose(size: int, seed: int = 7) -> str:
    """Return `size` characters of text that compresses about as well as English does."""
    chance = random.Random(seed)  # noqa: S311 - the same text in every run
    words = _WORDS.split()
    text = ""
    while len(text) < size:
        sentence = " ".join(
            "".join(chance.choices("etaoinshrdlu", k=6)) if chance.random() < 0.4 else word  # noqa: PLR2004
            for word in chance.choices(words, k=chance.randint(6, 16))
        )
        text += sentence.capitalize() + ". "
    return text[:size]


INPUT: dict[str, Any] = {"text": prose(1000, 1)}
OUTPUT: dict[str, Any] = {"summary": prose(1000, 2)}
CONTENT = prose(4096, 3)


class Text(BaseModel):
    """A text to work on."""

    text: str


@agent("draft", timeout=60)
async def draft(context: RunContext, input: Text) -> Outcome:  # noqa: A002, ARG001
    """File a document."""
    return Outcome(output=OUTPUT, drafts=[Draft(document_type=DOCUMENT_TYPE, content=CONTENT)])


@agent("hold", timeout=3600)
async def hold(context: RunContext, input: Text) -> Outcome:  # noqa: A002, ARG001
    """Wait for a model that does not answer."""
    await asyncio.Event().wait()
    return Outcome()


@agent("slow_draft", timeout=60)
async def slow_draft(context: RunContext, input: Text) -> Outcome:  # noqa: A002, ARG001
    """File a document after a tenth of a second."""
    await asyncio.sleep(0.1)
    return Outcome(output=OUTPUT, drafts=[Draft(document_type=DOCUMENT_TYPE, content=CONTENT)])


class Sized(BaseModel):
    """How long a document is wanted, in characters."""

    size: int


_some_prose = cache(prose)


@agent("write", timeout=60)
async def write(context: RunContext, input: Sized) -> Outcome:  # noqa: A002, ARG001
    """File a document of some size."""
    content = _some_prose(input.size)
    return Outcome(drafts=[Draft(document_type=DOCUMENT_TYPE, content=content)])


AGENTS = (
    "benchmarks.work:write,benchmarks.work:draft,benchmarks.work:hold,benchmarks.work:slow_draft"
)
