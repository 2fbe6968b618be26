"""What a caller may ask for: one execution, described and checked before anything else sees it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from worker.errors import InputInvalidError
from worker.identifiers import Id, parse_project

_FAR = timedelta(days=3660)

AgentType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=50)]
Key = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]+$", max_length=255)]


def _not_far(value: datetime) -> datetime:
    if abs(value - datetime.now(UTC)) > _FAR:
        raise ValueError("must be within ten years of now")
    return value


class EnqueueRequest(BaseModel):
    """One execution to record.

    Attributes:
        project_id: the project it belongs to; always explicit.
        agent_type: which agent; lowercase snake_case, at most 50 characters.
        input: the agent's input, a JSON object.
        requested_by: the user on whose behalf; `created_by` of the versions it writes.
        correlation_id: follows the request across services; a new one where left out.
        idempotency_key: the same key in the same project names the same execution (printable
            ASCII, at most 255 characters).
        not_before: aware datetime before which it must not start.
        priority: higher starts first, -100 to 100.
        max_attempts: failed attempts, lost workers among them, before it ends `failed`; releases
            do not count; the agent's own number where left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    project_id: Id
    agent_type: AgentType
    input: dict[str, Any] = Field(default_factory=dict)
    requested_by: Id
    correlation_id: Id | None = None
    idempotency_key: Key | None = None
    not_before: Annotated[AwareDatetime, AfterValidator(_not_far)] | None = None
    priority: int = Field(default=0, ge=-100, le=100, strict=True)
    max_attempts: int | None = Field(default=None, ge=1, le=100, strict=True)

    @classmethod
    def checked(cls, fields: dict[str, Any]) -> Self:
        """Make a request of untrusted fields.

        Raises:
            ProjectRequiredError: no project, or not one.
            InputInvalidError: names every field that breaks a rule, and the rule.
        """
        project_id = parse_project(fields.get("project_id"))
        try:
            return cls.model_validate({**fields, "project_id": project_id})
        except ValidationError as error:
            raise InputInvalidError(describe_faults(error)) from None


def describe_faults(error: ValidationError) -> str:
    """Return one line that names each field and the rule it breaks, and repeats no value."""
    faults = [
        f"{'.'.join(str(part) for part in fault['loc'])[:100] or 'input'}: "
        f"{str(fault['msg']).removeprefix('Value error, ')}"
        for fault in error.errors(include_input=False, include_url=False, include_context=False)
    ]
    return "; ".join(faults[:10]).replace("\n", " ")
