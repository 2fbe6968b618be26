"""Ids: a UUID object or its canonical text, and nothing that merely looks like one."""

from uuid import UUID, uuid4

import asyncpg.pgproto.pgproto
import pytest

from worker.errors import ProjectRequiredError
from worker.identifiers import parse_id, parse_project

ID = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000"

WRONG = {
    "none": None,
    "empty": "",
    "nil": "00000000-0000-0000-0000-000000000000",
    "nil_object": UUID(int=0),
    "braces": f"{{{ID}}}",
    "urn": f"urn:uuid:{ID}",
    "no_hyphens": ID.replace("-", ""),
    "hyphens_elsewhere": "0199aaaabbbb-7ccc-8ddd-eeee-ffff0000",
    "full_width_digits": ID.replace("0", "\uff10"),
    "space_before": f" {ID}",
    "space_after": f"{ID} ",
    "newline": f"{ID}\n",
    "nul": f"{ID}\x00",
    "two": f"{ID},{ID}",
    "bytes": ID.encode(),
    "uuid_bytes": UUID(ID).bytes,
    "number": UUID(ID).int,
    "list": [ID],
    "wildcard": "*",
    "injection": "' OR true --",
    "null_text": "null",
}


@pytest.mark.parametrize("value", [ID, ID.upper(), UUID(ID)])
def test_the_canonical_forms_are_one_id(value: object) -> None:
    """Text in either case, or the object."""
    assert parse_id(value) == UUID(ID)
    assert parse_project(value) == UUID(ID)


@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG)
def test_anything_else_is_refused(value: object) -> None:
    """What one layer reads as an id and another does not opens a gap between them."""
    with pytest.raises(ValueError, match="UUID"):
        parse_id(value)
    with pytest.raises(ProjectRequiredError, match="there is no default") as caught:
        parse_project(value)
    assert str(value) not in caught.value.message or value in (None, "", "*")


def test_a_drivers_own_uuid_becomes_the_plain_type() -> None:
    """Some of them do not behave alike in sets and in JSON."""
    plain = uuid4()
    parsed = parse_id(asyncpg.pgproto.pgproto.UUID(str(plain)))
    assert type(parsed) is UUID
    assert parsed == plain
