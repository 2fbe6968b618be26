"""What a message asks for: a hint (ids only), or one execution to record first.

A hint says where to look, and what stands there decides. A full request comes from a service that
has arq and Redis but no way to the database. Both name their project; nothing is guessed.
"""

import sys
from dataclasses import dataclass
from uuid import UUID

from worker import strict_json
from worker.errors import EnvelopeError, InputInvalidError
from worker.identifiers import parse_id, parse_project
from worker.queue.payload import Payload
from worker.requests import EnqueueRequest

FUNCTION = "run_agent"
VERSION = 1

_HINT_KEYS = frozenset({"v", "project_id", "execution_id"})
_REQUEST_KEYS = frozenset(EnqueueRequest.model_fields) | {"v"}
_NEEDED = tuple(name for name, field in EnqueueRequest.model_fields.items() if field.is_required())


@dataclass(frozen=True, slots=True)
class Hint:
    """Look at this execution; it may be due."""

    project_id: UUID
    execution_id: UUID


def read_envelope(payload: Payload) -> Hint | EnqueueRequest:
    """Return what the message asks for.

    Raises:
        EnvelopeError: `unknown_function`; `bad_envelope` for keys missing or unknown, another
            version, or an execution id that is not one.
        ProjectRequiredError: no project, or not one.
        InputInvalidError: a field of the request breaks its rule.
    """
    if payload.function != FUNCTION:
        raise EnvelopeError(f"the function must be {FUNCTION}", code="unknown_function")
    fields = payload.arguments
    is_hint = "execution_id" in fields
    _check_keys(fields, _HINT_KEYS if is_hint else _REQUEST_KEYS)
    _check_version(fields, needed=is_hint)
    project_id = parse_project(fields.get("project_id"))
    if is_hint:
        return Hint(project_id, _execution(fields["execution_id"]))
    return _request({**fields, "project_id": project_id})


def _check_keys(fields: dict[str, object], known: frozenset[str]) -> None:
    strange = len(fields.keys() - known)
    if strange:
        raise EnvelopeError(f"{strange} unknown argument(s); known are {', '.join(sorted(known))}")


def _check_version(fields: dict[str, object], *, needed: bool) -> None:
    version = fields.get("v", None if needed else VERSION)
    if type(version) is not int or version != VERSION:
        raise EnvelopeError(f"v: must be {VERSION}, the one version of the envelope there is")


def _execution(value: object) -> UUID:
    try:
        return parse_id(value)
    except ValueError as error:
        raise EnvelopeError(f"execution_id: {error}") from None


def _request(fields: dict[str, object]) -> EnqueueRequest:
    missing = [name for name in _NEEDED if name not in fields]
    if missing:
        raise EnvelopeError(f"missing argument(s): {', '.join(missing)}")
    fields.pop("v", None)
    request = EnqueueRequest.checked(fields)
    try:
        # The payload's own limit stands already; this is about what jsonb cannot keep.
        strict_json.encode(request.input, limit=sys.maxsize)
    except strict_json.UnstorableJsonError as error:
        raise InputInvalidError(f"input: {error}") from None
    return request
