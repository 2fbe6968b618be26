"""The table itself: no row is forgotten, and none is left out without a word."""

import ast
import re
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.bad_input.row import Row
from tests.bad_input.table import ALONE, DOORS, LEFT_OUT, ROWS

HERE = Path(__file__).parent
NUMBERS = [
    *("B01", "B02", "B05", "B06", "B07", "B09", "B10", "B12", "B13", "B14", "B15", "B20", "B21"),
    *("B22", "B23", "B24", "B25", "B26", "B27", "B28", "B29", "B30", "B31", "B32", "B34", "B35"),
    *("B36", "B37", "B38", "B39", "B40", "B41", "B42", "B44", "B45", "B46", "B47", "B48", "B49"),
    "B50",
]
"""What has to be tried."""


def parametrized() -> list[Row]:
    """Return the rows that a test of this folder is made of."""
    found: list[Row] = []
    for path in HERE.glob("test_*.py"):
        module = import_module(f"tests.bad_input.{path.stem}")
        for function in vars(module).values():
            for mark in getattr(function, "pytestmark", []):
                if mark.name == "parametrize":
                    values = [value for given in mark.args[1] for value in _values(given)]
                    found += [value for value in values if isinstance(value, Row)]
    return found


def _values(given: Any) -> tuple[Any, ...]:
    return tuple(given.values) if hasattr(given, "marks") else (given,)


def test_every_number_is_tried_or_left_out_with_a_reason() -> None:
    """The list says what has to be tried; a door that does not exist is named."""
    assert set(DOORS) | set(LEFT_OUT) == set(NUMBERS)
    assert len(NUMBERS) == len(set(NUMBERS))
    for number, reason in LEFT_OUT.items():
        assert "there is no such door" in reason, number


@pytest.mark.parametrize("number", DOORS)
def test_every_number_has_a_row_at_each_of_its_doors(number: str) -> None:
    """Or a test of its own, which exists."""
    for door in DOORS[number]:
        rows = [row for row in ROWS if (row.id, row.door) == (number, door)]
        if not rows:
            path, name = ALONE[number, door]
            tree = ast.parse((HERE.parent / path).read_text("utf-8"))
            functions = (ast.FunctionDef, ast.AsyncFunctionDef)
            assert name in {node.name for node in ast.walk(tree) if isinstance(node, functions)}


def test_every_row_stands_at_a_door_of_its_number() -> None:
    """What is tried is told."""
    strays = {(row.id, row.door) for row in ROWS if row.door not in DOORS.get(row.id, ())}
    assert strays == set()


def test_every_row_is_a_test() -> None:
    """No row stands in the table alone, and none is sent by a test without standing there."""
    assert {id(row) for row in ROWS} == {id(row) for row in parametrized()}


def test_no_two_rows_share_a_name() -> None:
    """What fails can be found by its name."""
    names = Counter((row.door, row.id, row.what) for row in ROWS)
    assert [name for name, count in names.items() if count > 1] == []


def test_every_number_stands_in_the_guarantees() -> None:
    """With its input, its answer, and the tests that show it."""
    page = (HERE.parents[1] / "docs/guarantees.md").read_text("utf-8")
    told = re.findall(r"^\| (B\d\d) \| .+ \| .+ \| .+bad_input/.+ \|$", page, re.MULTILINE)
    assert set(told) | {"B50"} == set(DOORS)
    assert "| B50 | " in page
