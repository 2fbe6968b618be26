r"""What an agent is, what it is given, and what it may answer.

An agent is a function or coroutine `(context, input) -> answer`, registered under an `agent_type`:

    class Greeting(BaseModel):
        name: str

    @agent("greet", timeout=30)
    async def greet(context: RunContext, input: Greeting) -> Outcome:
        text = f"# Hello {input.name}\n"
        return Outcome(drafts=[Draft(document_type="greeting", content=text)])

It reads through the context, which is bound to the one project of its execution, and returns
drafts; the worker files them as document versions in the transaction that completes the attempt.
An agent never holds a connection and cannot name a project. A plain `def` runs in a thread and gets
a `ThreadContext`, whose reads block that thread only. With `isolation="process"` either kind runs
in a process of its own, which can be killed, under the same contract.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from types import NoneType
from typing import Annotated, Any, Literal, Protocol, Self, get_type_hints

from pydantic import BaseModel, Field, model_validator

from worker.agents.answers import (
    AgentError,
    Answer,
    Cancel,
    Draft,
    ExportFile,
    Outcome,
    Retry,
    Snooze,
)
from worker.agents.context import Document, Log, Reader, Run, RunContext, ThreadContext
from worker.backoff import Backoff
from worker.requests import Name

__all__ = [
    "Agent",
    "AgentError",
    "Answer",
    "Backoff",
    "Cancel",
    "Document",
    "Draft",
    "ExportFile",
    "Log",
    "Name",
    "Outcome",
    "Reader",
    "Retry",
    "Run",
    "RunContext",
    "Snooze",
    "ThreadContext",
    "agent",
]


class AgentFunction(Protocol):
    """The shape of an agent's code: `(context, input)`, called by position."""

    __name__: str
    __doc__: str | None

    def __call__(self, context: Any, input: Any, /) -> Any:  # noqa: A002, ANN401
        """Do the work of one attempt and return an answer."""
        ...


@dataclass(frozen=True, slots=True)
class Agent:
    """A registered agent: its code, its input model and its options."""

    agent_type: str
    function: AgentFunction
    input_model: type[BaseModel]
    timeout: float
    max_attempts: int
    backoff: Backoff = field(default_factory=Backoff)
    summary: str = ""
    isolation: Literal["process"] | None = None
    memory_limit: int | None = None

    @property
    def kind(self) -> Literal["coroutine", "thread"]:
        """Where it runs, in whichever process: on the event loop, or in a thread."""
        return "coroutine" if inspect.iscoroutinefunction(self.function) else "thread"


class _Options(BaseModel):
    agent_type: Name
    timeout: Annotated[float, Field(gt=0, le=7 * 24 * 3600, allow_inf_nan=False)]
    max_attempts: Annotated[int, Field(ge=1, le=100)]
    isolation: Literal["process"] | None
    # Python and copydesk need most of the least by themselves.
    memory_limit: Annotated[int, Field(ge=128 * 1024 * 1024)] | None

    @model_validator(mode="after")
    def _process_to_limit(self) -> Self:
        if self.memory_limit is not None and self.isolation is None:
            raise ValueError('memory_limit needs isolation="process": a thread cannot be limited')
        return self


def agent(
    agent_type: str,
    *,
    timeout: float = 300,
    max_attempts: int = 3,
    backoff: Backoff | None = None,
    isolation: Literal["process"] | None = None,
    memory_limit: int | None = None,
) -> Callable[[AgentFunction], Agent]:
    """Make an `Agent` of the function below.

    Args:
        agent_type: the name executions are enqueued under; lowercase snake_case.
        timeout: seconds one attempt may take.
        max_attempts: failed attempts, lost workers among them, before the execution ends
            `failed`; an enqueue may ask for fewer or more.
        backoff: the delays between failed attempts.
        isolation: "process" runs each attempt in a process of its own, which is killed where it
            does not heed a stop; for code that may crash, block or never return.
        memory_limit: bytes of address space that process may have, 128 MiB or more.

    Raises:
        pydantic.ValidationError: an option breaks its rule.
        TypeError: the function has no second parameter annotated with a Pydantic model.
    """
    options = _Options(
        agent_type=agent_type,
        timeout=timeout,
        max_attempts=max_attempts,
        isolation=isolation,
        memory_limit=memory_limit,
    )

    def register(function: AgentFunction) -> Agent:
        return Agent(
            agent_type=options.agent_type,
            function=function,
            input_model=_input_model(function),
            timeout=options.timeout,
            max_attempts=options.max_attempts,
            backoff=backoff or Backoff(),
            summary=(inspect.getdoc(function) or "").split("\n", 1)[0],
            isolation=options.isolation,
            memory_limit=options.memory_limit,
        )

    return register


def _input_model(function: AgentFunction) -> type[BaseModel]:
    names = list(inspect.signature(function).parameters)
    hints = get_type_hints(function)
    model = hints.get(names[1], NoneType) if len(names) == 2 else NoneType  # noqa: PLR2004
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise TypeError(
            f"agent {function.__name__!r}: write it as (context, input: Model) "
            "with a pydantic model as the type of its input"
        )
    return model
