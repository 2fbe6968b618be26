"""Ids as callers may write them: a UUID object, or its canonical text and nothing else."""

import re
from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator

from worker.errors import ProjectRequiredError

_CANONICAL = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE
)


def parse_id(value: object) -> UUID:
    """Return `value` as a UUID; ValueError unless it is one, canonically written and not nil."""
    if type(value) is UUID:
        parsed = value
    elif isinstance(value, UUID):
        parsed = UUID(int=value.int)  # a driver's subclass becomes the plain type
    elif isinstance(value, str) and _CANONICAL.fullmatch(value):
        parsed = UUID(value)
    else:
        raise ValueError("must be a UUID in its canonical form of 36 characters")
    if parsed.int == 0:
        raise ValueError("must not be the nil UUID")
    return parsed


def parse_project(value: object) -> UUID:
    """Return the project's id.

    Raises:
        ProjectRequiredError: there is none, or it is not a UUID in canonical form.
    """
    try:
        return parse_id(value)
    except ValueError as error:
        raise ProjectRequiredError(
            f"project_id: {error}; name exactly one project, there is no default"
        ) from None


Id = Annotated[UUID, BeforeValidator(parse_id)]
