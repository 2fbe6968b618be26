"""Language models as agents: any pydantic-ai `Agent` becomes one of copydesk's in one line.

    summarize = llm_agent("summarize", Agent("openai:gpt-5", instructions="Summarize."))

Its instructions, model, tools and output type stay its own. copydesk gives the prompt, the project
(as `deps`, where the agent's `deps_type` is `RunContext`), the retries and the record: token usage
and model name stand in `output_data`. Text that comes back is filed as a draft; structured output
stands in `output_data["result"]`, and is filed too where a `render` function makes Markdown of it.

Needs the extra `copydesk[llm]`; importing this module does not.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from worker.agents.answers import AgentError
from worker.agents.context import RunContext
from worker.agents.contract import Agent, Draft, Name, Outcome, agent
from worker.backoff import Backoff

if TYPE_CHECKING:
    from pydantic_ai import Agent as PydanticAgent
    from pydantic_ai.models import Model
    from pydantic_ai.settings import ModelSettings

BACKOFF = Backoff()
PATIENCE = 0.95
"""The share of an attempt's time that a model gets, so that its silence is named as what it is."""


class PromptInput(BaseModel):
    """Input of an agent made by `llm_agent`, unless it names a model of its own."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(min_length=1)
    document_type: Name


@dataclass(frozen=True, slots=True)
class Answered:
    """What a model answered, and the record of it for `output_data`."""

    output: Any
    record: dict[str, Any]


def llm_agent(
    agent_type: str,
    pydantic_agent: "PydanticAgent[Any, Any]",
    *,
    input_model: type[BaseModel] = PromptInput,
    prompt: Callable[[RunContext, Any], str | Awaitable[str]] | None = None,
    document_type: str | None = None,
    render: Callable[[Any], str] | None = None,
    timeout: float = 300,
    max_attempts: int = 5,
    backoff: Backoff = BACKOFF,
) -> Agent:
    """Make an agent of a pydantic-ai agent.

    Args:
        agent_type: the name executions are enqueued under.
        pydantic_agent: instructions, model, tools and output type; if its `deps_type` is
            `RunContext`, its tools read the project through `ctx.deps`.
        input_model: what an execution gives; default `{prompt, document_type}`.
        prompt: makes the user prompt of context and input; default: the input's field `prompt`.
        document_type: where the text is filed; default: the input's field `document_type`.
        render: makes Markdown of the output; text is filed as it is without one.
        timeout: seconds one attempt may take.
        max_attempts: attempts before the execution ends `failed`.
        backoff: delays between failed attempts, where the provider names none.

    Raises:
        TypeError: `input_model` lacks a field that no argument replaces.
    """
    needed = {"prompt": prompt, "document_type": document_type}
    missing = [name for name, given in needed.items() if given is None]
    missing = [name for name in missing if name not in input_model.model_fields]
    # Structured output that is not rendered is not filed, so it needs no document type.
    if pydantic_agent.output_type is not str and render is None:
        missing = [name for name in missing if name != "document_type"]
    if missing:
        raise TypeError(
            f"llm_agent {agent_type!r}: {input_model.__name__} has no field {missing[0]!r}; "
            f"add it, or pass {missing[0]}="
        )

    async def run(context: RunContext, given: Any) -> Outcome:  # noqa: ANN401 - an input_model
        asked = given.prompt if prompt is None else prompt(context, given)
        text = await asked if isawaitable(asked) else asked
        answered = await ask(context, pydantic_agent, text, seconds=timeout * PATIENCE)
        content = _content(answered.output, render)
        if content is None:
            return Outcome(output=answered.record | {"result": _as_json(answered.output)})
        filed_as = document_type or given.document_type
        draft = Draft(document_type=filed_as, content=content, metadata=answered.record)
        structured = not isinstance(answered.output, str)
        result = {"result": _as_json(answered.output)} if structured else {}
        return Outcome(
            output=answered.record | result | {"document_type": filed_as}, drafts=[draft]
        )

    run.__name__ = agent_type
    run.__doc__ = f"Ask the model of the pydantic-ai agent {pydantic_agent.name or agent_type!r}."
    run.__annotations__["given"] = input_model
    register = agent(agent_type, timeout=timeout, max_attempts=max_attempts, backoff=backoff)
    return register(run)


async def ask(
    context: RunContext,
    pydantic_agent: "PydanticAgent[Any, Any]",
    prompt: str,
    *,
    seconds: float,
    model: "Model | None" = None,
) -> Answered:
    """Run a pydantic-ai agent once and return its output with model name and token usage.

    Raises:
        AgentError: `llm_unavailable` or `llm_rate_limited`, to be tried again; final:
            `llm_unauthorized`, `llm_request_rejected`, `llm_context_exceeded`, `llm_refused`,
            `llm_output_invalid`, `llm_output_truncated`, `llm_output_empty`,
            `llm_response_invalid`, `llm_usage_exceeded`, `llm_misconfigured`.
    """
    from pydantic_ai import exceptions  # noqa: PLC0415 - an optional dependency

    from worker.agents.llm_faults import translate  # noqa: PLC0415

    fault: AgentError | None = None
    try:
        async with asyncio.timeout(seconds):
            result = await pydantic_agent.run(
                prompt,
                model=model,
                deps=context if pydantic_agent.deps_type is RunContext else None,
                model_settings=_one_request(model or pydantic_agent.model),
            )
    except (
        exceptions.AgentRunError,
        exceptions.FallbackExceptionGroup,
        exceptions.UserError,
        TimeoutError,
    ) as error:
        fault = translate(error)
    # Raised here, not above: the chain of a provider's error carries what it echoed.
    if fault is not None:
        raise fault
    if isinstance(result.output, str):
        _check_text(result.output, result.response.finish_reason)
    usage = result.usage
    return Answered(
        output=result.output,
        record={
            "model": result.response.model_name,
            "usage": {
                "requests": usage.requests,
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
            },
        },
    )


def _one_request(model: object) -> "ModelSettings | None":
    """Return the settings that keep a provider's client from retrying behind copydesk's back."""
    unsupported = getattr(model, "unsupported_settings", ())
    return None if "max_retries" in unsupported else {"max_retries": 0}


def _check_text(text: str, finish_reason: str | None) -> None:
    if not text.strip():
        raise AgentError(
            "the model answered with no text; change the prompt or the model",
            code="llm_output_empty",
        )
    if finish_reason == "length":
        raise AgentError(
            "the model's answer was cut off at its token limit; ask for less, or raise max_tokens",
            code="llm_output_truncated",
        )


def _content(output: Any, render: Callable[[Any], str] | None) -> str | None:  # noqa: ANN401
    if render is None and not isinstance(output, str):
        return None
    content = output if render is None else render(output)
    _check_text(content, None)
    return f"{content.strip()}\n"


def _as_json(output: Any) -> Any:  # noqa: ANN401 - whatever the agent's output type is
    return TypeAdapter[Any](type(output)).dump_python(output, mode="json")
