"""What a caller may ask for, and how the refusal of anything else reads."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest

from worker.errors import InputInvalidError, ProjectRequiredError
from worker.requests import EnqueueRequest


def fields(**changed: Any) -> dict[str, Any]:
    """Return the fields of a good request, with some changed."""
    good = {"project_id": uuid4(), "agent_type": "review", "requested_by": uuid4()}
    return {**good, **changed}


def test_what_is_left_out_has_a_harmless_default() -> None:
    """Only project, agent and user are needed."""
    request = EnqueueRequest.checked(fields())
    assert (request.input, request.priority) == ({}, 0)
    assert request.correlation_id is None
    assert request.max_attempts is None


def test_a_full_request_is_kept_as_it_is() -> None:
    """Every field, at the edges of its range."""
    moment = datetime.now(timezone(timedelta(hours=5))) + timedelta(days=3000)
    given = fields(
        input={"a": [1, None, {"b": "ä"}]},
        correlation_id=str(uuid4()),
        idempotency_key="!" * 255,
        not_before=moment,
        priority=-100,
        max_attempts=100,
    )
    request = EnqueueRequest.checked(given)
    assert request.not_before == moment
    assert (request.priority, request.max_attempts) == (-100, 100)
    assert request.input == given["input"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("agent_type", ""),
        ("agent_type", "Review"),
        ("agent_type", "1st"),
        ("agent_type", "a" * 51),
        ("agent_type", "review\n"),
        ("agent_type", "re\u0432iew"),
        ("agent_type", None),
        ("input", []),
        ("input", "{}"),
        ("input", None),
        ("input", {1: "a"}),
        ("requested_by", None),
        ("requested_by", "me"),
        ("correlation_id", "00000000-0000-0000-0000-000000000000"),
        ("idempotency_key", ""),
        ("idempotency_key", "two words"),
        ("idempotency_key", "line\n"),
        ("idempotency_key", "\u00e4"),
        ("idempotency_key", "k" * 256),
        ("not_before", datetime(2030, 1, 1)),  # noqa: DTZ001
        ("not_before", datetime.now(UTC) + timedelta(days=4000)),
        ("not_before", datetime.min.replace(tzinfo=UTC)),
        ("not_before", "soon"),
        ("priority", 101),
        ("priority", "5"),
        ("priority", True),
        ("priority", 1.5),
        ("max_attempts", 0),
        ("max_attempts", 101),
        ("max_attempts", False),
        ("surprise", 1),
    ],
)
def test_a_field_that_breaks_its_rule_is_named(field: str, value: object) -> None:
    """One line that names the field, so that the caller knows what to change."""
    with pytest.raises(InputInvalidError) as caught:
        EnqueueRequest.checked(fields(**{field: value}))
    assert caught.value.message.startswith(field)
    assert "\n" not in caught.value.message
    assert caught.value.code == "input_invalid"
    assert not caught.value.retryable


def test_all_faults_are_named_at_once_and_no_value_is_repeated() -> None:
    """A value may hold what must not stand in a log."""
    secret = "hunter2-hunter2"
    with pytest.raises(InputInvalidError) as caught:
        EnqueueRequest.checked(
            fields(agent_type=secret, requested_by=secret, idempotency_key=f"{secret}\n")
        )
    assert secret not in str(caught.value)
    for name in ("agent_type", "requested_by", "idempotency_key"):
        assert f"{name}: " in caught.value.message


@pytest.mark.parametrize("project", [None, "", "default", 0, "*"])
def test_a_request_without_a_project_is_refused_first(project: object) -> None:
    """Before anything else is looked at; there is no default."""
    with pytest.raises(ProjectRequiredError):
        EnqueueRequest.checked({"project_id": project})
    with pytest.raises(ProjectRequiredError):
        EnqueueRequest.checked({})
