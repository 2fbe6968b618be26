"""Changes of indexes on tables that stand: taken out of the transaction, to be made beside it.

Alembic and our own comparison both find such changes, and both would lock writers out while an
index is built. So Alembic's are taken away, which leaves them to the comparison, and those of the
comparison become calls of `migrations.beside`. Where a table's columns change in the same
migration its indexes are left as they are: they may need a column that is not there before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from alembic.operations import ops

from models.comparison import Change, Comparison

_MADE = re.compile(r"CREATE (UNIQUE )?INDEX (\S+) ON (.*)", re.DOTALL)


class IndexOp(ops.MigrateOperation):
    """Build an index beside its table, anew if it is there; without a definition, drop it."""

    def __init__(self, sentence: str, name: str, definition: str | None, *, unique: bool) -> None:
        self.sentence = sentence
        self.name = name
        self.definition = definition
        self.unique = unique

    def to_diff_tuple(self) -> tuple[str, str]:
        """Return what `alembic check` shows."""
        return ("drift", self.sentence)


def standing_tables(
    operations: Iterable[ops.MigrateOperation], comparison: Comparison
) -> frozenset[str]:
    """Return the tables that stay through a migration, and keep their columns as they are."""
    column = (ops.AddColumnOp, ops.DropColumnOp, ops.AlterColumnOp)
    changed = {
        f"table {each.table_name}"
        for each in operations
        if isinstance(each, ops.ModifyTableOps)
        if any(isinstance(inner, column) for inner in each.ops)
    }
    live, declared = (
        {part.name for part in parts.values() if part.kind == "table"}
        for parts in (comparison.live, comparison.declared)
    )
    return frozenset(live & declared - changed)


def without_index_changes(
    operations: Iterable[ops.MigrateOperation], tables: frozenset[str]
) -> list[ops.MigrateOperation]:
    """Return Alembic's operations without those that make or drop an index of these tables."""
    kept = []
    for each in operations:
        if isinstance(each, ops.ModifyTableOps) and f"table {each.table_name}" in tables:
            index = (ops.CreateIndexOp, ops.DropIndexOp)
            each.ops = [inner for inner in each.ops if not isinstance(inner, index)]
        if not (isinstance(each, ops.ModifyTableOps) and each.is_empty()):
            kept.append(each)
    return kept


def taken_out(
    changes: Iterable[Change], tables: frozenset[str]
) -> tuple[list[IndexOp], list[Change]]:
    """Return what becomes of the indexes of these tables, and the other changes."""
    mine, others = [], []
    for change in changes:
        if change.part.kind == "index" and change.part.on in tables:
            mine.append(change)
        else:
            others.append(change)
    # An index that is built anew needs no drop before.
    return [_operation(each) for each in mine if each.act == "create" or not each.new], others


def _operation(change: Change) -> IndexOp:
    found = _MADE.match(change.part.made[0])
    if found is None:
        raise ValueError(f"not the definition of an index: {change.part.made[0]}")
    unique, name, definition = found.groups()
    return IndexOp(
        change.sentence, name, definition if change.new else None, unique=unique is not None
    )
