"""`llm` and `llm_agent` against a real server: what is filed, what is retried, what is final."""

import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai import ModelHTTPError
from pydantic_ai import RunContext as ToolContext
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.providers.openai import OpenAIProvider

from worker.agents.builtin.writer import writer_agent
from worker.agents.contract import Agent, AgentError, RunContext
from worker.agents.llm import llm_agent
from worker.agents.llm_faults import parse_retry_after, retry_after, translate
from worker.agents.registry import Registry
from worker.settings import Settings

from .desk import EXECUTION, Desk, only_draft
from .provider import KEY, MODEL, Provider, completion, serving

TASK = {"prompt": "Write about cats.", "document_type": "article"}


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Return a running provider that answers with a short document."""
    with serving() as running:
        yield running


def settings(provider: Provider) -> Settings:
    """Return settings that point to the provider."""
    return Settings(
        _env_file=None,
        llm_model=MODEL,
        llm_base_url=provider.url,
        llm_api_key=KEY,
    )


@pytest.fixture
def llm(provider: Provider) -> Agent:
    """Return the ready agent, configured for the provider."""
    return writer_agent(settings(provider), timeout=20)


async def refused(desk: Desk, agent: Agent, **given: object) -> AgentError:
    """Return the error of an attempt that must fail."""
    with pytest.raises(AgentError) as raised:
        await desk.run(agent, **(given or TASK))
    return raised.value


async def test_a_document_is_written_and_its_cost_is_recorded(
    desk: Desk, llm: Agent, provider: Provider
) -> None:
    """Model name, requests and tokens stand in the output; the text is filed as Markdown."""
    outcome = await desk.run(llm, **TASK)
    draft = only_draft(outcome)
    assert (draft.document_type, draft.content) == ("article", "# Title\n\nText.\n")
    record = {
        "model": "desk-1-2025",
        "usage": {"requests": 1, "input_tokens": 21, "output_tokens": 7},
    }
    assert outcome.output == record | {"document_type": "article", "used": {}}
    assert draft.metadata == record | {"used": {}}
    assert provider.keys == [f"Bearer {KEY}"]
    assert provider.requests[0]["model"] == MODEL


async def test_the_model_gets_the_projects_documents_and_its_language(
    desk: Desk, llm: Agent, provider: Provider
) -> None:
    """By default the latest version of each; what is rewritten names its base version."""
    desk.language = "de-AT"
    desk.file("notes", "old notes")
    desk.file("notes", "Katzen schlafen viel.")
    desk.file("article", "Erster Entwurf.")
    outcome = await desk.run(llm, **TASK)
    system, user = (message["content"] for message in provider.requests[0]["messages"])
    assert "'de-AT'" in system
    assert user.startswith("Write about cats.")
    assert "Katzen schlafen viel." in user
    assert "Erster Entwurf." in user
    assert "old notes" not in user
    assert user.count(f"=== {EXECUTION.hex} ===") == 4
    assert outcome.output["used"] == {"article": 1, "notes": 2}
    assert only_draft(outcome).base_version == 1


@pytest.mark.parametrize(("use", "seen"), [([], []), (["notes", "notes"], ["notes"])])
async def test_an_execution_chooses_which_documents_the_model_sees(
    desk: Desk, llm: Agent, provider: Provider, use: list[str], seen: list[str]
) -> None:
    """An empty list gives none; each is given once."""
    desk.file("notes", "some notes")
    desk.file("secret_plan", "not for the model")
    outcome = await desk.run(llm, **TASK, use=use)
    assert list(outcome.output["used"]) == seen
    assert "not for the model" not in provider.requests[0]["messages"][-1]["content"]


async def test_a_document_that_is_not_there_is_final(desk: Desk, llm: Agent) -> None:
    """The model is not asked to write from nothing."""
    error = await refused(desk, llm, **TASK, use=["notes"])
    assert (error.code, error.retryable) == ("document_not_found", False)


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (429, "llm_rate_limited", True),
        (408, "llm_unavailable", True),
        (500, "llm_unavailable", True),
        (502, "llm_unavailable", True),
        (503, "llm_unavailable", True),
        (529, "llm_unavailable", True),
        (400, "llm_request_rejected", False),
        (401, "llm_unauthorized", False),
        (402, "llm_request_rejected", False),
        (403, "llm_unauthorized", False),
        (404, "llm_request_rejected", False),
        (422, "llm_request_rejected", False),
    ],
)
async def test_a_status_decides_between_retry_and_final(
    desk: Desk, llm: Agent, provider: Provider, status: int, code: str, retryable: bool
) -> None:
    """And each attempt sends one request: copydesk retries, the client does not."""
    provider.status = status
    provider.body = '{"error": {"message": "no: ' + KEY + '", "type": "x", "code": null}}'
    error = await refused(desk, llm)
    assert (error.code, error.retryable, error.retry_after) == (code, retryable, None)
    assert str(status) in error.message
    assert len(provider.requests) == 1
    assert KEY not in "".join(traceback.format_exception(error))
    assert error.__context__ is None


async def test_retry_after_in_seconds_is_honoured(
    desk: Desk, llm: Agent, provider: Provider
) -> None:
    """The provider knows best when it will serve again."""
    provider.status, provider.headers = 429, {"Retry-After": "17"}
    assert (await refused(desk, llm)).retry_after == timedelta(seconds=17)


async def test_retry_after_as_a_date_is_honoured(
    desk: Desk, llm: Agent, provider: Provider
) -> None:
    """The header has two forms."""
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True)
    provider.status, provider.headers = 503, {"Retry-After": at}
    wait = (await refused(desk, llm)).retry_after
    assert wait is not None
    assert timedelta(seconds=100) < wait <= timedelta(seconds=120)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("soon", None),
        (None, None),
        ("-1", None),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0.0),
    ],
)
def test_a_retry_after_header_is_seconds_a_date_or_nothing(
    header: str | None, seconds: float | None
) -> None:
    """A header that is neither form is no reason to wait, nor to fail."""
    assert parse_retry_after(header) == seconds


def test_retry_after_is_found_on_the_response_of_the_providers_own_error() -> None:
    """Some adapters leave the header where it came: on the error beneath; a day is the most."""

    class Beneath(Exception):  # noqa: N818
        class response:  # noqa: N801
            headers = {"retry-after": "99999999999999"}  # noqa: RUF012

    fault = ModelHTTPError(503, "m")
    fault.__cause__ = Beneath()
    assert retry_after(fault) == timedelta(days=1)


async def test_a_server_that_does_not_answer_is_tried_again_later(
    desk: Desk, provider: Provider
) -> None:
    """The attempt ends by itself before the worker would have to end it."""
    provider.hang = True
    error = await refused(desk, writer_agent(settings(provider), timeout=0.5))
    assert (error.code, error.retryable) == ("llm_unavailable", True)
    assert "in time" in error.message


async def test_a_server_that_breaks_off_is_tried_again(
    desk: Desk, llm: Agent, provider: Provider
) -> None:
    """A connection that closes without an answer may be a restart."""
    provider.close = True
    error = await refused(desk, llm)
    assert (error.code, error.retryable) == ("llm_unavailable", True)


async def test_a_server_that_is_not_there_is_tried_again(desk: Desk) -> None:
    """Connection refused is a connection error like any other."""
    with serving() as gone:
        agent = writer_agent(settings(gone), timeout=20)
    error = await refused(desk, agent)
    assert (error.code, error.retryable) == ("llm_unavailable", True)


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        ("{not json", "application/json", "llm_response_invalid"),
        ("<html>hello</html>", "text/html", "llm_output_invalid"),
        ('{"hello": "world"}', "application/json", "llm_output_invalid"),
        (completion(""), "application/json", "llm_output_invalid"),
        (completion(" \n "), "application/json", "llm_output_empty"),
        (completion(None), "application/json", "llm_output_invalid"),
        (completion("# Half a", finish="length"), "application/json", "llm_output_truncated"),
        (completion("", finish="length"), "application/json", "llm_output_truncated"),
        (completion(None, refusal="I will not."), "application/json", "llm_refused"),
        (completion("", finish="content_filter"), "application/json", "llm_refused"),
    ],
)
async def test_an_answer_that_is_no_document_is_never_filed(
    desk: Desk, llm: Agent, provider: Provider, body: str, content_type: str, code: str
) -> None:
    """Garbage, nothing, half a text and refusals are final errors, each by its code."""
    provider.body, provider.content_type = body, content_type
    error = await refused(desk, llm)
    assert (error.code, error.retryable) == (code, False)
    assert len(provider.requests) == 1


async def test_a_prompt_that_is_too_long_is_named(
    desk: Desk, llm: Agent, provider: Provider
) -> None:
    """The remedy is to give fewer documents, not to try again."""
    provider.status = 400
    provider.body = '{"error": {"message": "x", "code": "context_length_exceeded"}}'
    assert (await refused(desk, llm)).code == "llm_context_exceeded"


async def test_without_settings_the_missing_variables_are_named(
    desk: Desk, agents: Registry
) -> None:
    """Never a made-up text, and nothing to retry."""
    error = await refused(desk, agents["llm"])
    assert (error.code, error.retryable) == ("llm_not_configured", False)
    for name in ("COPYDESK_LLM_MODEL", "COPYDESK_LLM_BASE_URL", "COPYDESK_LLM_API_KEY"):
        assert name in error.message


async def test_without_the_extra_the_command_is_named(
    desk: Desk, llm: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "pydantic_ai.models.openai", None)
    error = await refused(desk, llm)
    assert (error.code, error.retryable) == ("llm_not_installed", False)
    assert "pip install 'copydesk[llm]'" in error.message


class Summary(BaseModel):
    """A structured output."""

    title: str
    points: list[str]


class Topic(BaseModel):
    """An input of one's own."""

    topic: str


SUMMARY = {"title": "Cats", "points": ["soft"]}


async def test_any_pydantic_agent_becomes_an_agent_in_one_line(desk: Desk) -> None:
    """Its text is filed under the document type of the input."""
    made = llm_agent("summarize", PydanticAgent(TestModel(custom_output_text="Soft cats.")))
    outcome = await desk.run(made, **TASK)
    draft = only_draft(outcome)
    assert (draft.document_type, draft.content) == ("article", "Soft cats.\n")
    assert outcome.output["model"] == "test"
    assert outcome.output["usage"]["requests"] == 1
    assert (made.agent_type, made.kind, made.max_attempts) == ("summarize", "coroutine", 5)


async def test_structured_output_stands_in_the_output_and_is_not_filed(desk: Desk) -> None:
    """Without a `render` function there is no Markdown to file."""
    model = TestModel(custom_output_args=SUMMARY)
    made = llm_agent(
        "summarize",
        PydanticAgent(model, output_type=Summary),
        input_model=Topic,
        prompt=lambda context, given: f"{context.language}: {given.topic}",
    )
    outcome = await desk.run(made, topic="cats")
    assert (outcome.drafts, outcome.output["result"]) == ([], SUMMARY)


async def test_structured_output_with_render_is_both(desk: Desk) -> None:
    """The result for programs, the document for people; the prompt may be a coroutine."""

    async def prompt(_context: RunContext, given: Topic) -> str:
        return given.topic

    made = llm_agent(
        "summarize",
        PydanticAgent(TestModel(custom_output_args=SUMMARY), output_type=Summary),
        input_model=Topic,
        prompt=prompt,
        document_type="summary",
        render=lambda summary: f"# {summary.title}",
    )
    outcome = await desk.run(made, topic="cats")
    assert outcome.output["result"] == SUMMARY
    assert only_draft(outcome).content == "# Cats\n"


async def test_tools_read_the_project_through_the_run_context(desk: Desk) -> None:
    """An agent whose `deps_type` is `RunContext` gets the attempt's own."""
    desk.file("notes", "Cats sleep.")
    inner = PydanticAgent(TestModel(), deps_type=RunContext)

    @inner.tool
    async def notes(tool: ToolContext[RunContext]) -> str:
        """Read the notes."""
        return (await tool.deps.document("notes")).content

    outcome = await desk.run(llm_agent("summarize", inner), **TASK)
    assert "Cats sleep." in only_draft(outcome).content


async def test_a_tools_refusal_is_the_attempts_refusal(desk: Desk) -> None:
    """What the contract raises passes through unchanged."""
    inner = PydanticAgent(TestModel(), deps_type=RunContext)

    @inner.tool
    async def notes(tool: ToolContext[RunContext]) -> str:
        """Read the notes."""
        return (await tool.deps.document("notes")).content

    assert (await refused(desk, llm_agent("summarize", inner))).code == "document_not_found"


async def test_the_hidden_retries_of_a_given_agents_client_are_turned_off(
    desk: Desk, provider: Provider
) -> None:
    """Its client would send three requests; copydesk decides when the next one goes out."""
    provider.status = 500
    client = OpenAIProvider(base_url=provider.url, api_key=KEY)
    made = llm_agent("summarize", PydanticAgent(OpenAIChatModel(MODEL, provider=client)))
    assert (await refused(desk, made)).code == "llm_unavailable"
    assert len(provider.requests) == 1
    await client.client.close()


async def test_output_of_the_wrong_form_is_final(desk: Desk, provider: Provider) -> None:
    """The pydantic-ai agent has its own retries for that; when they are used up, it is over."""
    provider.body = completion("no tool call")
    client = OpenAIProvider(base_url=provider.url, api_key=KEY)
    model = OpenAIChatModel(MODEL, provider=client)
    inner = PydanticAgent(model, output_type=Summary, retries=1)
    error = await refused(desk, llm_agent("summarize", inner))
    assert (error.code, error.retryable) == ("llm_output_invalid", False)
    assert len(provider.requests) == 2
    await client.client.close()


@pytest.mark.parametrize("output_type", [str, Summary])
def test_an_input_without_what_is_needed_is_refused_when_it_is_written(
    output_type: type[object],
) -> None:
    """A mistake in the one line shows at once, not in the first execution."""
    inner = PydanticAgent(TestModel(), output_type=output_type)
    with pytest.raises(TypeError, match="'prompt'"):
        llm_agent("summarize", inner, input_model=Topic)


def test_a_fault_that_is_none_of_these_is_final_and_repeats_nothing() -> None:
    """Unknown faults are not retried blindly, and their text is not trusted."""
    error = translate(RuntimeError(KEY))
    assert (error.code, error.retryable) == ("llm_response_invalid", False)
    assert KEY not in error.message
