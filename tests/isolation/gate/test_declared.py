"""What the gate insists on is what the models declare."""

from collections.abc import Iterator

from sqlalchemy import ForeignKeyConstraint, PrimaryKeyConstraint, Table, UniqueConstraint

from models.declarations import project_owned
from models.tables import Base
from worker.gate.declared import KEYS, PROJECT_OWNED, Keys, Reference


def test_the_gate_insists_on_the_project_owned_tables_of_the_models() -> None:
    """With the column that names the project."""
    assert project_owned() == PROJECT_OWNED


def test_the_gate_insists_on_the_keys_of_the_models() -> None:
    """On all of them, but for the key to the project, which has a rule of its own."""
    declared = {name: Base.metadata.tables[name] for name in PROJECT_OWNED}
    assert {
        name: Keys(frozenset(_unique_keys(table)), frozenset(_references(table)))
        for name, table in declared.items()
    } == KEYS


def _unique_keys(table: Table) -> Iterator[frozenset[str]]:
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint | PrimaryKeyConstraint):
            yield frozenset(column.name for column in constraint.columns)


def _references(table: Table) -> Iterator[Reference]:
    for constraint in table.constraints:
        if isinstance(constraint, ForeignKeyConstraint):
            target = constraint.referred_table.name
            if not (target in PROJECT_OWNED and len(constraint.elements) == 1):
                pairs = ((each.parent.name, each.column.name) for each in constraint.elements)
                yield Reference(frozenset(pairs), target)
