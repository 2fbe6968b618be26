"""A row of the bad-input table: what is sent to which door, and what has to come back."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

CANARY = "hunter2canary"
"""Stands in inputs as a secret would; no answer and no log line may repeat it."""

ID = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000"
"""An id that nothing has."""


@dataclass(frozen=True)
class Row:
    """One input at one door.

    Attributes:
        id: its number in the table, such as B14; several rows may share one.
        door: where it is sent.
        what: the input in words; with the id it names the test.
        input: the input itself, in the form the door's tests take.
        code: the stable code of the answer; empty where the input is accepted.
        field: the name the message begins with.
        rule: words of the message that tell the rule.
    """

    id: str
    door: str
    what: str
    input: Any
    code: str
    field: str = ""
    rule: str = ""


def each(rows: Iterable[Row]) -> pytest.MarkDecorator:
    """Make a test of each row, named by it."""
    return pytest.mark.parametrize("row", [pytest.param(r, id=f"{r.id}-{r.what}") for r in rows])


def deep(levels: int) -> Any:
    """Return lists within lists; with the dict around them one level more."""
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


def spread(
    id_: str, door: str, values: dict[str, Any], code: str, field: str, rule: str = ""
) -> list[Row]:
    """Return a row for each value of a class, all with the same answer."""
    return [Row(id_, door, what, value, code, field, rule) for what, value in values.items()]


NO_PROJECT: dict[str, Any] = {
    "none": None,
    "empty": "",
    "default": "default",
    "star": "*",
    "zero": 0,
    "false": False,
    "list": [],
    "dict": {},
    "bytes": ID.encode(),
    "canary": CANARY,
}
"""B14: what is no project."""

NO_ID: dict[str, Any] = {
    "nil": str(UUID(int=0)),
    "nil-object": UUID(int=0),
    "braces": f"{{{ID}}}",
    "urn": f"urn:uuid:{ID}",
    "no-hyphens": ID.replace("-", ""),
    "full-width-digits": ID.replace("0", "\uff10"),
    "space-before": f" {ID}",
    "space-after": f"{ID} ",
    "newline": f"{ID}\n",
    "nul": f"{ID}\x00",
    "surrogate": f"{ID[:-1]}\ud800",
    "two": f"{ID},{ID}",
    "number": UUID(ID).int,
    "sixteen-bytes": UUID(ID).bytes,
}
"""B15: other spellings of an id; the canonical one is accepted in either case."""
