"""What an agent may answer: an outcome with drafts, retry, snooze or cancel, or an error."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from worker.errors import CopydeskError
from worker.requests import Name

Score = Annotated[float, Field(allow_inf_nan=False)]


class Draft(BaseModel):
    """A document as the agent wants it filed: the next version of its type.

    `readability_score` and `grammar_score` stay None where the agent did not measure them.
    `base_version` names the version the draft was made from, where there is one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    document_type: Name
    content: str
    metadata: dict[str, Any] = Field(default_factory=dict)
    readability_score: Score | None = None
    grammar_score: Score | None = None
    base_version: int | None = Field(default=None, ge=1, le=2_147_483_647)


class ExportFile(BaseModel):
    """A file the agent built for people to fetch; the worker stores it and records it in `exports`.

    `suffix` is the file name's ending (such as `.zip`); the record expires `lifetime`, at most ten
    years, after the attempt completes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    content: bytes = Field(repr=False, strict=True)
    suffix: str = Field(pattern=r"^\.[a-z0-9]{1,8}$")
    manifest: dict[str, Any]
    lifetime: timedelta = Field(gt=timedelta(0), le=timedelta(days=3660))


class Outcome(BaseModel):
    """The work is done: JSON for `output_data`, and any number of drafts and export files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    output: dict[str, Any] = Field(default_factory=dict)
    drafts: list[Draft] = Field(default_factory=list)
    exports: list[ExportFile] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Retry:
    """Answer: this try failed in a way that may pass; try again `after` (default: the backoff)."""

    reason: str
    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Snooze:
    """Answer: too early, nothing failed; come back at `until` (aware datetime)."""

    until: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Answer: this work is pointless; end it as cancelled with this reason."""

    reason: str


Answer = Outcome | Retry | Snooze | Cancel


class AgentError(CopydeskError):
    """Raised by an agent that cannot do its work; final unless `retryable`.

    `code` (lowercase snake_case) goes to `error_code`, the message to `error_message`. With
    `retryable=True` the attempt counts as a failure and is tried again after `retry_after`, or
    after the agent's backoff, while attempts are left.
    """

    code = "agent_error"

    def __init__(
        self,
        message: str,
        *,
        code: str = "agent_error",
        retryable: bool = False,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.retryable = retryable
        self.retry_after = retry_after
