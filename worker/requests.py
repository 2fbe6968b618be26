"""What a caller may ask for, described and checked before anything else sees it.

Each call of the client, and each request from the queue, is a model here. A refusal names every
field that breaks a rule, and the rule, on one line, and repeats no value: a value may be a secret.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from worker.errors import InputInvalidError
from worker.identifiers import Id, parse_project

_FAR = timedelta(days=3660)
_MOST_AT_ONCE = 10_000
_MOST_FAULTS = 10
_LARGEST_INTEGER = 2_147_483_647
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,49}|\[key\]", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

# What pydantic says of these repeats the input, or what a strange object raised.
_REWORDED = {
    "datetime_object_invalid": "must be a datetime",
    "get_attribute_error": "cannot be read",
    "iteration_error": "cannot be read",
    "mapping_type": "must be a dict",
    "union_tag_invalid": "names none of the kinds there are",
}


def _moment(value: object) -> object:
    # Numbers, and text of digits, would pass as Unix times of an unknown unit.
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        moment = None
    if not isinstance(moment, datetime):
        raise ValueError("must be an aware datetime, or ISO 8601 text with an offset")  # noqa: TRY004 - pydantic's way
    return moment


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range") from None


def _not_far(value: datetime) -> datetime:
    if abs(value - datetime.now(UTC)) > _FAR:
        raise ValueError("must be within ten years of now")
    return value


def _one_line(value: str) -> str:
    if not value.strip() or _CONTROL.search(value):
        raise ValueError("must be one line of text")
    return value


def _storable(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain a NUL character (U+0000)")
    return value


def _email(value: str) -> str:
    if "@" not in value or not value.isprintable():
        raise ValueError("must be an email address")
    return value


Name = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z][a-z0-9_]*$", max_length=50)]
"""Of an agent type or a document type: lowercase snake_case, at most 50 characters."""

Key = Annotated[str, StringConstraints(strict=True, pattern=r"^[\x21-\x7e]+$", max_length=255)]
Line = Annotated[str, StringConstraints(strict=True, max_length=255), AfterValidator(_one_line)]
Email = Annotated[str, StringConstraints(strict=True, max_length=320), AfterValidator(_email)]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment), AfterValidator(_in_utc)]
Language = Annotated[
    str,
    StringConstraints(strict=True, pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", max_length=10),
]


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def checked(cls, fields: Mapping[str, Any]) -> Self:
        """Make a request of untrusted fields.

        Raises:
            InputInvalidError: names every field that breaks a rule, and the rule.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise InputInvalidError(describe_faults(error)) from None


class EnqueueRequest(_Request):
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

    project_id: Id
    agent_type: Name
    input: dict[str, Any] = Field(default_factory=dict)
    requested_by: Id
    correlation_id: Id | None = None
    idempotency_key: Key | None = None
    not_before: Annotated[Moment, AfterValidator(_not_far)] | None = None
    priority: int = Field(default=0, ge=-100, le=100, strict=True)
    max_attempts: int | None = Field(default=None, ge=1, le=100, strict=True)

    @classmethod
    def checked(cls, fields: Mapping[str, Any]) -> Self:
        """Make a request of untrusted fields.

        Raises:
            ProjectRequiredError: no project, or not one.
            InputInvalidError: names every field that breaks a rule, and the rule.
        """
        project_id = parse_project(fields.get("project_id"))
        return super().checked({**fields, "project_id": project_id})

    @classmethod
    def checked_many(cls, project_id: object, requests: object) -> list[Self]:
        """Make requests of one project of untrusted fields; a refusal names the place, from 0."""
        project = parse_project(project_id)
        if not isinstance(requests, Sequence) or isinstance(requests, str | bytes):
            raise InputInvalidError("requests: must be a list of dicts")
        if len(requests) > _MOST_AT_ONCE:
            raise InputInvalidError(f"requests: {len(requests)} at once; send at most 10,000")
        made = []
        for place, fields in enumerate(requests):
            if not isinstance(fields, Mapping):
                raise InputInvalidError(f"requests[{place}]: must be a dict")
            try:
                made.append(cls.checked({**fields, "project_id": project}))
            except InputInvalidError as error:
                raise InputInvalidError(f"requests[{place}].{error.message}") from None
        return made


class CancelRequest(_Request):
    """An execution that somebody no longer wants, and why."""

    execution_id: Id
    reason: Annotated[
        str, StringConstraints(strict=True, max_length=2000), AfterValidator(_storable)
    ]


class DocumentRequest(_Request):
    """A version of a document, or the latest."""

    document_type: Name
    version: int | None = Field(ge=1, le=_LARGEST_INTEGER, strict=True)


class WaitRequest(_Request):
    """How long to wait, in seconds; None as long as it takes."""

    timeout: float | None = Field(strict=True, allow_inf_nan=False)


class FailedRequest(_Request):
    """Which failed executions to list."""

    agent_type: Name | None
    since: Moment | None
    limit: int = Field(ge=1, le=1000, strict=True)


class RetryRequest(_Request):
    """What to ask for again, and on whose behalf."""

    execution_ids: list[Id] = Field(max_length=1000)
    requested_by: Id | None


class NewUser(_Request):
    """A user to be created where there is none."""

    email: Email
    name: Line


class NewProject(_Request):
    """A project to be created; its language stays for good."""

    name: Line
    created_by: Id
    language: Language


def describe_faults(error: ValidationError) -> str:
    """Return one line that names each field and the rule it breaks, and repeats no value.

    What is no field's name, such as a key of the input, is shown as `?`.
    """
    try:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
    except Exception:  # noqa: BLE001 - a validator's own error may not let itself be told
        return f"{error.error_count()} rule(s) of its model are broken"
    return "; ".join(f"{_place(fault['loc'])}: {_rule(fault)}" for fault in faults[:_MOST_FAULTS])


def _place(location: tuple[int | str, ...]) -> str:
    parts = [str(part) if _FIELD.fullmatch(str(part)) else "?" for part in location]
    return ".".join(parts)[:100] or "input"


def _rule(fault: Mapping[str, Any]) -> str:
    rule = _REWORDED.get(fault["type"]) or str(fault["msg"]).removeprefix("Value error, ")
    return "".join(letter if letter.isprintable() else " " for letter in rule[:300])
