"""What went wrong at a model's provider, in copydesk's words: try again, or final.

Messages name the fault, the status and the remedy. They repeat nothing that came over the wire:
providers echo prompts and keys in their error bodies.
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from pydantic_ai import exceptions

from worker.agents.contract import AgentError

LONGEST_WAIT = timedelta(days=1)
"""A provider that asks for more than this is asked again after this."""

_TRY_AGAIN = frozenset((408, 500, 502, 503, 504, 529))
_TOO_MANY = 429
_SERVER_FAULT = 500


def translate(fault: BaseException) -> AgentError:
    """Return the error that an agent answers a fault of pydantic-ai, or of its provider, with."""
    if isinstance(fault, exceptions.FallbackExceptionGroup):
        errors = [translate(each) for each in fault.exceptions]
        # Several models were tried: if one of them may work later, the attempt may.
        return next((error for error in errors if error.retryable), errors[0])
    if isinstance(fault, exceptions.ModelHTTPError):
        return _from_status(fault)
    for kinds, message in _PASSING:
        if isinstance(fault, kinds):
            return _unavailable(message, fault)
    for kind, code, message in _FINAL:
        if isinstance(fault, kind):
            return AgentError(message, code=code)
    return AgentError(
        f"the model's server gave an answer that cannot be read ({type(fault).__name__}); "
        "check that COPYDESK_LLM_BASE_URL is an OpenAI-compatible server",
        code="llm_response_invalid",
    )


_PASSING: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    (
        (TimeoutError, exceptions.ModelTimeoutError, exceptions.ModelRequestTimeout),
        "the model did not answer in time",
    ),
    (
        (exceptions.ModelConnectionError,),
        "the model's server cannot be reached, or broke off",
    ),
    (
        (
            exceptions.ModelRateLimitError,
            exceptions.ModelUnavailableError,
            exceptions.ModelServerError,
        ),
        "the model's server could not serve the request",
    ),
)

_FINAL: tuple[tuple[type[BaseException], str, str], ...] = (
    (
        exceptions.ModelContextWindowExceededError,
        "llm_context_exceeded",
        "the prompt and documents are longer than the model can read; give fewer documents",
    ),
    (
        exceptions.ContentFilterError,
        "llm_refused",
        "the model refused to answer, or its answer was filtered; change the prompt",
    ),
    (
        exceptions.OutputTokenLimitExceeded,
        "llm_output_truncated",
        "the model's answer was cut off at its token limit; ask for less, or raise max_tokens",
    ),
    (
        exceptions.UsageLimitExceeded,
        "llm_usage_exceeded",
        "the run reached the usage limits set for this agent",
    ),
    (
        exceptions.UnexpectedModelBehavior,
        "llm_output_invalid",
        "the model's answer is empty, or does not have the form this agent asks for",
    ),
    (
        exceptions.UserError,
        "llm_misconfigured",
        "pydantic-ai refused the agent as it is configured; see its definition",
    ),
)


def _from_status(fault: exceptions.ModelHTTPError) -> AgentError:
    status = fault.status_code
    if status == _TOO_MANY:
        return AgentError(
            f"the model's server limits the rate of requests (status {status})",
            code="llm_rate_limited",
            retryable=True,
            retry_after=retry_after(fault),
        )
    if status in _TRY_AGAIN or status >= _SERVER_FAULT:
        return _unavailable(f"the model's server failed with status {status}", fault)
    if isinstance(fault, exceptions.ModelContextWindowExceededError):
        return AgentError(
            f"the prompt and documents are longer than the model can read (status {status}); "
            "give fewer documents",
            code="llm_context_exceeded",
        )
    if status in (401, 403):
        return AgentError(
            f"the model's server refused the key (status {status}); check COPYDESK_LLM_API_KEY",
            code="llm_unauthorized",
        )
    return AgentError(
        f"the model's server refused the request with status {status}; check the model's name "
        "(COPYDESK_LLM_MODEL) and COPYDESK_LLM_BASE_URL",
        code="llm_request_rejected",
    )


def _unavailable(message: str, fault: BaseException) -> AgentError:
    return AgentError(
        message, code="llm_unavailable", retryable=True, retry_after=retry_after(fault)
    )


def retry_after(fault: BaseException) -> timedelta | None:
    """Return how long the provider asked to wait, at most LONGEST_WAIT; None where it did not say.

    It is read from the fault, or from the `Retry-After` header (seconds or an HTTP date) of the
    response that the provider's own error carries.
    """
    seconds = getattr(fault, "retry_after", None)
    if not isinstance(seconds, int | float):
        response = getattr(fault.__cause__, "response", None)
        seconds = parse_retry_after(getattr(response, "headers", {}).get("retry-after"))
    if seconds is None:
        return None
    return timedelta(seconds=min(max(seconds, 0.0), LONGEST_WAIT.total_seconds()))


def parse_retry_after(header: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header names; None where it is neither form."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
